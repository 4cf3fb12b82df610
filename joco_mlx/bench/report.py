"""One page that shows runs to people: figures with intervals, confusion, lengths, the loss, and every case.

Decides what is on the page and how long a diff on it may be. The page is one file and asks for nothing: its policy
forbids every connection, its style and its one script are named by their hashes. Diffs and answers are hostile text. They
come as JSON in which no tag can end, and the script puts them on the page as text, never as markup; what the template
writes is escaped by Jinja2.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jinja2

from joco_mlx import artifacts
from joco_mlx.bench import drawings
from joco_mlx.bench.cases import as_cases
from joco_mlx.bench.compare import compare
from joco_mlx.bench.compare_page import COLUMNS, rows
from joco_mlx.bench.finished import CASES, Bench, open_bench
from joco_mlx.bench.results import Result, read_results
from joco_mlx.bench.summary import FIGURES, TARGETS, WORDS, number
from joco_mlx.commit.record import read_records
from joco_mlx.config import RUNS_FOLDER
from joco_mlx.errors import InputError

PAGE = Path(__file__).parent / "page"
DIFF_CHARS = 6_000
"""Of one diff that are shown; fewer where there are many cases."""
ALL_DIFF_CHARS = 1_800_000
"""Of all diffs together: a page of 300 cases stays below 3 MB."""
_POLICY = "default-src 'none'; style-src '{style}'; script-src '{script}'; base-uri 'none'; form-action 'none'"
_LONGEST = {"joco_score": 100.0, "header_chars": 100.0}


@dataclass(frozen=True)
class Shown:
    """One run on the page."""

    bench: Bench

    @cached_property
    def results(self) -> Mapping[str, Result]:
        """Its results by case."""
        return {result.key: result for result in read_results(self.bench.artifact.folder)}

    @property
    def name(self) -> str:
        """What its folder is called."""
        return self.bench.name

    @property
    def confusion(self) -> drawings.Confusion:
        """Reference type against answered type."""
        return drawings.confusion(self.bench.metrics["confusion"])

    @property
    def lengths(self) -> list[drawings.Bar]:
        """How long its headers are."""
        return drawings.lengths([result.scores.chars for result in self.results.values()])

    @cached_property
    def loss(self) -> drawings.Loss | None:
        """The loss of the training run that was asked, when that run is still there."""
        identity = self.bench.artifact.manifest.config["model"]
        for folder in (RUNS_FOLDER / self.bench.artifact.manifest.config["name"], *self.bench.artifact.folder.parents):
            adapter = folder / "adapters" / "adapters.safetensors"
            if identity.get("adapter") and adapter.is_file() and artifacts.sha256(adapter) == identity["adapter"]:
                return drawings.loss(folder / "metrics.jsonl")
        return None


def report(runs: Sequence[Path], out: Path) -> int:
    """Write the page of finished runs, the first of which the others are held against; return the number of cases.

    Args:
        runs: Folders or ids.
        out: HTML file to write; an older one is replaced.

    Raises:
        InputError: One is no finished run, or the runs have no case in common.
    """
    shown = [Shown(open_bench(run)) for run in runs]
    keys = [key for key in shown[0].results if all(key in one.results for one in shown)]
    if not keys:
        raise InputError(
            "The runs have no case in common.", "Run all on the same file: joco-mlx bench run --cases FILE"
        )
    artifacts.write_text(out, _page(shown, keys))
    return len(keys)


def _page(shown: Sequence[Shown], keys: Sequence[str]) -> str:
    style, script = ((PAGE / name).read_text("utf-8") for name in ("report.css", "report.js"))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("report.html").render(
        title=", ".join(one.name for one in shown),
        policy=_POLICY.format(style=_hash(style), script=_hash(script)),
        style=style,
        script=script,
        data=_json(_cases(shown, keys)),
        runs=shown,
        cases=len(keys),
        figures=_figures(shown),
        reference_lengths=drawings.lengths([len(_header(shown[0].results[key].reference)) for key in keys]),
        lengths=[(one.name, one.lengths) for one in shown],
        losses=[(one.name, one.loss) for one in shown if one.loss],
        columns=COLUMNS,
        comparisons=_comparisons(shown),
    )


@dataclass(frozen=True)
class Cell:
    """A figure of one run."""

    value: str
    interval: str
    bar: tuple[float, float, float] | None
    """Value and ends of the interval in percent of the longest that the figure can be, for a drawing."""


def _figures(shown: Sequence[Shown]) -> list[tuple[str, tuple[str, str], list[Cell]]]:
    """Return title, targets and the runs' cells of each figure."""
    metrics = [one.bench.metrics for one in shown]
    found = [(title, key, [one[key] for one in metrics]) for key, title in FIGURES]
    found += [(f"Description: {title}", key, [one["description"][key] for one in metrics]) for key, title in WORDS]
    return [
        (title, TARGETS.get(key, ("-", "-")), [_cell(key, figure) for figure in figures])
        for title, key, figures in found
    ]


def _cell(key: str, figure: Mapping[str, Any]) -> Cell:
    low, high = map(number, figure["interval"])
    return Cell(number(figure["value"]), f"{low} to {high}", drawings.interval(figure, _LONGEST.get(key, 1.0)))


def _comparisons(shown: Sequence[Shown]) -> list[tuple[str, list[tuple[str, ...]]]]:
    """Return the rows of each later run against the first."""
    first, *others = (one.bench.artifact.folder for one in shown)
    return [(one.name, rows(one.differences)) for one in compare(first, others)[1]] if others else []


def _cases(shown: Sequence[Shown], keys: Sequence[str]) -> dict[str, Any]:
    """Return what the script shows: a list of cases, each with a diff, a reference and an answer of each run."""
    diffs = _diffs(shown[0].bench)
    room = min(DIFF_CHARS, ALL_DIFF_CHARS // len(keys))
    return {"runs": [one.name for one in shown], "cases": [_case(key, shown, diffs.get(key, ""), room) for key in keys]}


def _case(key: str, shown: Sequence[Shown], diff: str, room: int) -> dict[str, Any]:
    first = shown[0].results[key]
    return {
        "id": first.id,
        "repository": first.repository,
        "type": first.reference_type or "(none)",
        "reference": first.reference,
        "diff": diff[:room],
        "cut": max(0, len(diff) - room),
        "answers": [_answer(one.results[key]) for one in shown],
    }


def _answer(result: Result) -> dict[str, Any]:
    scores = result.scores
    return {
        "text": result.answer,
        "error": result.error,
        "valid": scores.valid,
        "typeRight": scores.type_right,
        "exact": scores.exact,
        "chrf": number(scores.chrf),
    }


def _diffs(bench: Bench) -> dict[str, str]:
    """Return the diffs by case; none for a run of an older version, which did not keep them."""
    path = bench.artifact.folder / CASES
    return {case.key: case.record.input for case in as_cases(read_records(path))} if path.is_file() else {}


def _json(value: object) -> str:
    """Return JSON that may stand in a script element: no tag can begin or end in it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text.encode("utf-8", "replace").decode()


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _header(text: str) -> str:
    return next(iter(text.strip().splitlines()), "")
