"""What is benchmarked, as far as a run needs to know it: a name, what identifies it, and something that answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from joco_mlx.commit.record import Record

DIFF_MARK = "{diff}"
"""Stands in a prompt that is written down where the fitted diff stands in one that is sent."""


class NoAnswerError(Exception):
    """One case has no answer; the text says why, in the same words each time."""


@dataclass(frozen=True)
class Question:
    """One case, as it is asked."""

    record: Record
    seed: int


class Answerer(Protocol):
    """Something that answers cases, several at a time where that is faster."""

    def __call__(self, questions: Sequence[Question], /) -> Sequence[str | NoAnswerError]:
        """Return a message for each question's diff, or why there is none."""


def one_by_one(answer: Callable[[Record, int], str]) -> Answerer:
    """Return something that answers each case by itself; `answer` raises NoAnswerError when there is none."""

    def ask(question: Question) -> str | NoAnswerError:
        try:
            return answer(question.record, question.seed)
        except NoAnswerError as problem:
            return problem

    return lambda questions: [ask(question) for question in questions]


@dataclass(frozen=True)
class Subject:
    """What is benchmarked, before anything is loaded."""

    name: str
    identity: Mapping[str, Any]
    """What decides its answers: names and digests."""
    prompt: str
    """What it is asked, with `{diff}` where the fitted diff stands; empty for a baseline."""
    train: Path | None
    """The dataset that it was trained on, when that is known."""
    train_digest: str | None
    """The SHA-256 of that dataset's manifest when it was trained on; None when nobody wrote it down."""
    open: Callable[[], Answerer]
    fitted_on: frozenset[str] = frozenset()
    """Names of cases that its prior of types was fitted on."""
    words_from: str | None = None
    """The SHA-256 of the training records that its prior knows the words of."""
    at_once: int = 1
    """How many cases it is asked at a time. They are always the same ones together, also after a kill."""
