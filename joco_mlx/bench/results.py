"""OWNS `results.jsonl`: one line a case, in the order of the cases, written as soon as it is judged.

Decides that a killed run goes on after its last whole line, and that nothing in a line depends on the time or the
machine: two runs with the same seed write the same bytes.
"""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joco_mlx.bench.cases import Case
from joco_mlx.bench.scores import Scores
from joco_mlx.errors import ConflictError, InputError

RESULTS = "results.jsonl"


@dataclass(frozen=True)
class Result:
    """One case, what was answered, and what that is worth."""

    key: str
    id: str
    repository: str
    reference_type: str | None
    reference: str
    answer: str
    error: str | None
    """Why there is no answer; it counts as a failure."""
    scores: Scores

    @classmethod
    def of(cls, case: Case, answer: str, error: str | None, scores: Scores) -> "Result":
        """Return the result of a case."""
        about = case.record.metadata
        return cls(case.key, about.id, about.repository, case.type, case.record.output, answer, error, scores)

    def to_line(self) -> bytes:
        """Return one line of JSON; floats are rounded to what a reader can use."""
        value = dataclasses.asdict(self)
        scores = {k: round(v, 6) if isinstance(v, float) else v for k, v in value.pop("scores").items()}
        return json.dumps({**value, "scores": scores}, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def from_line(line: bytes, where: str) -> Result:
    """Read back what `to_line` wrote.

    Raises:
        InputError: It is no such line.
    """
    try:
        value: dict[str, Any] = json.loads(line)
        return Result(**{**value, "scores": Scores(**value["scores"])})
    except (ValueError, KeyError, TypeError) as problem:
        raise InputError(f"{where} is no result of a benchmark: {problem}.", "Run the benchmark again.") from problem


def read_results(folder: Path) -> tuple[Result, ...]:
    """Return the results of a run, in their order.

    Raises:
        InputError: There are none, or a line is damaged.
    """
    path = folder / RESULTS
    if not path.is_file():
        raise InputError(
            f"There is no benchmark run at {folder} (no {RESULTS}).", "See what there is: joco-mlx bench runs"
        )
    with path.open("rb") as file:
        return tuple(from_line(line, f"{path}, line {number}") for number, line in enumerate(file, 1))


def resume(path: Path, cases: Sequence[Case]) -> int:
    """Cut a half-written last line off `path`, and return how many of `cases` are already there.

    Raises:
        ConflictError: The file holds other cases, or these in another order.
        InputError: A whole line is damaged.
    """
    if not path.is_file():
        return 0
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        path.write_bytes(whole)
    done = [from_line(line, f"{path}, line {number}").key for number, line in enumerate(whole.splitlines(), 1)]
    if done != [case.key for case in cases[: len(done)]]:
        raise ConflictError(f"{path} holds the results of other cases.", "Choose another --out or --run-id.")
    return len(done)
