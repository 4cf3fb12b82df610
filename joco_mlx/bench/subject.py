"""What is benchmarked, as far as a run needs to know it: a name, what identifies it, and something that answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from joco_mlx.commit.record import Record

DIFF_MARK = "{diff}"
"""Stands in a prompt that is written down where the fitted diff stands in one that is sent."""


class NoAnswerError(Exception):
    """One case has no answer; the text says why, in the same words each time."""


class Answerer(Protocol):
    """Something that answers a case."""

    def __call__(self, record: Record, seed: int, /) -> str:
        """Return a message for the record's diff; raise NoAnswerError when there is none."""


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
