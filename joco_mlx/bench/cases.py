"""What a benchmark asks: commits that the model should never have seen.

Decides what a case is called in every file of a run, so that runs can be paired case by case and a killed one goes on
where it was. The name follows from diff and message alone: the same commit has it in every file and in every order.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from joco_mlx import artifacts
from joco_mlx.commit.message import parse
from joco_mlx.commit.record import Record, well_formed, write_records
from joco_mlx.dataset.foreign import read_foreign
from joco_mlx.dataset.formats import read_any
from joco_mlx.errors import InputError

_KEY_DIGITS = 16


@dataclass(frozen=True)
class Case:
    """One commit: its diff is the question, its message the reference."""

    key: str
    """Names the case: hexadecimal digits of a SHA-256, and `-2` for its second appearance in a file."""
    record: Record

    @property
    def type(self) -> str | None:
        """The reference's type, None when the reference is not conventional."""
        message = parse(self.record.output)
        return message.type if message else None


def read_cases(path: Path, maximum: int | None = None) -> tuple[Case, ...]:
    """Read the first `maximum` cases of a file (all when None), in any form that a dataset can have.

    Raises:
        InputError: The file cannot be read, a line is of no known form, or there is no case.
    """
    if path.is_dir():
        raise InputError(
            f"{path} is a folder, not a file of cases.", f"Name a split in it: --cases {path / 'validation.jsonl'}"
        )
    records, _ = read_any(path)
    cases = as_cases(records[:maximum])
    if not cases:
        raise InputError(f"{path} has no case.", "Name a split of a dataset: --cases dataset/validation.jsonl")
    return cases


def import_cases(source: Path, out: Path, *, force: bool = False) -> tuple[int, int]:
    """Write foreign cases as records; return how many, and how many lines had no diff or no message.

    Raises:
        ConflictError: `out` exists and `force` is off.
        InputError: The file cannot be read, a line is of no known form, or there is no case.
        MachineError: The output cannot be written.
    """
    artifacts.refuse_existing(out, force=force)
    found = read_foreign(source)
    if not found.records:
        raise InputError(f"{source} has no case.", "Name a file of the original harness: benchmark/*/*.jsonl")
    with artifacts.whole_file(out) as file:
        write_records(cast(BinaryIO, file), found.records)
    return len(found.records), found.skipped


def as_cases(records: Iterable[Record]) -> tuple[Case, ...]:
    """Give each record its name."""
    seen: Counter[str] = Counter()
    cases = []
    for record in records:
        key = _key(record)
        seen[key] += 1
        cases.append(Case(key if seen[key] == 1 else f"{key}-{seen[key]}", record))
    return tuple(cases)


def digest(cases: Iterable[Case]) -> str:
    """Return one SHA-256 for the cases and their order."""
    return hashlib.sha256("\n".join(case.key for case in cases).encode()).hexdigest()


def _key(record: Record) -> str:
    # As it is written: a lone surrogate comes back from a file as another letter, under the same name.
    text = well_formed(f"{record.input}\0{record.output}")
    return hashlib.sha256(text.encode()).hexdigest()[:_KEY_DIGITS]
