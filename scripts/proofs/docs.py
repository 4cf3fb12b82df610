"""Proves that the commands of README and docs run, line by line, in a fresh clone.

Reads every fenced block marked `sh` of the documents that have any. A block under `<!-- not run: WHY -->` is left out and
counted; a comment `<!-- prepare ... -->` holds commands that a reader does not need. Each document is one bash session,
which ends at the first command that fails: the README in the clone, a guide in an empty folder. Ends with 1 when a
command fails, or when a session ends before the last one.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from results import ROOT, record

BLOCK = re.compile(
    r"^<!-- prepare\n(?P<prepare>.*?)^-->$"
    r"|(?:^<!-- not run: (?P<why>[^\n]+) -->\n)?^```sh\n(?P<commands>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
LONGEST_SECONDS = 3_600


@dataclass(frozen=True)
class Block:
    """Commands of a document."""

    line: int
    commands: str
    why_not: str | None = None
    is_hidden: bool = False


@dataclass(frozen=True)
class Session:
    """What became of one document."""

    name: str
    run: int
    left_out: Sequence[str]
    seconds: float
    failed_at: int | None
    shown: str


def blocks(text: str) -> list[Block]:
    """Return the blocks of a document in their order."""
    found = []
    for match in BLOCK.finditer(text):
        line = text.count("\n", 0, match.start("commands" if match["commands"] is not None else "prepare")) + 1
        hidden = match["prepare"] is not None
        found.append(Block(line, match["prepare"] if hidden else match["commands"], match["why"], hidden))
    return found


def script(found: Sequence[Block]) -> str:
    """Return one bash program of all blocks that are run; it says where it is before each, and that it came to its end.

    The marks differ from what prints them: commands that a block swallows as text must not look as if they had run.
    """
    parts = ["set -euo pipefail"]
    for block in found:
        if block.why_not is None:
            parts += [f"printf '\\n::line %d\\n' {block.line}", block.commands.rstrip("\n")]
    return "\n".join([*parts, "printf '\\n::%s\\n' end"]) + "\n"


def follow(path: Path, folder: Path, variables: dict[str, str]) -> Session:
    """Run a document's commands in `folder`."""
    found = blocks(path.read_text("utf-8"))
    began = time.monotonic()
    done = subprocess.run(
        ["bash", "-c", script(found)],
        stdin=subprocess.DEVNULL,
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=LONGEST_SECONDS,
        check=False,
    )
    shown = done.stdout.decode("utf-8", "replace")
    lines = [int(line) for line in re.findall(r"^::line (\d+)$", shown, re.MULTILINE)]
    wanted = [block for block in found if block.why_not is None]
    left_out = [block.why_not for block in found if block.why_not is not None]
    came_through = lines == [block.line for block in wanted] and "\n::end\n" in shown
    failed = None if came_through and not done.returncode else lines[-1] if lines else 0
    run = sum(not block.is_hidden for block in wanted)
    return Session(path.name, run, left_out, time.monotonic() - began, failed, shown)


def home(folder: Path) -> dict[str, str]:
    """Return the variables of somebody who has configured nothing; caches of packages and models stay warm."""
    names = ("PATH", "LANG", "HOME", "XDG_CACHE_HOME", "UV_CACHE_DIR", "JOCO_MLX_CACHE", "SSL_CERT_FILE")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    caches = {"XDG_CONFIG_HOME": str(folder / "config"), "XDG_DATA_HOME": str(folder / "data")}
    person = {"GIT_CONFIG_GLOBAL": str(folder / "gitconfig"), "NO_COLOR": "1", "OLLAMA_HOST": "127.0.0.1:9"}
    return {**kept, **caches, **person}


def documents(given: Sequence[str]) -> list[Path]:
    """Return the documents that are meant: the given ones, else all that have commands to run."""
    paths = [ROOT / name for name in given] or [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    return [path for path in paths if any(block.why_not is None for block in blocks(path.read_text("utf-8")))]


def main() -> int:
    """Clone, follow every document, write the section."""
    parser = argparse.ArgumentParser(prog="scripts/prove docs", description=__doc__)
    parser.add_argument("documents", nargs="*", help="paths from the top of the repository; all when none is given")
    parser.add_argument("--here", action="store_true", help="use this checkout's environment in place of a fresh clone")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clone = ROOT if given.here else folder / "joco-mlx"
        if not given.here:
            subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
            subprocess.run([str(clone / "scripts" / "setup")], check=True)
        sessions = []
        for path in documents(given.documents):
            place = clone if path.name == "README.md" else folder / path.stem
            place.mkdir(exist_ok=True)
            variables = home(folder)
            variables["PATH"] = f"{clone / '.venv' / 'bin'}:{variables['PATH']}"
            sessions.append(follow(path, place, variables))
    text = report(sessions)
    if not given.documents and not given.here:
        record("docs", text)
    print(text)
    for one in sessions:
        if one.failed_at is not None:
            print(f"\n{one.name}, line {one.failed_at}:\n{one.shown[-3_000:]}", file=sys.stderr)
    return 1 if any(one.failed_at is not None for one in sessions) else 0


def report(sessions: Sequence[Session]) -> str:
    """Return the section as Markdown."""
    lines = [
        "## The documents, followed",
        "",
        "`scripts/prove docs`: every fenced command of README and docs in a fresh clone, in order; package and model caches",
        "were warm.",
        "",
        "| document | blocks run | left out, and why | seconds | ended |",
        "|---|---:|---|---:|---|",
    ]
    for one in sessions:
        why = "; ".join(one.left_out) or "none"
        ended = "well" if one.failed_at is None else f"failed at line {one.failed_at}"
        lines.append(f"| {one.name} | {one.run} | {why} | {one.seconds:.0f} | {ended} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
