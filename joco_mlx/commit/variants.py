"""OWNS the other ways in which a diff comes to the model: as tools send it that know nothing of our head of files.

opencommit, aicommits and a plain pipe send the diff as git writes it, aicommit2 puts `Here is the diff:` before it, lumen
and several scripts a fence around it. A model that has seen only the full form answers those worse, so a share of the
training records is shown in another one. Decides the forms and which record gets which: a pure function of seed and
record, so that a run can be continued. Two thirds of the others have no head, because a tool cannot send it. The long
instructions that some tools put before all this are not imitated.
"""

import hashlib
from dataclasses import dataclass
from itertools import product

from joco_mlx.commit.fit import FULL_FORM, Form


@dataclass(frozen=True)
class Variant:
    """How a user turn presents a diff."""

    before: str = ""
    after: str = ""
    form: Form = FULL_FORM


FULL = Variant()
"""What suggestion, benchmark and Modelfile show: the head of files, then the hunks."""
_WRAPPERS = (
    ("", ""),
    ("Diff:\n", ""),
    ("Here is the diff: ", ""),
    ("```diff\n", "\n```"),
    ("Code diff:\n```diff\n", "\n```"),
)
_FORMS = (Form(head=False, index=True), Form(head=False, index=False), Form(head=True, index=False))
OTHERS = (
    Variant(form=Form(head=True, index=True)),
    *(
        Variant(*wrapper, form)
        for wrapper, form in product(_WRAPPERS, _FORMS)
        if (wrapper, form) != (("", ""), FULL_FORM)
    ),
)
"""The forms that are drawn from, each as often as any other."""


def draw(share: float, seed: int, record: str) -> Variant:
    """Return the variant of a record: `FULL` for all but `share` of them, else one of `OTHERS`.

    A larger share leaves the records that it does not reach as they were.

    Args:
        share: 0 to 1.
        seed: Of the run.
        record: The record's id.
    """
    digest = hashlib.sha256(f"{seed} {record}".encode("utf-8", "surrogatepass")).digest()
    place = int.from_bytes(digest[:6]) / 2**48
    return FULL if place >= share else OTHERS[int(place / share * len(OTHERS))]
