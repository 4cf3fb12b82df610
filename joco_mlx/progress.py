"""How a stage says where it is. Stages report and never print; `cli` decides what a person sees."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Task(Protocol):
    """One piece of long work inside a stage."""

    def advance(self, amount: float = 1, **figures: float | str) -> None:
        """Say that `amount` more units are done; `figures` are shown beside the bar (`loss=2.31`)."""


class Progress(Protocol):
    """What every stage takes as `progress=`."""

    def start(self, title: str, total: float | None = None, unit: str = "") -> Task:
        """Open a piece of work of `total` units (None when unknown), counted in `unit`."""

    def done(self, task: Task) -> None:
        """Close a piece of work, finished or not."""

    def note(self, text: str) -> None:
        """One line worth reading that is not an error."""


class _SilentTask:
    def advance(self, amount: float = 1, **figures: float | str) -> None:
        """Say nothing."""


class Silent:
    """The progress of a caller who wants none: the Python API's default."""

    def start(self, title: str, total: float | None = None, unit: str = "") -> Task:
        """Open a piece of work that nobody watches."""
        return _SilentTask()

    def done(self, task: Task) -> None:
        """Close it."""

    def note(self, text: str) -> None:
        """Drop the line."""


@contextmanager
def task(progress: Progress, title: str, total: float | None = None, unit: str = "") -> Iterator[Task]:
    """Open a piece of work for the length of a `with` block, and close it also when the block fails."""
    opened = progress.start(title, total, unit)
    try:
        yield opened
    finally:
        progress.done(opened)
