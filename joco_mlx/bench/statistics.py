"""OWNS how sure a figure is: intervals of one run, intervals and tests of the difference between two.

Decides the method for each kind of figure. A rate has Wilson's interval, a difference of paired rates Bonett and Price's
with McNemar's exact test beside it: both stay honest when every case agrees, where a resampled rate has no spread at all.
Everything else is bootstrapped by the percentile method, with the same cases drawn for both sides of a comparison.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

CONFIDENCE = 0.95
RESAMPLES = 2_000
_Z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
_DRAWN_AT_ONCE = 250_000

Floats: TypeAlias = npt.NDArray[np.float64]
Statistic: TypeAlias = Callable[[Floats], Floats]
"""Takes how often each case was drawn, (resamples, cases), and returns one value a resample."""


@dataclass(frozen=True)
class Estimate:
    """A figure and the interval that covers the truth in 95 of 100 benchmarks."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of zero."""
        return self.low > 0 or self.high < 0

    @property
    def half_width(self) -> float:
        """Half of the interval's length."""
        return (self.high - self.low) / 2


def rate(successes: int, cases: int) -> Estimate:
    """Return a rate with its Wilson score interval (Wilson 1927)."""
    if not cases:
        return Estimate(math.nan, math.nan, math.nan)
    share, weight = successes / cases, _Z**2 / cases
    centre = (share + weight / 2) / (1 + weight)
    spread = _Z * math.sqrt(share * (1 - share) / cases + weight / (4 * cases)) / (1 + weight)
    return Estimate(share, max(0.0, min(share, centre - spread)), min(1.0, max(share, centre + spread)))


def rate_difference(only_second: int, only_first: int, cases: int) -> Estimate:
    """Return the second rate less the first, of the same cases (Bonett and Price 2012, adjusted Wald).

    Args:
        only_second: Cases that only the second got right.
        only_first: Cases that only the first got right.
        cases: All of them.
    """
    if not cases:
        return Estimate(math.nan, math.nan, math.nan)
    gained, lost = (only_second + 1) / (cases + 2), (only_first + 1) / (cases + 2)
    spread = _Z * math.sqrt((gained + lost - (gained - lost) ** 2) / (cases + 2))
    return Estimate((only_second - only_first) / cases, gained - lost - spread, gained - lost + spread)


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the two-sided p of McNemar's exact test: the binomial of the cases on which two runs disagree."""
    disagreements = only_first + only_second
    fewer = min(only_first, only_second)
    tail = sum(math.comb(disagreements, count) for count in range(fewer + 1))
    return min(1.0, float(2 * tail / 2**disagreements))


def bootstrap(statistic: Statistic, cases: int, *, seed: int) -> Estimate:
    """Return a statistic of `cases` cases with its percentile interval (Efron 1979); the seed decides the draws.

    Memory does not grow with the number of resamples: they are drawn in blocks. The interval always holds the value.
    """
    if not cases:
        return Estimate(math.nan, math.nan, math.nan)
    values = np.concatenate([statistic(block) for block in _draws(cases, seed)])
    tail = (1 - CONFIDENCE) / 2
    low, high = np.nanquantile(values, (tail, 1 - tail)) if np.isfinite(values).any() else (math.nan, math.nan)
    value = float(statistic(np.ones((1, cases)))[0])
    return Estimate(value, min(value, float(low)), max(value, float(high)))


def mean_of(values: Floats) -> Statistic:
    """Return the mean as a statistic; `values` has one number a case."""
    return lambda drawn: drawn @ values / drawn.sum(axis=1)


def effect_size(differences: Floats) -> float:
    """Return Cohen's d of paired differences: their mean over their standard deviation; 0 when all are 0."""
    spread = float(np.std(differences, ddof=1)) if differences.size > 1 else 0.0
    mean = float(np.mean(differences)) if differences.size else 0.0
    return mean / spread if spread else (math.copysign(math.inf, mean) if mean else 0.0)


def _draws(cases: int, seed: int) -> Iterator[Floats]:
    """Yield how often each case is drawn in each resample, in blocks of (resamples, cases)."""
    generator = np.random.default_rng(seed)
    rows = max(1, _DRAWN_AT_ONCE // cases)
    for start in range(0, RESAMPLES, rows):
        yield _block(generator, min(rows, RESAMPLES - start), cases)


def _block(generator: np.random.Generator, resamples: int, cases: int) -> Floats:
    picks = generator.integers(0, cases, (resamples, cases))
    picks += np.arange(resamples)[:, None] * cases
    counts = np.bincount(picks.ravel(), minlength=resamples * cases).reshape(resamples, cases)
    return counts.astype(np.float64)
