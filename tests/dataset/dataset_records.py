"""Records made on the spot, and somebody who listens to a stage."""

import dataclasses
from pathlib import Path

from joco_mlx.commit.message import parse
from joco_mlx.commit.record import INSTRUCTION, Metadata, Record, encode_line
from joco_mlx.progress import Silent

PATCH = (
    "diff --git a/src/store.py b/src/store.py\nindex 1111111..2222222 100644\n--- a/src/store.py\n"
    "+++ b/src/store.py\n@@ -1 +1,2 @@\n context\n+value number {number}\n"
)


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
