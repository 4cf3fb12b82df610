"""A run in Markdown, for people: figures with intervals, confusion, groups, and the worst answers."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from joco_mlx.bench.results import Result

WORST = 10
FIGURES = (
    ("strict_validity", "Strictly valid"),
    ("type_accuracy", "Type accuracy"),
    ("macro_f1", "Macro-F1 of the types"),
    ("joco_score", "Joco score (0 to 100)"),
    ("scope_exact", "Scope right"),
    ("exact_match", "Header equal to the reference"),
    ("header_chars", "Characters of the header"),
    ("header_fits", "Header of at most 100 characters"),
)
WORDS = (
    ("edit_similarity", "Edit similarity"),
    ("chrf", "chrF"),
    ("rouge_l", "ROUGE-L"),
    ("b_norm", "B-Norm"),
    ("copied", "Words that stand in the diff"),
)
TARGETS = {
    "strict_validity": ("90 to 95 %", "99 % free, 100 % constrained"),
    "type_accuracy": ("80 to 85 %", "above path rules and TF-IDF"),
    "joco_score": ("85 or more", "-"),
    "chrf": ("-", "above the nearest neighbour"),
}
"""Figure -> what the original tool's plan hoped for ("format", "type", "score"), and what we hold a tuned model to."""


def summary(name: str, found: Mapping[str, Any], results: Sequence[Result]) -> str:
    """Return the page of a run."""
    confidence = f"{found['confidence']:.0%} interval"
    parts = [
        f"# {name}",
        f"{found['cases']:,} cases, {found['errors']:,} without an answer (these count as failures). {_leaks(found)}",
        table(("Figure", "Value", confidence), figures(found)),
        "The original tool's plan aims at 90 to 95 % in the right format, 80 to 85 % of the types and a score of 85.",
        *_groups("Reference type", found["by_type"]),
        *_groups("Repository", found["by_repository"]),
        "## Types, reference against answer",
        table(("Reference", "Answers"), [(wanted, _counts(given)) for wanted, given in found["confusion"].items()]),
        "## Farthest from the reference",
        table(("Case", "Reference", "Answer"), map(_case, worst(results))),
    ]
    return "\n\n".join(parts) + "\n"


def figures(found: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return title, value and interval of each figure of `metrics.json`."""
    rows = [(title, *_shown(found[key])) for key, title in FIGURES]
    return rows + [(f"Description: {title}", *_shown(found["description"][key])) for key, title in WORDS]


def worst(results: Sequence[Result]) -> list[Result]:
    """Return the results whose descriptions are farthest from the reference, the farthest first."""
    return sorted(results, key=lambda result: (result.scores.chrf, result.key))[:WORST]


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; what stands in a cell is text, never Markdown."""
    lines = [columns, ["---"] * len(columns), *([_cell(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: float | None) -> str:
    """Return a figure with three decimals, one above 1; a dash for none."""
    if value is None:
        return "-"
    return f"{value:.3f}" if abs(value) <= 1 else f"{value:.1f}"


def _cell(value: object) -> str:
    text = " ".join(str(value).split())
    for mark in "\\`|<*_[":
        text = text.replace(mark, f"\\{mark}")
    return text or "(nothing)"


def _shown(figure: Mapping[str, Any]) -> tuple[str, str]:
    low, high = figure["interval"]
    return number(figure["value"]), f"{number(low)} to {number(high)}"


def _leaks(found: Mapping[str, Any]) -> str:
    leaks = found["leaks"]
    if not leaks["checked"]:
        return "No case was looked for in training data."
    return f"{leaks['leaked']:,} cases were found in the training data and left out."


def _groups(title: str, groups: Mapping[str, Mapping[str, Any]]) -> tuple[str, str]:
    columns = (title, "Cases", "Strictly valid", "Type right", "Joco score", "chrF")
    names = ("strict_validity", "type_accuracy", "joco_score", "chrf")
    rows = [(key, group["cases"], *(number(group[name]) for name in names)) for key, group in groups.items()]
    return f"## By {title.lower()}", table(columns, rows)


def _counts(given: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(given.items(), key=lambda item: (-item[1], item[0])))


def _case(result: Result) -> tuple[str, str, str]:
    answer = f"({result.error})" if result.error else result.answer
    return result.id, first_line(result.reference), first_line(answer)


def first_line(text: str) -> str:
    """Return the first line that says something; "" when none does."""
    return next(iter(text.strip().splitlines()), "")
