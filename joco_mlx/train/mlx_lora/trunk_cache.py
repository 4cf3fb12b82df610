"""What the layers below the adapters made of a record, on disk, so that later epochs and runs need not compute it.

Decides what an entry is the answer to (the base model, how many layers, the ids with their padding, the number type, the
device and MLX's version, because each of them can change a last bit), that a damaged entry counts as none, and what goes
when the cache is full: the longest unused, but nothing that this run has used, because in a pass over more than fits
that would be the next thing to be asked for. A cache that cannot be written ends no run.

    entry = SHA-256 of the rest (32 bytes), then the array's bytes in C order
"""

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joco_mlx.artifacts import telling_disk_errors, whole_file
from joco_mlx.errors import MachineError
from joco_mlx.models.compute import mx

SUFFIX = ".trunk"
LEAST_FREE_BYTES = 2_000_000_000
"""The cache never takes the disk's last room."""
_FORMAT = 1
_DIGEST_BYTES = 32
_ABANDONED_SECONDS = 3_600.0
_BITS: dict[int, Any] = {2: np.uint16, 4: np.uint32}


@dataclass
class _Held:
    """An entry on disk."""

    size: int
    used_at: float


class TrunkCache:
    """Arrays under token ids, for one model and one number of layers.

    Attributes:
        hits: Entries that were found whole.
        misses: Entries that were not there, or damaged.
    """

    def __init__(
        self, folder: Path, budget_bytes: int, recipe: Mapping[str, Any], tell: Callable[[str], None] = lambda _: None
    ) -> None:
        """Look at what `folder` holds.

        Args:
            folder: Shared by all models; it may not exist yet.
            budget_bytes: What all entries in it may take together.
            recipe: Everything beside the ids that decides the arrays, as JSON.
            tell: Is told once when nothing more can be kept.
        """
        self.hits = self.misses = 0
        self._folder, self._budget, self._tell = folder, budget_bytes, tell
        self._recipe = json.dumps([_FORMAT, dict(recipe)], sort_keys=True).encode()
        self._held = _entries(folder)
        self._used: set[Path] = set()
        self._open = True

    def get(self, ids: NDArray[np.int32], shape: tuple[int, ...], dtype: Any) -> Any:
        """Return the array for a row of padded ids, or None; a damaged entry is removed."""
        path = self._path(ids)
        found = _read(path, shape, dtype)
        if found is None:
            self.misses += 1
            self._forget(path)
            return None
        self.hits += 1
        self._used.add(path)
        with contextlib.suppress(OSError):  # another process has just removed it; the array is here
            os.utime(path)
        return found

    def put(self, ids: NDArray[np.int32], array: Any) -> None:
        """Keep `array` for a row of padded ids, unless there is no room that may be made."""
        path, content = self._path(ids), np.array(array.view(_unsigned(array.dtype))).tobytes()
        size = _DIGEST_BYTES + len(content)
        try:
            if not (self._open and self._make_room(size)):
                return
            with whole_file(path) as file:
                file.write(hashlib.sha256(content).digest())
                file.write(content)
        except MachineError as problem:
            self._close(problem.message)
            return
        self._held[path] = _Held(size, time.time())
        self._used.add(path)

    def _path(self, ids: NDArray[np.int32]) -> Path:
        name = hashlib.sha256(self._recipe + np.ascontiguousarray(ids, "<i4").tobytes()).hexdigest()
        return self._folder / name[:2] / f"{name}{SUFFIX}"

    def _make_room(self, size: int) -> bool:
        """Remove the longest unused entries until `size` more bytes fit; whether they do."""
        total = sum(held.size for held in self._held.values())
        idle = sorted(
            (path for path in self._held if path not in self._used), key=lambda path: self._held[path].used_at
        )
        while total + size > self._budget and idle:
            total -= self._held[idle[0]].size
            self._forget(idle.pop(0))
        if total + size > self._budget:
            self._close(f"it has its {self._budget / 1e9:.2f} GB, all of which this run uses; --trunk-cache sets more")
        elif _free(self._folder) < LEAST_FREE_BYTES + size:
            self._close(f"less than {LEAST_FREE_BYTES / 1e9:.0f} GB of the disk under {self._folder} are free")
        return self._open

    def _forget(self, path: Path) -> None:
        self._held.pop(path, None)
        with contextlib.suppress(OSError):  # never there, or removed by another process: gone either way
            path.unlink()

    def _close(self, reason: str) -> None:
        self._open = False
        self._tell(f"The trunk cache keeps nothing more: {reason.rstrip('.')}.")


def _entries(folder: Path) -> dict[Path, _Held]:
    """Return what a folder holds, without what killed processes left half-written."""
    held = {}
    for path in folder.glob("*/*"):
        with contextlib.suppress(OSError):  # another process has just removed it
            about = path.stat()
            if path.suffix == SUFFIX:
                held[path] = _Held(about.st_size, about.st_mtime)
            elif time.time() - about.st_mtime > _ABANDONED_SECONDS:
                path.unlink()
    return held


def _read(path: Path, shape: tuple[int, ...], dtype: Any) -> Any:
    """Return an entry as an array, or None when it is not there or not whole."""
    try:
        content = path.read_bytes()
    except OSError:  # not there, or unreadable: then it is computed, and written anew
        return None
    digest, body = content[:_DIGEST_BYTES], memoryview(content)[_DIGEST_BYTES:]
    whole = len(body) == dtype.size * int(np.prod(shape))
    if not whole or hashlib.sha256(body).digest() != digest:
        return None
    return mx.array(np.frombuffer(body, _BITS[dtype.size]).reshape(shape)).view(dtype)


def _unsigned(dtype: Any) -> Any:
    return {2: mx.uint16, 4: mx.uint32}[dtype.size]


def _free(folder: Path) -> int:
    with telling_disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(folder).free
