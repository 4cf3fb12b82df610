"""Cases and training records made on the spot, each like no other."""

import dataclasses
import hashlib
import random
from collections.abc import Iterable
from pathlib import Path

from joco_mlx.commit.message import parse
from joco_mlx.commit.record import INSTRUCTION, Metadata, Record, write_records

WORDS = [f"word{chr(97 + number // 26)}{chr(97 + number % 26)}" for number in range(400)]
KINDS = (("fix", "src/{}.py"), ("docs", "docs/{}.md"), ("test", "tests/test_{}.py"), ("feat", "src/{}.py"))


def record(number: int, message: str | None = None, **metadata: object) -> Record:
    """A commit whose type shows in its path and its words: a `feat` adds a file, a `fix` changes one."""
    dice = random.Random(number)
    kind, path = KINDS[number % len(KINDS)]
    words = [dice.choice(WORDS) for _ in range(60)]
    file = path.format(f"{words[0]}{number}")
    body = "".join(f"+{kind}_call({' '.join(words[at : at + 5])})\n" for at in range(0, 60, 5))
    old = "--- /dev/null" if kind == "feat" else f"--- a/{file}"
    mode = "new file mode 100644\n" if kind == "feat" else ""
    diff = f"diff --git a/{file} b/{file}\n{mode}{old}\n+++ b/{file}\n@@ -{int(kind != 'feat')},0 +1,12 @@\n{body}"
    text = message or f"{kind}: change {words[1]} and {words[2]} {number}"
    parsed = parse(text)
    about = Metadata(
        id=f"tool-{number}",
        repository=("tool", "other")[number % 3 == 0],
        commit_hash=hashlib.sha1(str(number).encode()).hexdigest(),
        author="0" * 16,
        type=parsed.type if parsed else "",
        scope=parsed.scope if parsed else None,
        quality_score=90,
    )
    return Record(INSTRUCTION, diff, text, dataclasses.replace(about, **metadata))


def write(path: Path, records: Iterable[Record]) -> Path:
    """Write cases or a split of a dataset, and return the file."""
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as file:
        write_records(file, records)
    return path
