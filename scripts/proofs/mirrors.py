"""The real repositories that proofs read: every git repository below the folder that JOCO_MIRRORS names."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DEPTH = 3
"""How many folders down a repository may lie."""


@dataclass(frozen=True)
class Mirror:
    """A repository on this machine, bare or with a work tree."""

    name: str
    """Its path below the mirrors without `.git`, a last `/repo` and with `/` for `+`: `vitejs/vite`."""
    folder: Path


def mirrors() -> list[Mirror]:
    """Return the repositories below JOCO_MIRRORS by name; ends the program with a sentence when there are none."""
    root = os.environ.get("JOCO_MIRRORS", "")
    found = [Mirror(_name(folder, Path(root)), folder) for folder in _repositories(Path(root), DEPTH)] if root else []
    if not found:
        sys.exit(
            f"JOCO_MIRRORS={root!r} names no folder with git repositories.\n"
            "Clone some and name the folder: git clone --bare URL mirrors/NAME.git; JOCO_MIRRORS=mirrors scripts/prove"
        )
    return sorted(found, key=lambda mirror: mirror.name)


def _repositories(folder: Path, depth: int) -> Iterator[Path]:
    if (folder / ".git").exists() or ((folder / "HEAD").is_file() and (folder / "objects").is_dir()):
        yield folder
    elif depth and folder.is_dir():
        for inner in sorted(folder.iterdir()):
            yield from _repositories(inner, depth - 1)


def _name(folder: Path, root: Path) -> str:
    return folder.relative_to(root).as_posix().removesuffix("/repo").removesuffix(".git").replace("+", "/")
