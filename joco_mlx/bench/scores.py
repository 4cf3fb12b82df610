"""One answer, judged against one reference.

Decides what is looked at: the answer as the model wrote it, without repair. Form is judged on the whole answer, the words
on the description alone, because a type in front makes every two messages alike. An error is an empty answer: it fails
everything and is never left out.
"""

import re
from dataclasses import dataclass

from joco_mlx.bench.rubric import joco_score
from joco_mlx.bench.text import b_norm, chrf, edit_similarity, rouge_l
from joco_mlx.commit.message import Message, is_valid, parse, strip_pr_suffix

_WORD = re.compile(r"[^\W_]{3,}")


@dataclass(frozen=True)
class Scores:
    """What was found about one answer. Similarities and shares are 0 to 1."""

    valid: bool
    """commitlint would take it: strict validity."""
    joco_score: int
    """0 to 100."""
    type: str | None
    """The answer's type; None when its header is not conventional."""
    type_right: bool
    scope_right: bool
    """Same scope, or none in both."""
    exact: bool
    """Same header, letter by letter."""
    chars: int
    """Of the first line."""
    copied: float
    """Share of the description's words (three letters and more) that stand in the diff."""
    edit_similarity: float
    chrf: float
    rouge_l: float
    b_norm: float


def judge(answer: str, reference: str, diff: str) -> Scores:
    """Return the scores of `answer`; the reference's pull-request suffix does not count."""
    wanted_header = strip_pr_suffix(_first_line(reference))
    wanted, given = parse(wanted_header), parse(answer)
    ours, theirs = _description(given, answer), _description(wanted, wanted_header)
    return Scores(
        valid=is_valid(answer),
        joco_score=joco_score(answer),
        type=given.type if given else None,
        type_right=bool(given and wanted and given.type == wanted.type),
        scope_right=bool(given and wanted and given.scope == wanted.scope),
        exact=_first_line(answer) == wanted_header,
        chars=len(_first_line(answer)),
        copied=_copied(ours, diff),
        edit_similarity=edit_similarity(ours, theirs) if ours else 0.0,
        chrf=chrf(ours, theirs) if ours else 0.0,
        rouge_l=rouge_l(ours, theirs),
        b_norm=b_norm(ours, theirs),
    )


def _first_line(text: str) -> str:
    return next(iter(text.strip().splitlines()), "").rstrip()


def _description(message: Message | None, text: str) -> str:
    return message.description if message else _first_line(text)


def _copied(description: str, diff: str) -> float:
    words = set(_WORD.findall(description.lower()))
    return len(words & set(_WORD.findall(diff.lower()))) / len(words) if words else 0.0
