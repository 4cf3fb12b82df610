"""OWNS the record schema and its JSONL: one commit, as a question and an answer.

Decides which fields a record has, what each may hold, and how a line of JSONL is read and written. The same rules stand
in `record.schema.json`, beside this file, for people with other tools; a test holds the two together. Leaves the file
that the lines go into to its caller, who writes it whole (`artifacts.whole_file`).
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

INSTRUCTION = "Generate a conventional commit message for the following git diff."
SCHEMA = Path(__file__).with_name("record.schema.json")
AUTHOR_DIGITS = 16
"""Hexadecimal digits of a hashed author: 64 bits."""


@dataclass(frozen=True)
class Metadata:
    """Where a record comes from, and what was found out about it."""

    id: str
    repository: str
    commit_hash: str
    """At least seven lower-case hexadecimal digits."""
    author: str
    """What `hash_author` returned."""
    type: str
    """The message's type; empty when its header is not conventional."""
    scope: str | None
    quality_score: int
    """0 to 100."""
    authored_at: str | None = None
    """ISO 8601 with seconds and offset: `2024-01-31T12:00:00+00:00`."""
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Keys of other tools, kept as they were."""


@dataclass(frozen=True)
class Record:
    """One training example: the whole diff of a commit and its message."""

    instruction: str
    input: str
    """The diff as git wrote it, not fitted to any model."""
    output: str
    """The commit message."""
    metadata: Metadata


def hash_author(name: str, email: str) -> str:
    """Return the name under which an author stands in a record: 16 hexadecimal digits of a SHA-256.

    The same person gets the same digits in every repository, whatever the capitals. It is a pseudonym, not a secret:
    whoever knows a name and its address can compute it.
    """
    person = f"{name.strip().casefold()}\0{email.strip().casefold()}"
    return hashlib.sha256(person.encode("utf-8", "surrogatepass")).hexdigest()[:AUTHOR_DIGITS]


def to_json(record: Record) -> dict[str, Any]:
    """Return `record` as the object that `record.schema.json` describes."""
    about = record.metadata
    metadata: dict[str, Any] = {
        "id": about.id,
        "repository": about.repository,
        "commit_hash": about.commit_hash,
        "author": about.author,
        "type": about.type,
        "scope": about.scope,
        "quality_score": about.quality_score,
    }
    if about.authored_at is not None:
        metadata["authored_at"] = about.authored_at
    metadata.update({key: value for key, value in about.extra.items() if key not in metadata})
    return {
        "instruction": record.instruction,
        "input": record.input,
        "output": record.output,
        "metadata": metadata,
    }


def encode_line(record: Record) -> bytes:
    r"""Return `record` as one line of JSONL: UTF-8, ending in a line feed and holding no other.

    A surrogate without its partner (bytes that were no UTF-8 in a diff) cannot be written as UTF-8; it becomes U+FFFD.
    """
    line = json.dumps(to_json(record), ensure_ascii=False, allow_nan=False)
    return _well_formed(line).encode() + b"\n"


def write_records(file: BinaryIO, records: Iterable[Record]) -> int:
    """Write `records` as JSONL into an open file and return how many there were."""
    count = 0
    for record in records:
        file.write(encode_line(record))
        count += 1
    return count


def _well_formed(text: str) -> str:
    """Return `text` with surrogate pairs joined and every lone surrogate replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
