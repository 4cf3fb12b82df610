"""Whether cases stand in the data that a model was trained on, or its prior of types was fitted on.

Decides what counts as the same: the same commit, the same diff or message, a near one, and the same words under other
paths or in another layout. Leaves commits, texts and nearness to `dataset.leakage`, which the dataset's audit uses too.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from joco_mlx.bench.cases import Case
from joco_mlx.commit.diff import parse_diff
from joco_mlx.commit.record import Record
from joco_mlx.dataset.dedupe import DIFF_BANDING, DIFF_JACCARD, exact_earlier, near_earlier
from joco_mlx.dataset.leakage import overlap
from joco_mlx.dataset.shingles import diff_shingles
from joco_mlx.errors import InputError

MINIMUM_WORDS = 12
"""A change of fewer words is like many others by chance."""

_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Leaks:
    """The cases that were trained on, by key, each with the first way in which that was seen."""

    ways: Mapping[str, str]
    cases: int
    checked: bool = True
    """Whether the training data were known; a prior's records are known without them."""

    def to_json(self) -> dict[str, Any]:
        """Return the counts and the keys."""
        return {
            "checked": self.checked,
            "leaked": len(self.ways),
            "ways": dict(sorted(Counter(self.ways.values()).items())),
        }

    def refuse(self, train: str) -> None:
        """Raise InputError when there is any.

        Args:
            train: Where the training data lies, for the error.
        """
        if self.ways:
            told = ", ".join(f"{count} by {way}" for way, count in Counter(self.ways.values()).most_common())
            raise InputError(
                f"{len(self.ways)} of {self.cases} cases stand in the training data {train} ({told}).",
                "Take other cases, or leave these out: --allow-leak",
            )


def find_leaks(train: Sequence[Record], cases: Sequence[Case]) -> Leaks:
    """Compare every case with every training record."""
    records = [*train, *(case.record for case in cases)]
    groups = [0] * len(train) + [1] * len(cases)
    found = overlap(records, groups)
    bare = [_bare(record) for record in records]
    ways = (
        ("same commit", found.same_commit),
        ("same diff or message", found.same_text),
        ("near diff or message", found.near),
        ("same words elsewhere", frozenset(_moved(bare, groups))),
    )
    leaked = {}
    for place, case in enumerate(cases, len(train)):
        way = next((name for name, places in ways if place in places), None)
        if way is not None:
            leaked[case.key] = way
    return Leaks(leaked, len(cases))


def fitted_on(names: frozenset[str], cases: Sequence[Case]) -> dict[str, str]:
    """Return the cases that a prior was fitted on, by key, as a way; a second appearance is one of the same."""
    return {case.key: "fitted the prior of types" for case in cases if case.key.partition("-")[0] in names}


def _moved(texts: Sequence[str], groups: Sequence[int]) -> Iterator[int]:
    """Yield places whose bare text an earlier group has too, or nearly."""
    # An empty text is given its place for a text, so that it is equal to none.
    long = [text if text.count(" ") + 1 >= MINIMUM_WORDS else f"{place}" for place, text in enumerate(texts)]
    yield from exact_earlier(long, groups)
    yield from near_earlier([diff_shingles(text) for text in texts], DIFF_JACCARD, DIFF_BANDING, groups)


def _bare(record: Record) -> str:
    """Return the words of the changed lines: no paths, no marks, no layout, no context, added before removed."""
    lines = [line for change in parse_diff(record.input) for hunk in change.hunks for line in hunk.split("\n")[1:]]
    changed = (line[1:] for sign in "+-" for line in lines if line.startswith(sign))
    return " ".join(word for line in changed for word in _WORD.findall(line.lower()))
