"""What a training process tells the one that supervises it: JSON lines through a pipe.

Decides how progress crosses, so that the parent shows the same bars and notes as if it trained itself. Leaves what the
other messages mean to `train.child`, which writes them, and `train.supervise`, which reads them.
"""

import itertools
import json
import threading
from collections.abc import Mapping
from typing import IO, Any

from joco_mlx.progress import Progress, Task


class Pipe:
    """The writing end, for several threads."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._lock = threading.Lock()

    def send(self, event: str, **content: Any) -> None:
        """Write one message. A reader that is gone hears nothing; whoever watches for that ends this process."""
        line = json.dumps({"event": event, **content}).encode() + b"\n"
        with self._lock:
            try:
                self._file.write(line)
                self._file.flush()
            except BrokenPipeError:
                return


class PipeProgress:
    """Progress that is shown on the other side of a pipe."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._numbers = itertools.count()

    def start(self, title: str, total: float | None = None, unit: str = "") -> Task:
        """Open a piece of work over there."""
        number = next(self._numbers)
        self._pipe.send("start", task=number, title=title, total=total, unit=unit)
        return _PipeTask(self._pipe, number)

    def done(self, task: Task) -> None:
        """Close it."""
        if isinstance(task, _PipeTask):
            self._pipe.send("done", task=task.number)

    def note(self, text: str) -> None:
        """Send a line worth reading."""
        self._pipe.send("note", text=text)


class _PipeTask:
    def __init__(self, pipe: Pipe, number: int) -> None:
        self.pipe, self.number = pipe, number

    def advance(self, amount: float = 1, **figures: float | str) -> None:
        self.pipe.send("advance", task=self.number, amount=amount, figures=figures)


class Relay:
    """The reading end of a `PipeProgress`: shows what it sends on a progress of this process."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[int, Task] = {}

    def take(self, message: Mapping[str, Any]) -> bool:
        """Show a message; return False when it is not about progress."""
        match message["event"]:
            case "start":
                opened = self._progress.start(message["title"], message["total"], message["unit"])
                self._tasks[message["task"]] = opened
            case "advance":
                self._tasks[message["task"]].advance(message["amount"], **message["figures"])
            case "done":
                self._progress.done(self._tasks.pop(message["task"]))
            case "note":
                self._progress.note(message["text"])
            case _:
                return False
        return True

    def close(self) -> None:
        """Close what a process that died left open."""
        while self._tasks:
            self._progress.done(self._tasks.popitem()[1])
