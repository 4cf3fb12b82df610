"""Everything a person sees: tables, progress, notes and errors.

Results go to standard output, everything else to standard error. On a terminal progress is a bar with an ETA; elsewhere
it is a plain line now and then, without control codes. Colour follows NO_COLOR and the terminal (rich decides). Control
characters of foreign names and texts are spelt out, so that none of them steers a terminal.
"""

import io
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from joco_mlx.errors import JocoError, MachineError
from joco_mlx.progress import Progress, Task

PLAIN_LINE_EVERY_SECONDS = 10.0
_PIPE_WIDTH = 10_000
_GROWING = "text"
"""The figure that is a text while it is written: shown on a terminal, and in a pipe only as the result."""
_SHOWN_ITEMS, _SHOWN_CHARS = 6, 100
# All but tab and line ends; the embeddings, overrides and isolates that reorder a line; what no stream can encode.
_CONTROL = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

_out = Console(highlight=False)
_err = Console(stderr=True, highlight=False)


def say(text: str = "") -> None:
    """Print a line of the result."""
    with _writing():
        _out.print(Text(_spelt(text)), soft_wrap=True)


def say_json(value: Any) -> None:
    """Print a result for a program: one JSON document, never coloured or wrapped."""
    with _writing():
        sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")
        sys.stdout.flush()


def heading(text: str) -> None:
    """Print the title of a part of the result."""
    _out.print(Text(f"\n{_spelt(text)}", style="bold"), soft_wrap=True)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """Print a table; the columns named in `right` are aligned to the right. In a pipe a row is always one line."""
    made = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold", no_wrap=_piped())
    for row in rows:
        made.add_row(*(_literal(str(cell)) for cell in row))
    if not _piped():
        _out.print(made)
        return
    text = io.StringIO()
    Console(file=text, width=_PIPE_WIDTH, highlight=False).print(made)
    for line in text.getvalue().splitlines():
        say(line.rstrip())


def brief(value: object) -> str:
    """Return `value` in one short line; of a long list, its length and how it begins."""
    if isinstance(value, list) and len(value) > _SHOWN_ITEMS:
        return f"{len(value):,}: {', '.join(map(repr, value[:_SHOWN_ITEMS]))}, ..."
    text = repr(value) if isinstance(value, str) and not value.isprintable() else str(value)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}..."


@contextmanager
def _writing() -> Iterator[None]:
    """Turn a full disk behind `> FILE` into an error of ours; a pipe that was closed stays typer's."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as problem:
        with Path(os.devnull).open("wb") as nothing:  # for what is left, which Python would try again when it ends
            os.dup2(nothing.fileno(), sys.stdout.fileno())
        raise MachineError(
            f"The result could not be written to standard output: {problem.strerror}.",
            "Free some disk, or send the result elsewhere.",
        ) from problem


def _spelt(text: str) -> str:
    """Return `text` with every control character as Python writes it."""
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)


def _literal(text: str) -> str:
    """Return rich's markup of `text`, in which nothing is markup any more."""
    return escape(_spelt(text))


def _piped() -> bool:
    return not _out.is_terminal


def warn(text: str) -> None:
    """Print a line that is worth reading but no result."""
    _err.print(Text(_spelt(text)), soft_wrap=True)


def error(problem: JocoError) -> None:
    """Print what is wrong and what to do next."""
    _err.print(Text.assemble(("Error: ", "bold red"), _spelt(problem.message)), soft_wrap=True)
    if problem.hint:
        _err.print(Text(f"  {_spelt(problem.hint)}"), soft_wrap=True)


@contextmanager
def progress() -> Iterator[Progress]:
    """Show the progress of a stage for the length of a `with` block."""
    if not _err.is_terminal:
        yield _Plain()
        return
    figures = TextColumn("{task.fields[figures]}", style="dim")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[unit]}"))
    with Bars(*columns, TimeElapsedColumn(), TimeRemainingColumn(), figures, console=_err) as bars:
        yield _Terminal(bars)


class _BarTask:
    def __init__(self, bars: Bars, number: TaskID) -> None:
        self.bars, self.number = bars, number

    def advance(self, amount: float = 1, **figures: float | str) -> None:
        self.bars.advance(self.number, amount)
        if figures:
            growing = figures.pop(_GROWING, None)
            self.bars.update(self.number, figures=_figures(figures) if growing is None else _literal(str(growing)))


class _Terminal:
    def __init__(self, bars: Bars) -> None:
        self.bars = bars

    def start(self, title: str, total: float | None = None, unit: str = "") -> Task:
        return _BarTask(self.bars, self.bars.add_task(_literal(title), total=total, unit=unit, figures=""))

    def done(self, task: Task) -> None:
        if isinstance(task, _BarTask):
            self.bars.stop_task(task.number)

    def note(self, text: str) -> None:
        self.bars.console.print(Text(_spelt(text)), soft_wrap=True)


class _PlainTask:
    def __init__(self, title: str, total: float | None, unit: str) -> None:
        self.title, self.total, self.unit = title, total, unit
        self.done = 0.0
        self.began = self.spoke = time.monotonic()
        self.figures: dict[str, float | str] = {}
        self.told: float | None = None

    def advance(self, amount: float = 1, **figures: float | str) -> None:
        self.done += amount
        self.figures.update({name: value for name, value in figures.items() if name != _GROWING})
        if time.monotonic() - self.spoke >= PLAIN_LINE_EVERY_SECONDS:
            self.speak()

    def speak(self) -> None:
        self.spoke, self.told = time.monotonic(), self.done
        warn(f"{self.title}: {self._count()}{self._eta()} {_figures(self.figures)}".rstrip())

    def _count(self) -> str:
        of = "" if self.total is None else f"/{_amount(self.total)}"
        return f"{_amount(self.done)}{of} {self.unit}".rstrip()

    def _eta(self) -> str:
        if not self.total or not 0 < self.done < self.total:
            return f", {time.monotonic() - self.began:.0f} s"
        left = (time.monotonic() - self.began) * (self.total / self.done - 1)
        return f", about {left:.0f} s left"


class _Plain:
    def start(self, title: str, total: float | None = None, unit: str = "") -> Task:
        return _PlainTask(title, total, unit)

    def done(self, task: Task) -> None:
        if isinstance(task, _PlainTask) and task.told != task.done:
            task.speak()

    def note(self, text: str) -> None:
        warn(text)


def _amount(value: float) -> str:
    """Return a count with all its digits: `134,515,008` and never `1.34515e+08`."""
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def _figures(figures: dict[str, float | str]) -> str:
    return "  ".join(f"{name} {_figure(value)}" for name, value in figures.items())


def _figure(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"
