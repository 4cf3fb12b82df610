"""Proves that killing a build changes nothing: SIGKILL at random moments, the same bytes at the end, no stray file.

Reads small repositories below JOCO_MIRRORS. Every build is a process group that is killed whole; what it left is what
the next one goes on from. Ends with 1 when a byte differs or a file is left.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from mirrors import mirrors
from results import ROOT, record

from joco_mlx import process

PAGE = ROOT / "docs" / "data.md"
KILLS, REPOSITORIES, MOST_OBJECTS = 20, 4, 16 << 20
PROGRAM = """\
import os, sys
from pathlib import Path
from joco_mlx.config import BuildConfig
from joco_mlx.dataset import build as building
building.SHARD_COMMITS = 250
if __name__ == "__main__":
    os.setsid()
    print(os.getpid(), flush=True)
    building.build(BuildConfig(), sys.argv[2:], Path(sys.argv[1]), jobs=2)
"""


def main() -> int:
    """Build once in peace, then under fire, compare, write the section."""
    parser = argparse.ArgumentParser(prog="scripts/prove dataset_kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=KILLS, help="how many (default: %(default)s)")
    kills = parser.parse_args().kills
    small = [mirror for mirror in mirrors() if _bytes(mirror.folder) < MOST_OBJECTS][-REPOSITORIES:]
    sources = [str(mirror.folder) for mirror in small]
    chance = random.Random(0)  # noqa: S311  (moments, no secret)
    done = completed = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        program = folder / "program.py"
        program.write_text(PROGRAM, "utf-8")
        started = time.monotonic()
        _run(program, folder / "peace", sources, None)
        whole = time.monotonic() - started
        wanted = _content(folder / "peace")
        target = folder / "fire"
        while done < kills:
            if (target / "manifest.json").exists() and not any(folder.glob(".fire.*")):
                completed += 1
                _check(wanted, target, folder)
                for file in target.iterdir():
                    file.unlink()
                target.rmdir()
            done += _run(program, target, sources, chance.uniform(0.2, 1.0) * whole)
        if not (target / "manifest.json").exists() or any(folder.glob(".fire.*")):
            _run(program, target, sources, None)
        _check(wanted, target, folder)
    text = (
        "## A build that is killed\n\n`scripts/prove dataset_kills`: a build with two workers, killed with SIGKILL at random "
        f"moments\nand started again.\n\n- repositories: {', '.join(mirror.name for mirror in small)}\n"
        f"- kills: {done}; builds that were completed between them: {completed + 1}\n"
        "- **datasets that differ from an uninterrupted build: 0; stray files: 0**"
    )
    record("dataset_kills", text, PAGE)
    print(text)
    return 0


def _run(program: Path, out: Path, sources: list[str], seconds: float | None) -> int:
    """Build, and kill the whole group after so many seconds; return 1 when it was killed, 0 when it had ended."""
    with Path(os.devnull).open("rb") as nothing, tempfile.TemporaryFile() as errors:
        words: list[str | Path] = [sys.executable, program, out, *sources]
        with process.stream(words, stdin=nothing, stderr=errors) as child:
            group = int(child.stdout.readline() or 0)
            deadline = None if seconds is None else time.monotonic() + seconds
            while child.poll() is None and (deadline is None or time.monotonic() < deadline):
                time.sleep(0.02)
            killed = child.poll() is None
            if killed:
                os.killpg(group, signal.SIGKILL)
            code = child.wait()
        errors.seek(0)
        if not killed and code != 0:
            sys.exit(f"A build failed: {errors.read().decode()}")
    return int(killed)


def _check(wanted: dict[str, bytes], target: Path, folder: Path) -> None:
    left = sorted(path.name for path in folder.iterdir())
    if _content(target) != wanted or left != ["fire", "peace", "program.py"]:
        sys.exit(f"The dataset differs, or something was left: {left}")


def _content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


if __name__ == "__main__":
    sys.exit(main())
