"""A run's figures in the form that TensorBoard shows, beside metrics.jsonl.

Decides what the curves are called and where they lie: `tensorboard/` in the run's folder, one file a process. A run that
is gone on with hides what a killed process wrote after its checkpoint. metrics.jsonl stays the record; the curves are not
sealed with the run.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from joco_mlx.config import Tracker
from joco_mlx.errors import MachineError
from joco_mlx.train.live_run import LiveRun

FOLDER = "tensorboard"


class _Curves:
    """A run's journal whose lines also become points of curves."""

    def __init__(self, run: LiveRun, writer: Any) -> None:
        self._run = run
        self._writer = writer

    def write(self, figures: dict[str, Any]) -> None:
        """Add one line, and a point to the curve of each of its figures."""
        self._run.write(figures)
        split = "validation" if "val_loss" in figures else "training"
        for name, value in figures.items():
            if name != "step" and isinstance(value, int | float):
                self._writer.add_scalar(f"{split}/{name.removeprefix('val_')}", value, figures["step"])

    def sync(self) -> None:
        """Make all of it so far survive the process."""
        self._run.sync()
        self._writer.flush()


def require(tracker: Tracker) -> None:
    """Raise MachineError when the tracker's package is not installed."""
    if tracker == "tensorboard":
        _writer_class()


@contextmanager
def tracked(run: LiveRun, tracker: Tracker, step: int) -> Iterator["LiveRun | _Curves"]:
    """Give the journal to write to for the length of a block.

    Args:
        run: That is trained.
        tracker: From the config.
        step: How many steps are done; points of later ones are hidden.

    Raises:
        MachineError: The tracker's package is not installed.
    """
    if tracker == "none":
        yield run
        return
    own = f".{time.time_ns()}"  # its own name has only seconds: a run gone on with within one would overwrite the file
    purged = step + 1 if step else None
    with _writer_class()(logdir=str(_folder(run)), purge_step=purged, filename_suffix=own) as writer:
        yield _Curves(run, writer)


def _folder(run: LiveRun) -> Path:
    return run.folder / FOLDER


def _writer_class() -> Any:
    try:
        from tensorboardX import SummaryWriter  # noqa: PLC0415  (an extra)
    except ImportError:
        raise MachineError(
            "The tracker tensorboard needs tensorboardX, which is not installed.",
            "Install it: pip install 'joco-mlx[tensorboard]'",
        ) from None
    return SummaryWriter
