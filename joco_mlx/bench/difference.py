"""One figure of two runs over the same cases: how far apart, how sure that is, and what it means.

Decides what counts as an answer: a difference whose 95 % interval lies on one side of zero. Where the interval holds zero,
either the runs are alike (it is narrower than a difference that anybody would care about) or there are too few cases to
tell, and then it is said how many it takes. Intervals are not corrected for the number of figures: of twenty figures that
are truly equal one excludes zero by chance.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from joco_mlx.bench.metrics import column, common_types, macro_f1, to_json, with_type
from joco_mlx.bench.results import Result
from joco_mlx.bench.statistics import Estimate, bootstrap, effect_size, mcnemar, mean_of, rate_difference

SMALLEST_OF_INTEREST = 0.05
"""A difference below which nobody would choose another model; of the joco score, a share of its 100 points."""
MINIMUM_CASES = 10
"""With fewer nothing is claimed: resampling cannot show what a handful of cases never held."""
SEED = 0
RATES = {
    "strict_validity": "valid",
    "type_accuracy": "type_right",
    "scope_exact": "scope_right",
    "exact_match": "exact",
}
MEANS = ("joco_score", "edit_similarity", "chrf", "rouge_l", "b_norm")
MAIN = ("strict_validity", "type_accuracy", "joco_score", "chrf")
"""What is compared in each group of cases too."""

Verdict: TypeAlias = Literal["better", "worse", "alike", "too few cases to tell"]
Results: TypeAlias = Sequence[Result]
_UNKNOWN: Verdict = "too few cases to tell"


@dataclass(frozen=True)
class Difference:
    """One figure of a run less that of the reference run."""

    cases: int
    reference: float
    value: float
    difference: Estimate
    verdict: Verdict
    cases_needed: int | None = None
    """About how many cases it takes to tell, where there are too few."""
    effect_size: float | None = None
    """Cohen's d of the paired differences, of a mean."""
    p: float | None = None
    """Of McNemar's exact test, of a rate."""
    only_reference: int | None = None
    """Cases that only the reference got right, of a rate."""
    only_this: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return everything by name; what has no number is null."""
        known = {name: _rounded(value) for name, value in vars(self).items() if name != "difference"}
        return {**known, "difference": to_json(self.difference)}


def differences(reference: Results, this: Results) -> dict[str, Difference]:
    """Return the difference of every figure, by the names of `metrics.json`.

    Args:
        reference: Results of one run.
        this: Results of the other, of the same cases in the same order.
    """
    return {
        **{name: figure(name, reference, this) for name in RATES},
        "macro_f1": _macro_f1(with_type(reference), with_type(this)),
        **{name: figure(name, reference, this) for name in MEANS},
    }


def figure(name: str, reference: Results, this: Results) -> Difference:
    """Return the difference of one rate or mean; type and scope over the cases whose reference has a type."""
    if name in ("type_accuracy", "scope_exact"):
        reference, this = with_type(reference), with_type(this)
    if name in RATES:
        return _rate(column(reference, RATES[name]).tolist(), column(this, RATES[name]).tolist())
    before, after = column(reference, name), column(this, name)
    estimate = bootstrap(mean_of(after - before), len(reference), seed=SEED)
    means = _mean(before.tolist()), _mean(after.tolist())
    unit = 100 if name == "joco_score" else 1
    return _judged(len(reference), *means, estimate, unit=unit, effect_size=effect_size(after - before))


def _rate(before: list[float], after: list[float]) -> Difference:
    pairs = list(zip(before, after, strict=True))
    only_reference, only_this = pairs.count((1, 0)), pairs.count((0, 1))
    return _judged(
        len(pairs),
        _mean(before),
        _mean(after),
        rate_difference(only_this, only_reference, len(pairs)),
        p=mcnemar(only_reference, only_this),
        only_reference=only_reference,
        only_this=only_this,
    )


def _macro_f1(reference: Results, this: Results) -> Difference:
    before, after = macro_f1(reference), macro_f1(this)
    cases = len(reference)
    estimate = bootstrap(lambda drawn: after(drawn) - before(drawn), cases, seed=SEED)
    first, second = (float(run(np.ones((1, cases)))[0]) if cases else math.nan for run in (before, after))
    return _judged(cases, first, second, estimate, sure=bool(common_types(reference)))


def _judged(
    cases: int,
    reference: float,
    value: float,
    difference: Estimate,
    *,
    unit: int = 1,
    sure: bool = True,
    **more: Any,
) -> Difference:
    enough = sure and cases >= MINIMUM_CASES
    verdict = _verdict(difference, SMALLEST_OF_INTEREST * unit) if enough else _UNKNOWN
    needed = None
    if verdict == _UNKNOWN and cases:
        sought = max(abs(difference.value), SMALLEST_OF_INTEREST * unit)
        needed = max(cases + 1, MINIMUM_CASES, math.ceil(cases * (difference.half_width / sought) ** 2))
    return Difference(cases, reference, value, difference, verdict, needed, **more)


def _verdict(difference: Estimate, smallest: float) -> Verdict:
    if difference.excludes_zero:
        return "better" if difference.value > 0 else "worse"
    alike = -smallest < difference.low and difference.high < smallest
    return "alike" if alike else _UNKNOWN


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
