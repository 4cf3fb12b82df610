"""The folder of a run while it is being made: run.json, its lock, and metrics.jsonl.

Decides who may write into a run folder (one process, by a lock that the operating system drops when the process dies)
and which state `run.json` tells: running, then finished, interrupted or failed. Each process that works on a run is one
of its segments; a later one first clears away what a killed one left half-written. The manifest that makes a run a
finished artefact is written last. Leaves reading a run to `models.runs`.
"""

import fcntl
import itertools
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from joco_mlx import artifacts
from joco_mlx.config import RUNS_FOLDER
from joco_mlx.errors import ConflictError, JocoError, MachineError, StoppedError
from joco_mlx.models.runs import RUN_FILE, State

LOCK = "lock"
METRICS = "metrics.jsonl"
SAMPLES = "samples.jsonl"


class LiveRun:
    """A run folder that this process holds.

    Attributes:
        folder: Where it is.
        document: What `run.json` says.
    """

    def __init__(self, folder: Path, document: Mapping[str, Any], metrics: IO[str], lock: IO[str]) -> None:
        self.folder = folder
        self._lock = lock
        self.document: dict[str, Any] = {
            "process": os.getpid(),
            **document,
            "segments": [*document.get("segments", ())],
        }
        self._metrics = metrics
        self._segment: dict[str, Any] = {}
        self.set_state("running")

    def begin(self, step: int, **about: Any) -> None:
        """Start a segment after `step` steps, and forget what metrics.jsonl and samples.jsonl say of later ones."""
        for name in (METRICS, SAMPLES):
            _keep_until(self.folder / name, step)
        self._segment = {"from_step": step, "began_at": _now(), "process": os.getpid(), **about}
        self.document["segments"].append(self._segment)
        self.set_state("running")

    @property
    def is_there(self) -> bool:
        """Whether the folder is still the one that this process holds: it may have been deleted, or its disk unplugged."""
        try:
            return os.path.samestat(os.fstat(self._lock.fileno()), (self.folder / LOCK).stat())
        except OSError:
            return False

    def set_state(self, state: State, **more: Any) -> None:
        """Write `run.json` with this state.

        Raises:
            MachineError: The folder is gone.
        """
        self._require_there()
        now = {"state": state, "changed_at": _now()}
        self.document.update(now, **more)
        self._segment.update(now)
        artifacts.write_json(self.folder / RUN_FILE, self.document)

    def write(self, figures: dict[str, Any]) -> None:
        """Add one line to metrics.jsonl, there for readers at once."""
        with artifacts.telling_disk_errors(self.folder / METRICS):
            self._metrics.write(json.dumps(figures, allow_nan=False) + "\n")
            self._metrics.flush()

    def write_sample(self, line: dict[str, Any]) -> None:
        """Add one line to samples.jsonl.

        Raises:
            MachineError: The disk is full, or the folder is gone.
        """
        self._require_there()
        path = self.folder / SAMPLES
        with artifacts.telling_disk_errors(path), path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def sync(self) -> None:
        """Make the lines of metrics.jsonl survive a power cut.

        Raises:
            MachineError: The folder is gone: better told than made anew, where the disk was mounted.
        """
        self._require_there()
        with artifacts.telling_disk_errors(self.folder / METRICS):
            os.fsync(self._metrics.fileno())

    def _require_there(self) -> None:
        if not self.is_there:
            raise MachineError(
                f"The run folder {self.folder} is gone.",
                f"If its disk was unplugged, plug it in and go on: joco-mlx train --resume {self.folder}",
            )

    def finish(self, parents: Mapping[str, str], files: Sequence[Path], **more: Any) -> artifacts.Artifact:
        """Set the state to finished, with `more` in run.json, and seal the folder."""
        self.set_state("finished", **more)
        own = [self.folder / name for name in (RUN_FILE, METRICS, SAMPLES) if (self.folder / name).is_file()]
        return artifacts.seal(self.folder, "run", config=self.document["config"], parents=parents, files=[*own, *files])


