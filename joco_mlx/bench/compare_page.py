"""A comparison in Markdown, for people: what is better, what is not, and what nobody can tell yet."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from joco_mlx import artifacts
from joco_mlx.bench.compare import Comparison, Pair
from joco_mlx.bench.difference import MAIN, Difference
from joco_mlx.bench.statistics import CONFIDENCE
from joco_mlx.bench.summary import first_line, number, table

COLUMNS = ("Figure", "Reference", "This", "Difference", f"{CONFIDENCE:.0%} interval", "p or effect", "Verdict")
_TITLES = {
    "strict_validity": "Strictly valid",
    "type_accuracy": "Type accuracy",
    "scope_exact": "Scope right",
    "exact_match": "Header equal",
    "macro_f1": "Macro-F1",
    "joco_score": "Joco score",
    "edit_similarity": "Edit similarity",
    "chrf": "chrF",
    "rouge_l": "ROUGE-L",
    "b_norm": "B-Norm",
}


def page(reference: str, comparisons: Sequence[Comparison]) -> str:
    """Return the page that holds runs against `reference`."""
    parts = [f"# Against {reference}"]
    for comparison in comparisons:
        parts += _parts(comparison)
    return "\n\n".join(parts) + "\n"


def document(reference: str, comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """Return the same for programs."""
    return {"reference": reference, "confidence": CONFIDENCE, "runs": [one.to_json() for one in comparisons]}


def write(out: Path, reference: str, comparisons: Sequence[Comparison]) -> None:
    """Write the page to `out`, and the document beside it with the ending `.json`; an older comparison is replaced."""
    artifacts.write_text(out, page(reference, comparisons))
    artifacts.write_json(out.with_suffix(".json"), document(reference, comparisons))


def rows(differences: Mapping[str, Difference]) -> list[tuple[str, ...]]:
    """Return one row a figure, in the order of `COLUMNS`."""
    return [(_TITLES[name], *_row(difference)) for name, difference in differences.items()]


def _parts(comparison: Comparison) -> Iterator[str]:
    unpaired = f"; {comparison.unpaired:,} more are in one of the two only" if comparison.unpaired else ""
    yield f"## {comparison.name}"
    yield f"{len(comparison.pairs):,} cases in both{unpaired}."
    yield table(COLUMNS, rows(comparison.differences))
    for title, groups in (("type", comparison.by_type), ("repository", comparison.by_repository)):
        yield f"### By {title}"
        columns = (title.capitalize(), "Cases", *(_TITLES[name] for name in MAIN))
        yield table(columns, [(name, *_group(group)) for name, group in groups.items()])
    for title, pairs in (("Gained most", comparison.best), ("Lost most", comparison.worst)):
        if pairs:
            yield f"### {title}"
            yield table(("Case", "People", "Reference", "This"), map(_case, pairs))


def _row(difference: Difference) -> tuple[str, ...]:
    if difference.p is not None:
        aside = f"p {difference.p:.2g} ({difference.only_this} to {difference.only_reference})"
    else:
        aside = "" if difference.effect_size is None else f"d {difference.effect_size:.2f}"
    needed = f" (about {difference.cases_needed:,} needed)" if difference.cases_needed else ""
    return (
        number(difference.reference),
        number(difference.value),
        _signed(difference.difference.value),
        f"{_signed(difference.difference.low)} to {_signed(difference.difference.high)}",
        aside or "-",
        difference.verdict + needed,
    )


def _group(group: Mapping[str, Difference]) -> tuple[str, ...]:
    cells = (f"{_signed(group[name].difference.value)} ({group[name].verdict})" for name in MAIN)
    return str(group["chrf"].cases), *cells


def _case(pair: Pair) -> tuple[str, ...]:
    texts = (pair.this.reference, pair.reference.answer, pair.this.answer)
    return pair.this.id, *map(first_line, texts)


def _signed(value: float) -> str:
    return f"{value:+.3f}" if abs(value) < 1 else f"{value:+.1f}"
