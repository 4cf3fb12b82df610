"""Whether a dataset says what it should: every line against schema and grammar, then the numbers and the seal.

Decides what is wrong with a record beyond its form: a message that commitlint refuses, a type or scope that is not the
message's, an id that is there twice. All problems are looked for before any is raised, so that one run names them all.
"""

import codecs
import json
from collections.abc import Iterator
from pathlib import Path

from joco_mlx import artifacts
from joco_mlx.commit.lint import lint
from joco_mlx.commit.message import parse
from joco_mlx.commit.record import Record, decode_line
from joco_mlx.dataset.curate import STATS
from joco_mlx.dataset.split import NAMES
from joco_mlx.dataset.stats import Stats, stats
from joco_mlx.errors import InputError, VerificationError
from joco_mlx.progress import Progress, Silent

_TOLD = 20
_REPAIR = "Correct the lines that are named, or make it again: joco-mlx dataset curate FILE... --out DIR"


def validate(folder: Path, *, progress: Progress | None = None) -> Stats:
    """Check the dataset at `folder` and return its numbers.

    Raises:
        InputError: There is no dataset, it is unfinished, or a file was changed after it was finished.
        VerificationError: A record is wrong (the first is named; the others are noted), or the numbers in
            `stats.json` are not those of the records.
    """
    watched = progress or Silent()
    if not (folder / "train.jsonl").is_file():
        raise InputError(f"{folder} is no dataset: it has no train.jsonl.", "Name the folder that curate made.")
    problems = list(_problems(folder))
    for problem in problems[:_TOLD]:
        watched.note(problem)
    if problems:
        more = f" ({len(problems) - 1:,} more problems)" if len(problems) > 1 else ""
        raise VerificationError(f"{problems[0]}{more}", _REPAIR)
    made = stats(folder)
    _check_numbers(folder, made)
    artifacts.open_artifact(folder, "dataset", checked=True)
    return made


def _problems(folder: Path) -> Iterator[str]:
    """Yield a sentence for every problem, with file and line."""
    seen: dict[str, str] = {}
    for name in NAMES:
        path = folder / f"{name}.jsonl"
        if not path.is_file():
            continue
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield from _problems_of_line(line.removeprefix(codecs.BOM_UTF8), f"{path}, line {number}", seen)


def _problems_of_line(line: bytes, where: str, seen: dict[str, str]) -> Iterator[str]:
    try:
        record = decode_line(line, where)
    except InputError as problem:
        yield problem.message
        return
    about = record.metadata
    if about.id in seen:
        yield f"{where}: the id {about.id!r} is there already ({seen[about.id]})."
    seen.setdefault(about.id, where)
    yield from (f"{where}: {problem}." for problem in _problems_of_message(record))


def _problems_of_message(record: Record) -> Iterator[str]:
    for problem in lint(record.output):
        if problem.level == "error":
            yield f"output is {record.output[:80]!r}, but {problem.text} ({problem.rule})"
    message = parse(record.output)
    if message is None:
        return
    if record.metadata.type != message.type:
        yield f"metadata.type is {record.metadata.type!r}, but the message's is {message.type!r}"
    if (record.metadata.scope or None) != message.scope:
        yield f"metadata.scope is {record.metadata.scope!r}, but the message's is {message.scope!r}"


def _check_numbers(folder: Path, made: Stats) -> None:
    path = folder / STATS
    try:
        told = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    except ValueError as problem:
        raise VerificationError(f"{path} is not JSON: {problem}.", _REPAIR) from None
    if not isinstance(told, dict):
        raise VerificationError(f"{path} is no table of numbers.", _REPAIR)
    for name, value in made.to_json().items():
        if told and told.get(name) != value:
            raise VerificationError(f"{path} says that {name} is {told.get(name)}, but it is {value}.", _REPAIR)
