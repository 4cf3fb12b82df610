"""The folder in which a build keeps what is done, so that a killed one goes on where it was.

Decides where it lies (hidden, beside the dataset that is being built), what it holds (the plan, and one file for each
finished shard under the digest of all that decides it) and who may use it (one process). It is gone when the dataset
stands. Whatever is in it is either whole or has a temporary name. While it goes, a file beside it says which build it
was that delivered: an empty folder alone is also what a build leaves that was killed as it began.
"""

import fcntl
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joco_mlx import artifacts
from joco_mlx.dataset.shard import Shard
from joco_mlx.errors import ConflictError, InputError

_PLAN, _LOCK, _MADE, _OLD, _READY, _SHARDS = "plan.json", "lock", "dataset", "old", "ready", "shards"


@dataclass(frozen=True)
class Workshop:
    """The folder, while this process holds its lock."""

    folder: Path

    def plan(self, key: str, make: Callable[[], Any]) -> Any:
        """Return the plan that an interrupted build with the same key made, or make it and keep it."""
        path = self.folder / _PLAN
        try:
            kept = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            kept = None
        if not isinstance(kept, dict) or kept.get("key") != key:
            kept = {"key": key, "plan": make()}
            artifacts.write_json(path, kept)
        return kept["plan"]

    def result(self, shard: Shard) -> Path:
        """Return where the result of a shard is kept."""
        return self.folder / _SHARDS / shard.key

    def keep(self, shard: Shard, result: bytes) -> None:
        """Keep the result of a shard, whole or not at all."""
        with artifacts.whole_file(self.result(shard)) as file:
            file.write(result)

    @property
    def made(self) -> Path:
        """Where the dataset is put together before it takes its place."""
        return self.folder / _MADE

    def is_ready(self, key: str, out: Path) -> bool:
        """Whether a build with this key was killed while it delivered, or after that."""
        if not self.made.exists() and not artifacts.is_finished(out):
            return False
        said = [path.read_text("ascii") for path in (self.folder / _READY, _delivered(self.folder)) if path.exists()]
        return key in said

    def deliver(self, key: str, out: Path) -> None:
        """Put the finished dataset where it belongs; what was there before goes. Killed in the middle, call it again."""
        artifacts.write_text(self.folder / _READY, key)
        if not self.made.exists():
            return
        if out.exists():
            shutil.rmtree(self.folder / _OLD, ignore_errors=True)
            out.replace(self.folder / _OLD)
        self.made.replace(out)


@contextmanager
def workshop(out: Path) -> Iterator[Workshop]:
    """Open the work folder of the dataset `out`; it stays when the block is interrupted after a shard was read.

    An InputError takes with it what this block read, but nothing that an interrupted one left.

    Raises:
        ConflictError: Another process is building `out`.
    """
    folder = out.parent / f".{out.name}.building"
    goes_on = (folder / _SHARDS).is_dir()
    with artifacts.telling_disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / _LOCK).open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConflictError(
                f"{out} is being built by another process.", "Wait for it, or choose another --out."
            ) from None
        try:
            yield Workshop(folder)
        except BaseException as problem:
            if not (folder / _SHARDS).is_dir() or (isinstance(problem, InputError) and not goes_on):
                shutil.rmtree(folder)
            raise
        _leave(folder)


def _delivered(folder: Path) -> Path:
    """Return the file beside the folder that says which build delivered."""
    return folder.with_suffix(".delivered")


def _leave(folder: Path) -> None:
    """Remove the folder; what says that the dataset was delivered goes last, so that this can be interrupted too."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != _READY:
            path.unlink()
    if (folder / _READY).exists():
        (folder / _READY).replace(_delivered(folder))
    folder.rmdir()
    _delivered(folder).unlink(missing_ok=True)
