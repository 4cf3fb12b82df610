"""What a report draws: bars, intervals and curves as numbers that a template can put into a drawing."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BIN_CHARS = 10
LAST_BIN = 100
"""Headers of this many characters and more share a bar: the longest that commitlint takes is 100."""
SHADES = 6
WIDTH, HEIGHT = 600, 160
_LOSS_POINTS = 300


@dataclass(frozen=True)
class Bar:
    """How many headers have a length."""

    label: str
    count: int
    share: float
    """Of the tallest bar, 0 to 1."""


@dataclass(frozen=True)
class Confusion:
    """Reference types against answered types."""

    answered: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[int, int], ...]], ...]
    """Reference type, and for each answered type the count and its shade: 0 for none to `SHADES` for all of the row."""


@dataclass(frozen=True)
class Loss:
    """A training run's loss, as points of polylines in a drawing of WIDTH by HEIGHT."""

    training: str
    validation: str
    steps: int
    lowest: float
    highest: float
    last: float


def lengths(chars: Sequence[int]) -> list[Bar]:
    """Return a histogram of lengths in steps of ten characters."""
    counts = Counter(min(count // BIN_CHARS * BIN_CHARS, LAST_BIN) for count in chars)
    most = max(counts.values(), default=1)
    starts = range(0, LAST_BIN + 1, BIN_CHARS)
    return [
        Bar(f"{start}+" if start == LAST_BIN else str(start), counts[start], counts[start] / most) for start in starts
    ]


def confusion(table: Mapping[str, Mapping[str, int]]) -> Confusion:
    """Return the confusion of `metrics.json` with shades."""
    answered = tuple(sorted({*table, *(name for given in table.values() for name in given)}))
    rows = []
    for wanted, given in table.items():
        total = sum(given.values())
        cells = tuple((given.get(name, 0), -(-SHADES * given.get(name, 0) // total)) for name in answered)
        rows.append((wanted, cells))
    return Confusion(answered, tuple(rows))


def interval(figure: Mapping[str, Any], most: float) -> tuple[float, float, float] | None:
    """Return value and ends of an interval as shares of `most` in percent; None where there is no number."""
    low, high = figure["interval"]
    if None in (figure["value"], low, high):
        return None
    value, start, end = (100 * float(number) / most for number in (figure["value"], low, high))
    return value, start, end


def loss(metrics: Path) -> Loss | None:
    """Return the curves of a run's `metrics.jsonl`; None when there is none with two steps."""
    if not metrics.is_file():
        return None
    lines = [json.loads(line) for line in metrics.read_text("utf-8").splitlines()]
    training, validation = (
        [(int(line["step"]), float(line[name])) for line in lines if line.get(name) is not None]
        for name in ("loss", "val_loss")
    )
    if len(training) < 2:
        return None
    kept = training[:: -(-len(training) // _LOSS_POINTS)]
    losses = [value for _, value in [*kept, *validation]]
    steps, lowest, highest = training[-1][0], min(losses), max(losses)

    def points(curve: Sequence[tuple[int, float]]) -> str:
        spread = highest - lowest or 1.0
        return " ".join(
            f"{WIDTH * step / steps:.1f},{HEIGHT * (highest - value) / spread:.1f}" for step, value in curve
        )

    return Loss(points(kept), points(validation), steps, lowest, highest, training[-1][1])
