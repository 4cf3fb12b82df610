"""Records and histories made on the spot, and somebody who listens to a stage."""

import dataclasses
import hashlib
from pathlib import Path

from conftest import Repository

from joco_mlx.commit.message import parse
from joco_mlx.commit.record import INSTRUCTION, Metadata, Record, encode_line
from joco_mlx.progress import Silent

PATCH = (
    "diff --git a/src/store.py b/src/store.py\nindex 1111111..2222222 100644\n--- a/src/store.py\n"
    "+++ b/src/store.py\n@@ -1 +1,2 @@\n context\n+value number {number}\n"
)

WORDS = [
    "cache",
    "queue",
    "store",
    "parser",
    "router",
    "session",
    "token",
    "buffer",
    "worker",
    "filter",
    "loader",
    "writer",
]
VERBS = ["keep", "drop", "load", "store", "parse", "move", "merge", "close"]


def record(number: int, output: str | None = None, **metadata: object) -> Record:
    """Make a good record: number 1 is a minute older than number 2."""
    message = output or f"fix(store): keep value number {number} alive"
    parsed = parse(message)
    about = Metadata(
        id=f"tool-{number:012x}",
        repository="tool",
        commit_hash=f"{number:040x}",
        author="0" * 16,
        type=parsed.type if parsed else "",
        scope=parsed.scope if parsed else None,
        quality_score=90,
        authored_at=f"2024-01-{1 + number // 1440:02}T{number // 60 % 24:02}:{number % 60:02}:00+00:00",
    )
    return Record(INSTRUCTION, PATCH.format(number=number), message, dataclasses.replace(about, **metadata))


def write(path: Path, *records: Record) -> Path:
    """Write records as JSONL and return the path."""
    path.write_bytes(b"".join(map(encode_line, records)))
    return path


class Notes(Silent):
    """Keeps what a stage says."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


def grow(repository: Repository, commits: int, seed: str) -> None:
    """Add commits that all gates let in, each unlike the others."""
    for number in range(commits):
        digest = hashlib.sha256(f"{seed}{number}".encode()).hexdigest()
        verb, noun = VERBS[int(digest[0], 16) % len(VERBS)], WORDS[int(digest[1:3], 16) % len(WORDS)]
        name = f"{seed}{noun}{digest[3:7]}"
        body = "".join(f"{name}_{digest[place : place + 6]} = {place}\n" for place in range(8, 56, 4))
        kind = ("perf", "feat", "refactor")[number % 3]
        author = f"Person {digest[7]}"
        files = {f"src/{name}.py": f"def {verb}_{name}():\n    pass\n{body}"}
        repository.clock += 86_400
        repository.commit(f"{kind}({noun}): {verb} {name} of {digest[40:46]}", files, GIT_AUTHOR_NAME=author)
