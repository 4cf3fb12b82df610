"""Training in a process of its own, started again when it dies.

Decides what becomes of a run whose process was killed: of memory, then it goes on from its last checkpoint with the next
smaller memory plan; of anything else, then once more with the same plan. MLX aborts the process when a GPU is out of
memory, or raises, as its version has it, and on Linux it dies of a segmentation fault, so that nothing inside the process
can do this. Leaves training to `train.run`, and what the two processes say to each other to `train.child` and `train.pipe`.
"""

import contextlib
import dataclasses
import json
import signal
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from joco_mlx import errors, process
from joco_mlx.artifacts import Artifact, open_artifact
from joco_mlx.config import TrainConfig
from joco_mlx.errors import JocoError, MachineError
from joco_mlx.progress import Progress, Silent
from joco_mlx.train.footprint import died_of_memory, kill_count
from joco_mlx.train.interruption import handed_on_interrupts
from joco_mlx.train.live_run import record_failure, refuse_taken
from joco_mlx.train.pipe import Relay

_COMMAND = (sys.executable, "-P", "-m", "joco_mlx.train.child")  # -P: nothing is imported from the current folder


@dataclass(frozen=True)
class _Job:
    """What a process is told to do; `config` for a new run, else `run` and `given` for one to go on with."""

    config: Mapping[str, Any] | None = None
    run: str | None = None
    given: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    smaller_by: int = 0
    reason: str = "begun"


@dataclass
class _Attempt:
    """What was heard of one process, and how it ended."""

    folder: Path | None = None
    """The run's, once it was held."""
    smaller: int = 0
    """Memory plans below the one in use."""
    share: float = 0.0
    """Of its memory limit, as it last said."""
    finished: bool = False
    problem: JocoError | None = None
    interrupted: bool = False
    death: str = ""
    of_memory: bool = False

    def take(self, message: Mapping[str, Any]) -> None:
        """Take note of a message."""
        match message["event"]:
            case "begun":
                self.folder, self.smaller = Path(message["folder"]), message["smaller"]
            case "memory":
                self.share = message["share"]
            case "finished":
                self.finished = True
            case "interrupted":
                self.interrupted = True
            case "error":
                self.problem = getattr(errors, message["kind"])(message["message"], message["hint"])


def train(config: TrainConfig, *, progress: Progress | None = None) -> Artifact:
    """Do what `train.run.train` does in a child process.

    Raises:
        JocoError: As `train.run.train`.
        MachineError: The process died of memory with the smallest plan, or twice of something else.
    """
    if config.out is not None:
        refuse_taken(config.out)
    return _supervised(_Job(config=dataclasses.asdict(config)), progress or Silent())


def resume(
    path: Path | str | None = None, *, given: Mapping[str, Any] | None = None, progress: Progress | None = None
) -> Artifact:
    """Do what `train.run.resume` does in a child process.

    Raises:
        JocoError: As `train.run.resume`.
        MachineError: As `train`.
    """
    run = None if path is None else str(path)
    return _supervised(_Job(run=run, given=given or {}, reason="resumed"), progress or Silent())


def _supervised(job: _Job, progress: Progress) -> Artifact:
    died_before = False
    while True:
        attempt = _attempt(job, progress)
        if attempt.problem is not None:
            raise attempt.problem
        if attempt.interrupted:
            raise KeyboardInterrupt
        if attempt.finished and attempt.folder is not None:
            return open_artifact(attempt.folder, "run")
        if attempt.of_memory and attempt.smaller:
            progress.note(f"Training ran out of memory ({attempt.death}). Going on with the next smaller memory plan.")
            job = _next(job, attempt, smaller_by=job.smaller_by + 1)
        elif not attempt.of_memory and not died_before:
            progress.note(f"The training process died ({attempt.death}). Starting it once more.")
            died_before = True
            job = _next(job, attempt, smaller_by=job.smaller_by)
        else:
            raise _given_up(attempt)


def _next(job: _Job, attempt: _Attempt, *, smaller_by: int) -> _Job:
    """Return the job that goes on where a process died: with its run, or from the start when it had none yet."""
    reason = f"{'out of memory' if attempt.of_memory else 'died'}: {attempt.death}"
    changed = replace(job, smaller_by=smaller_by, reason=reason)
    return changed if attempt.folder is None else replace(changed, config=None, run=str(attempt.folder))


def _given_up(attempt: _Attempt) -> MachineError:
    if attempt.of_memory:
        problem = MachineError(
            f"Training ran out of memory with the smallest plan there is ({attempt.death}).",
            "Begin another run with a smaller --max-seq-length, --batch-size or --model.",
        )
    else:
        again = f"joco-mlx train --resume {attempt.folder}" if attempt.folder else "joco-mlx train"
        problem = MachineError(
            f"The training process died twice, the second time of this: {attempt.death}.",
            f"Try it without a second process: {again} --no-supervise",
        )
    if attempt.folder is not None:
        record_failure(attempt.folder, problem.message)
    return problem


def _attempt(job: _Job, progress: Progress) -> _Attempt:
    """Let one process do `job`, show its progress, and return what became of it."""
    attempt, relay, kills = _Attempt(), Relay(progress), kill_count()
    with tempfile.TemporaryFile() as complaints, process.converse(_COMMAND, stderr=complaints) as child:
        with handed_on_interrupts(lambda: child.send_signal(signal.SIGINT)) as interrupted:
            _say(child.stdin, job)
            for line in child.stdout:
                if not line.endswith(b"\n"):  # killed while writing
                    break
                message = json.loads(line)
                if not relay.take(message):
                    attempt.take(message)
            code = child.wait()
        relay.close()
        if not (attempt.finished or attempt.problem):
            attempt.interrupted |= interrupted()
            attempt.of_memory = died_of_memory(code, attempt.share, kill_count() - kills)
            attempt.death = _cause(code, attempt.share, complaints)
    return attempt


def _say(pipe: IO[bytes], job: _Job) -> None:
    with contextlib.suppress(BrokenPipeError):  # it has died already, which its exit code tells
        pipe.write(json.dumps(dataclasses.asdict(job), default=str).encode() + b"\n")
        pipe.flush()


def _cause(code: int, share: float, complaints: IO[bytes]) -> str:
    if code < 0:
        return f"{signal.Signals(-code).name} at {share:.0%} of its memory"
    complaints.seek(0)
    return process.Finished(code, b"", complaints.read()).complaint
