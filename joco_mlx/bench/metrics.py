"""The figures of a run: every case counts, each figure has its interval.

Decides what is averaged over what. Figures of type and scope are over the cases whose reference has a type, in groups as
in all; an answer without one is wrong. Macro-F1 is the mean over the types that people used often enough, the same ones in
every resample (scikit-learn's `f1_score` with these as `labels`): a type of a few cases is missing from many resamples,
which would then mean less work.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from joco_mlx.bench.results import Result
from joco_mlx.bench.statistics import CONFIDENCE, Estimate, Floats, Statistic, bootstrap, mean_of, rate
from joco_mlx.commit.lint import MAXIMUM_CHARS

NO_TYPE = "(none)"
"""What stands for the type of an answer that has none."""
ENOUGH_OF_A_TYPE = 10
"""So many references make a type's F1 something that resampling can be sure of."""
DESCRIPTION = ("edit_similarity", "chrf", "rouge_l", "b_norm", "copied")


def metrics(results: Sequence[Result], *, seed: int) -> dict[str, Any]:
    """Return what `metrics.json` holds of the cases: names to figures with intervals.

    Args:
        results: All cases of a run.
        seed: Of the bootstrap.
    """
    typed = with_type(results)
    header_fits = sum(0 < result.scores.chars <= MAXIMUM_CHARS for result in results)
    return {
        "cases": len(results),
        "errors": sum(result.error is not None for result in results),
        "confidence": CONFIDENCE,
        "strict_validity": to_json(_rate(results, "valid")),
        "type_accuracy": {**to_json(_rate(typed, "type_right")), "cases": len(typed)},
        "macro_f1": {
            **to_json(bootstrap(macro_f1(typed), len(typed), seed=seed)),
            "types": common_types(typed) or all_types(typed),
        },
        "joco_score": to_json(_mean(results, "joco_score", seed)),
        "scope_exact": {**to_json(_rate(typed, "scope_right")), "cases": len(typed)},
        "exact_match": to_json(_rate(results, "exact")),
        "header_chars": to_json(_mean(results, "chars", seed)),
        "header_fits": to_json(rate(header_fits, len(results))),
        "description": {name: to_json(_mean(results, name, seed)) for name in DESCRIPTION},
        "confusion": confusion(typed),
        "by_type": groups(results, lambda result: result.reference_type or NO_TYPE),
        "by_repository": groups(results, lambda result: result.repository),
    }


def to_json(estimate: Estimate) -> dict[str, Any]:
    """Return a figure as `{"value": ..., "interval": [low, high]}`; null where there is no case."""
    value, low, high = (round(x, 6) if np.isfinite(x) else None for x in (estimate.value, estimate.low, estimate.high))
    return {"value": value, "interval": [low, high]}


def with_type(results: Sequence[Result]) -> list[Result]:
    """Return the results whose reference has a type."""
    return [result for result in results if result.reference_type]


def column(results: Sequence[Result], name: str) -> Floats:
    """Return one score of every case; whether something is so counts as 1 or 0."""
    return np.array([float(getattr(result.scores, name)) for result in results], np.float64)


def common_types(results: Sequence[Result]) -> list[str]:
    """Return the types of at least `ENOUGH_OF_A_TYPE` references; none where there are few cases."""
    counts = Counter(result.reference_type or NO_TYPE for result in results)
    return sorted(name for name, count in counts.items() if count >= ENOUGH_OF_A_TYPE)


def all_types(results: Sequence[Result]) -> list[str]:
    """Return the types of all references."""
    return sorted({result.reference_type or NO_TYPE for result in results})


def macro_f1(results: Sequence[Result]) -> Statistic:
    """Return macro-F1 as a statistic: the mean F1 of the common types, and of all where none is common."""
    wanted = np.array([result.reference_type or NO_TYPE for result in results], np.str_)
    given = np.array([result.scores.type or NO_TYPE for result in results], np.str_)
    names = np.array(common_types(results) or all_types(results), np.str_)
    ours, theirs = ((labels[:, None] == names).astype(np.float64) for labels in (given, wanted))

    def statistic(drawn: Floats) -> Floats:
        right, answered, support = drawn @ (ours * theirs), drawn @ ours, drawn @ theirs
        mean: Floats = (2 * right / np.maximum(answered + support, 1)).mean(axis=1)
        return mean

    return statistic


def confusion(results: Sequence[Result]) -> dict[str, dict[str, int]]:
    """Return reference type -> answered type -> cases, both in alphabetical order."""
    table: dict[str, Counter[str]] = defaultdict(Counter)
    for result in results:
        table[result.reference_type or NO_TYPE][result.scores.type or NO_TYPE] += 1
    return {wanted: dict(sorted(given.items())) for wanted, given in sorted(table.items())}


def groups(results: Sequence[Result], name: Callable[[Result], str]) -> dict[str, Mapping[str, Any]]:
    """Return the main figures, without intervals, of each group of cases; null where no case is what one is over."""
    found: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        found[name(result)].append(result)
    return {key: _summary(members) for key, members in sorted(found.items())}


def _summary(results: Sequence[Result]) -> dict[str, Any]:
    shown = {"strict_validity": "valid", "type_accuracy": "type_right", "joco_score": "joco_score", "chrf": "chrf"}
    over = {"type_accuracy": with_type(results)}
    means = {title: column(over.get(title, results), name) for title, name in shown.items()}
    figures = {title: round(float(values.mean()), 6) if values.size else None for title, values in means.items()}
    return {"cases": len(results), **figures}


def _rate(results: Sequence[Result], name: str) -> Estimate:
    return rate(int(column(results, name).sum()), len(results))


def _mean(results: Sequence[Result], name: str, seed: int) -> Estimate:
    return bootstrap(mean_of(column(results, name)), len(results), seed=seed)
