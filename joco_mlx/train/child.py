"""The process that trains for a supervising one: `python -m joco_mlx.train.child`.

Reads its job as one line of JSON from standard input and writes what happens to standard output. When standard input
closes, the parent is gone: then training is interrupted as by Ctrl-C, which saves a checkpoint.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from io import FileIO
from json import loads
from typing import Any

from joco_mlx.artifacts import Artifact
from joco_mlx.config import TrainConfig, resolve
from joco_mlx.errors import JocoError
from joco_mlx.train.backends.dispatch import resume, train
from joco_mlx.train.footprint import is_out_of_memory, share_of_limit
from joco_mlx.train.pipe import Pipe, PipeProgress
from joco_mlx.train.run import Orders

SECONDS_TO_SAVE = 120.0
"""How long an orphan may take to end its step and save."""
_LOOK_EVERY_SECONDS = 0.02
_WORTH_TELLING = 0.01


def main() -> int:
    """Do one job and return the exit code."""
    pipe = Pipe(os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)  # what a library prints must not reach the pipe
    given = FileIO(0, closefd=False)
    job = loads(given.readline())
    for watch in (_end_when_orphaned, _tell_memory):
        threading.Thread(target=watch, args=(given, pipe), daemon=True).start()
    try:
        made = _done(job, pipe)
    except KeyboardInterrupt:
        pipe.send("interrupted")
        return 130
    except JocoError as problem:
        pipe.send("error", kind=type(problem).__name__, message=problem.message, hint=problem.hint)
        return problem.exit_code
    except (MemoryError, RuntimeError) as problem:
        if is_out_of_memory(problem):
            pipe.send("memory", share=1.0)
            os.kill(os.getpid(), signal.SIGABRT)  # as MLX does it where it raises nothing
        raise
    pipe.send("finished", folder=str(made.folder))
    return 0


def _done(job: Mapping[str, Any], pipe: Pipe) -> Artifact:
    orders = Orders(
        smaller_by=job["smaller_by"],
        reason=job["reason"],
        begun=lambda folder, smaller: pipe.send("begun", folder=str(folder), smaller=smaller),
    )
    progress = PipeProgress(pipe)
    if job["config"] is None:
        return resume(job["run"], given=job["given"], progress=progress, orders=orders)
    config = resolve(TrainConfig, {}, environment={}, files={"the job": job["config"]})
    return train(config, progress=progress, orders=orders)


def _end_when_orphaned(given: FileIO, _pipe: Pipe) -> None:
    while given.read(1):
        continue
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(SECONDS_TO_SAVE)
    os._exit(130)


def _tell_memory(_given: FileIO, pipe: Pipe) -> None:
    """Report memory in time: a process that dies of it has no last word."""
    told = 0.0
    while True:
        share = share_of_limit()
        if abs(share - told) >= _WORTH_TELLING:
            told = share
            pipe.send("memory", share=share)
        time.sleep(_LOOK_EVERY_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
