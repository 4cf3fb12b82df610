"""The folder of a run while cases are asked: who may write it, what it is a run of, and what is already done."""

import fcntl
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, ClassVar

from joco_mlx import artifacts
from joco_mlx.bench.cases import Case
from joco_mlx.bench.results import RESULTS, Result, read_results, resume
from joco_mlx.errors import ConflictError

TIMINGS = "timings.jsonl"
_ELSEWHERE = "Choose another --out or --run-id."


class LiveBench:
    """A run's folder that this process holds.

    Attributes:
        done: Cases that are answered.
        valid: How many of these answers are strictly valid.
        finished: Whether the run came to its end.
    """

    DOCUMENT: ClassVar[str] = "bench.json"

    def __init__(self, folder: Path, done: Sequence[Result], results: IO[bytes], timings: IO[bytes]) -> None:
        self.done = len(done)
        self.valid = sum(result.scores.valid for result in done)
        self.finished = artifacts.is_finished(folder)
        self._path = folder / RESULTS
        self._results, self._timings = results, timings

    @classmethod
    @contextmanager
    def open(cls, folder: Path, document: Mapping[str, Any], cases: Sequence[Case]) -> "Iterator[LiveBench]":
        """Hold a new or a killed run's folder, or a finished one's.

        Raises:
            ConflictError: It is the folder of something else, or another process holds it.
            MachineError: It cannot be written.
        """
        with ExitStack() as stack:
            with artifacts.telling_disk_errors(folder):
                _claim(folder, document)
                results = stack.enter_context((folder / RESULTS).open("ab"))
                _lock(results, folder)
                resume(folder / RESULTS, cases)
                timings = stack.enter_context((folder / TIMINGS).open("ab"))
            yield cls(folder, read_results(folder), results, timings)

    def write(self, result: Result, wall_seconds: float) -> None:
        """Add a case, there for readers and safe from the death of this process at once."""
        with artifacts.telling_disk_errors(self._path):
            timing = json.dumps({"key": result.key, "wall_seconds": round(wall_seconds, 4)})
            for file, line in ((self._timings, timing.encode() + b"\n"), (self._results, result.to_line())):
                file.write(line)
                file.flush()
        self.done += 1
        self.valid += result.scores.valid


def _claim(folder: Path, document: Mapping[str, Any]) -> None:
    """Make the folder this run's, or see that it is."""
    path = folder / LiveBench.DOCUMENT
    if path.is_file():
        found = _read(path)
        differing = sorted(name for name in {*found, *document} if found.get(name) != document.get(name))
        if differing:
            raise ConflictError(f"{folder} holds a run with other {', '.join(differing)}.", _ELSEWHERE)
        return
    if folder.is_dir() and any(folder.iterdir()):
        raise ConflictError(f"{folder} exists and is no benchmark run.", _ELSEWHERE)
    folder.mkdir(parents=True, exist_ok=True)
    artifacts.write_json(path, document)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (ValueError, OSError) as problem:
        raise ConflictError(f"{path} cannot be read: {problem}.", _ELSEWHERE) from problem
    return found if isinstance(found, dict) else {}


def _lock(file: IO[bytes], folder: Path) -> None:
    """Hold the results as long as the file is open; the operating system lets go when the process dies."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise ConflictError(f"Another process writes {folder}.", "Wait for it, or choose another --run-id.") from None
