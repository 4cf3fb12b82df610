"""OWNS the record schema and its JSONL: one commit, as a question and an answer.

Decides which fields a record has, what each may hold, and how a line of JSONL is read and written. The same rules stand
in `record.schema.json`, beside this file, for people with other tools; a test holds the two together. Leaves the file
that the lines go into to its caller, who writes it whole (`artifacts.whole_file`).
"""

import codecs
import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from joco_mlx.errors import InputError

INSTRUCTION = "Generate a conventional commit message for the following git diff."
SCHEMA = Path(__file__).with_name("record.schema.json")
AUTHOR_DIGITS = 16
"""Hexadecimal digits of a hashed author: 64 bits."""
MAXIMUM_SCORE = 100
SHOWN_CHARS = 60
"""How much of an offending value an error shows."""

_COMMIT_HASH = re.compile(r"[0-9a-f]{7,64}")
_AUTHOR = re.compile(rf"[0-9a-f]{{{AUTHOR_DIGITS}}}")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2})")
_REPAIR = "Correct that line, or make the data again: joco-mlx dataset extract REPO --out FILE"


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
    return well_formed(line).encode() + b"\n"


def write_records(file: BinaryIO, records: Iterable[Record]) -> int:
    """Write `records` as JSONL into an open file and return how many there were."""
    count = 0
    for record in records:
        file.write(encode_line(record))
        count += 1
    return count


def from_json(value: object, where: str) -> Record:
    """Return the record that a decoded JSON value stands for; accepts exactly what `record.schema.json` accepts.

    Args:
        value: What `json.loads` gave.
        where: File and line, for the error.

    Raises:
        InputError: A field is missing, unknown or not what it may be.
    """
    top = _Fields(value, where)
    top.allow_only("instruction", "input", "output", "metadata")
    return Record(top.text("instruction"), top.text("input"), top.text("output"), _metadata(top.inner("metadata")))


def decode_line(line: bytes, where: str) -> Record:
    """Return the record on one line of JSONL.

    Raises:
        InputError: The line is not UTF-8, not JSON, or no record.
    """
    try:
        value = json.loads(line.decode(), parse_constant=_refuse_constant, parse_float=_finite)
    except json.JSONDecodeError as problem:
        raise InputError(f"{where} is not JSON: {problem.msg} at column {problem.colno}.", _REPAIR) from None
    except UnicodeDecodeError as problem:
        raise InputError(f"{where} is not UTF-8: {problem.reason} at byte {problem.start + 1}.", _REPAIR) from None
    except (ValueError, RecursionError) as problem:
        raise InputError(f"{where} is not JSON: {problem}.", _REPAIR) from None
    return from_json(value, where)


def read_records(path: Path) -> Iterator[Record]:
    """Yield the records of a JSONL file, one line in memory at a time; empty lines are passed over.

    Raises:
        InputError: The file cannot be read, or a line is no record. The line is named, counted from 1.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield decode_line(line.removeprefix(codecs.BOM_UTF8), f"{path}, line {number}")
    except OSError as problem:
        raise InputError(
            f"{path} cannot be read: {problem.strerror}.", "Make it: joco-mlx dataset extract REPO --out FILE"
        ) from problem


def _metadata(fields: "_Fields") -> Metadata:
    known: dict[str, Any] = {
        "id": fields.text("id"),
        "repository": fields.text("repository"),
        "commit_hash": fields.shaped("commit_hash", _COMMIT_HASH, "seven or more hexadecimal digits"),
        "author": fields.shaped("author", _AUTHOR, f"{AUTHOR_DIGITS} hexadecimal digits (a hashed author)"),
        "type": fields.text("type", empty=True),
        "scope": None if fields.take("scope") is None else fields.text("scope", empty=True),
        "quality_score": fields.integer("quality_score", MAXIMUM_SCORE),
    }
    if "authored_at" in fields.values:
        known["authored_at"] = fields.shaped("authored_at", _MOMENT, "a moment such as 2024-01-31T12:00:00+00:00")
    return Metadata(**known, extra={name: value for name, value in fields.values.items() if name not in known})


class _Fields:
    """A JSON object whose fields are taken out one by one, each checked."""

    def __init__(self, value: object, where: str, path: str = "") -> None:
        self._where = where
        self._path = path
        if not isinstance(value, dict):
            self._refuse(path or "the record", value, "an object")
        self.values: dict[str, Any] = value

    def allow_only(self, *names: str) -> None:
        for name in self.values:
            if name not in names:
                raise InputError(f"{self._where}: {name!r} is no field of a record.", _REPAIR)

    def inner(self, name: str) -> "_Fields":
        return _Fields(self.take(name), self._where, self._name(name))

    def take(self, name: str) -> Any:
        if name not in self.values:
            raise InputError(f"{self._where}: the field {self._name(name)} is missing.", _REPAIR)
        return self.values[name]

    def text(self, name: str, *, empty: bool = False) -> str:
        value = self.take(name)
        if not isinstance(value, str) or not (value or empty):
            self._refuse(self._name(name), value, "a text" if empty else "a text of at least one character")
        return well_formed(value)

    def shaped(self, name: str, pattern: re.Pattern[str], shape: str) -> str:
        value = self.take(name)
        if not isinstance(value, str) or not pattern.fullmatch(value):
            self._refuse(self._name(name), value, shape)
        return value

    def integer(self, name: str, maximum: int) -> int:
        """Take a whole number from 0 to `maximum`; as in JSON Schema, 90.0 is one."""
        value = self.take(name)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 <= value <= maximum or value != int(value):
            self._refuse(self._name(name), value, f"a whole number from 0 to {maximum}")
        return int(value)

    def _name(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name

    def _refuse(self, name: str, value: object, wanted: str) -> NoReturn:
        shown = repr(value) if len(repr(value)) <= SHOWN_CHARS else f"{repr(value)[:SHOWN_CHARS]}..."
        raise InputError(f"{self._where}: {name} is {shown}, not {wanted}.", _REPAIR)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits} is too large a number")
    return number


def well_formed(text: str) -> str:
    """Return `text` with surrogate pairs joined and every lone surrogate replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
