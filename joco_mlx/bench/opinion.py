"""What another model thinks of answers: never asked by itself, and never part of `metrics.json`.

Decides what such a judge is shown, which stands in docs/benchmark.md word for word: the diff and one message, without who
wrote it and without the reference. Its marks lie in `opinion.jsonl` beside a sealed run. They depend on the judge, so they
are comparable between runs that the same one read, and nowhere else. An opinion that is none counts as none, and is told.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from joco_mlx import artifacts
from joco_mlx.bench.cases import as_cases
from joco_mlx.bench.finished import CASES, Bench, open_bench
from joco_mlx.bench.results import Result, read_results
from joco_mlx.bench.servers import Server
from joco_mlx.bench.statistics import Estimate, bootstrap, mean_of
from joco_mlx.bench.subject import NoAnswerError
from joco_mlx.commit.record import read_records
from joco_mlx.config import OpinionConfig
from joco_mlx.errors import InputError
from joco_mlx.progress import Progress, Silent, task

OPINIONS = "opinion.jsonl"
DIFF_CHARS = 6_000
MAX_TOKENS = 16
SYSTEM = """\
You mark commit messages. You are shown a git diff and one message for it. Judge only whether the message says what the
change does and why it matters, in the words that its author would use. Ignore style and length.
5: says exactly what changed. 4: right, but misses something important. 3: right, but would fit many other changes.
2: partly wrong. 1: wrong, empty or no message.
Answer with one digit and nothing else."""
USER = "Diff:\n{diff}\n\nMessage:\n{message}\n\nMark (1 to 5):"
_MARK = re.compile(r"(?<!\d)[1-5](?!\d)")


@dataclass(frozen=True)
class Opinion:
    """What a judge thinks of a run."""

    mean: Estimate
    """1 to 5, over the cases that were marked."""
    marked: int
    cases: int


def ask_for_opinion(run: Path, config: OpinionConfig, *, progress: Progress | None = None) -> Opinion:
    """Have a model behind an OpenAI-compatible server mark every answer of a finished run; a stopped one goes on.

    Raises:
        InputError: It is no finished run, or one that did not keep its diffs, or was marked by another judge.
        MachineError: The server cannot be reached. What was marked is kept.
    """
    bench = open_bench(run)
    path = bench.artifact.folder / OPINIONS
    results = read_results(bench.artifact.folder)
    done = _done(path, config.judge)
    server = Server("openai", config.judge, config.url, timeout_seconds=config.timeout_seconds)
    diffs = _diffs(bench)
    with task(progress or Silent(), f"Asking {config.judge}", len(results), "answers") as shown, path.open("a") as file:
        for result in results:
            if result.key not in done:
                done[result.key] = _mark(server, result, diffs[result.key], config.seed)
                line = {"judge": config.judge, "key": result.key, "mark": done[result.key]}
                file.write(json.dumps(line) + "\n")
                file.flush()
            shown.advance(1)
    marks = np.array([mark for result in results if (mark := done[result.key]) is not None], np.float64)
    return Opinion(bootstrap(mean_of(marks), len(marks), seed=config.seed), len(marks), len(results))


def _mark(server: Server, result: Result, diff: str, seed: int) -> int | None:
    """Return a mark; None when the judge said nothing that is one. A missing answer is marked 1 without asking."""
    if not result.answer:
        return 1
    text = USER.replace("{message}", result.answer).replace("{diff}", diff[:DIFF_CHARS])
    try:
        said = server.complete(text, max_tokens=MAX_TOKENS, temperature=0.0, seed=seed, system=SYSTEM)
    except NoAnswerError:
        return None
    found = _MARK.search(said)
    return int(found[0]) if found else None


def _diffs(bench: Bench) -> dict[str, str]:
    path = bench.artifact.folder / CASES
    if not path.is_file():
        raise InputError(f"{bench.artifact.folder} did not keep its diffs.", "Run the benchmark again.")
    return {case.key: case.record.input for case in as_cases(read_records(path))}


def _done(path: Path, judge: str) -> dict[str, int | None]:
    """Return the marks that are there; a half-written last line is cut off."""
    if not path.is_file():
        return {}
    text = path.read_text("utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        artifacts.write_text(path, whole)
    found = list(_lines(whole.splitlines()))
    others = {who for who, _, _ in found} - {judge}
    if others:
        raise InputError(
            f"{path} holds the marks of {', '.join(sorted(others))}.", f"Ask the same judge, or remove {path}."
        )
    return {key: mark for _, key, mark in found}


def _lines(lines: Sequence[str]) -> Iterator[tuple[str, str, int | None]]:
    for line in lines:
        value = json.loads(line)
        yield value["judge"], value["key"], value["mark"]