@contextmanager
def live_run(out: Path | None, name: str, document: Mapping[str, Any]) -> Iterator[LiveRun]:
    """Make a run folder and hold it for the length of a block; what ends the block early is written into run.json.

    Args:
        out: The folder; `runs/TIME-NAME` when None.
        name: Of the model.
        document: What `run.json` says beside the state.

    Raises:
        ConflictError: The folder exists, or another process holds it.
        MachineError: It cannot be made.
    """
    with _held(_made(out, name), {"started_at": _now(), **document}) as run:
        yield run


@contextmanager
def reopened_run(folder: Path, document: Mapping[str, Any]) -> Iterator[LiveRun]:
    """Hold a run folder that an earlier process left, cleared of what that one was writing when it died.

    Args:
        folder: Of a run that is not finished.
        document: What its `run.json` says.

    Raises:
        ConflictError: Another process holds it.
    """
    with _held(folder, document) as run:
        run.document.pop("problem", None)
        for pattern in (".*.part", ".*.old"):
            for left in [*folder.glob(pattern), *folder.glob(f"*/{pattern}")]:
                shutil.rmtree(left) if left.is_dir() else left.unlink()
        yield run


@contextmanager
def _held(folder: Path, document: Mapping[str, Any]) -> Iterator[LiveRun]:
    with artifacts.telling_disk_errors(folder):
        lock, metrics = (folder / LOCK).open("w"), (folder / METRICS).open("a", encoding="utf-8")
    with lock, metrics:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _in_use(folder) from None
        run = LiveRun(folder, document, metrics, lock)
        try:
            yield run
        except BaseException as problem:
            if run.is_there:
                _tell_end(run, problem)
            raise


def _tell_end(run: LiveRun, problem: BaseException) -> None:
    if isinstance(problem, KeyboardInterrupt | StoppedError):
        run.set_state("interrupted")
    else:
        run.set_state("failed", problem=problem.message if isinstance(problem, JocoError) else repr(problem))


def _keep_until(lines: Path, step: int) -> None:
    """Cut a file of JSON lines before the first that is torn or of a later step."""
    if not lines.is_file():
        return
    with lines.open("r+b") as file:
        kept = 0
        for line in file:
            if not line.endswith(b"\n") or json.loads(line)["step"] > step:
                break
            kept += len(line)
        file.truncate(kept)


def record_failure(folder: Path, problem: str) -> None:
    """Write into `run.json` why a run ended whose own process could not."""
    document = json.loads((folder / RUN_FILE).read_text("utf-8"))
    artifacts.write_json(folder / RUN_FILE, {**document, "state": "failed", "changed_at": _now(), "problem": problem})


def is_held(folder: Path) -> bool:
    """Whether a living process holds the lock of a run folder."""
    if not (folder / LOCK).is_file():
        return False
    with (folder / LOCK).open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def refuse_taken(out: Path) -> None:
    """Raise ConflictError when `out` exists or another process holds it."""
    if is_held(out):
        raise _in_use(out)
    artifacts.refuse_existing(out)


def _in_use(folder: Path) -> ConflictError:
    return ConflictError(f"The run {folder} is in use by another process.", "Wait for it, or choose another --out.")


def _made(out: Path | None, name: str) -> Path:
    if out is None:
        return _fresh(name)
    refuse_taken(out)
    with artifacts.telling_disk_errors(out):
        out.mkdir(parents=True)
    return out


def _fresh(name: str) -> Path:
    """Make `runs/TIME-NAME`; a second run in the same second gets a number."""
    stem = f"{datetime.now().strftime('%Y%m%d-%H%M%S')}-{Path(name).name}"
    for number in itertools.count(1):
        folder = RUNS_FOLDER / (stem if number == 1 else f"{stem}-{number}")
        with artifacts.telling_disk_errors(folder):
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                continue
        break
    return folder


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
