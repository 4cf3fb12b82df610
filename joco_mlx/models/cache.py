"""The tool's own cache: where it is, who may write into it, and whether what lies there is still whole.

Decides the place (`JOCO_MLX_CACHE`, else the platform's cache folder) and how two processes share it: one builds under
a lock that the operating system drops when the process dies, the other waits and finds the result. Models of the Hub
stay in the Hub's own cache.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import platformdirs

from joco_mlx import artifacts

CHECKSUMS = "checksums.json"


def cache_folder() -> Path:
    """Return the cache folder; it may not exist yet."""
    given = os.environ.get("JOCO_MLX_CACHE")
    return Path(given).expanduser() if given else platformdirs.user_cache_path("joco-mlx")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process at a time build `path`, and clear what a killed one left beside it."""
    with artifacts.telling_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = (path.parent / f"{path.name}.lock").open("w")
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for orphan in path.parent.glob(f".{path.name}.*"):
            shutil.rmtree(orphan, ignore_errors=True)
        yield


def write_checksums(folder: Path, recipe: Mapping[str, Any]) -> None:
    """Write down what `folder` was made from and the SHA-256 of each of its files."""
    files = {file.name: artifacts.sha256(file) for file in sorted(folder.iterdir()) if file.is_file()}
    artifacts.write_json(folder / CHECKSUMS, {"recipe": dict(recipe), "files": files})


def is_intact(folder: Path, recipe: Mapping[str, Any]) -> bool:
    """Whether `folder` was made by this recipe and no file of it is missing or changed."""
    try:
        written = json.loads((folder / CHECKSUMS).read_text("utf-8"))
        files = written["files"]
        return written["recipe"] == dict(recipe) and all(
            artifacts.sha256(folder / name) == digest for name, digest in files.items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def require_disk(folder: Path, needed_bytes: int, what: str) -> None:
    """Raise MachineError when the disk under `folder` has less free than `needed_bytes` for `what`."""
    elsewhere = "Free some disk, or put the cache elsewhere: JOCO_MLX_CACHE for this tool, HF_HOME for the Hub."
    artifacts.require_disk(folder, needed_bytes, what, elsewhere)
