"""Intervals cover the truth as often as they say, and the formulas agree with hand computation and scipy."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from joco_mlx.bench import statistics
from joco_mlx.bench.difference import _macro_f1
from joco_mlx.bench.metrics import common_types, macro_f1
from joco_mlx.bench.statistics import bootstrap, effect_size, mcnemar, mean_of, rate, rate_difference

CASES, EXPERIMENTS = 100, 1_000


def coverage(low: np.ndarray, high: np.ndarray, truth: float) -> float:
    return float(np.mean((low <= truth) & (truth <= high)))


@pytest.mark.parametrize("kind", ["paired scores", "skewed scores"])
def test_bootstrap_covers_the_truth(kind: str) -> None:
    """The code's own draws, applied to all experiments at once."""
    generator = np.random.default_rng(1)
    shape = (CASES, EXPERIMENTS)
    if kind == "paired scores":
        shared = generator.normal(0.3, 0.15, shape)
        data = np.clip(shared + generator.normal(0.05, 0.1, shape), 0, 1) - np.clip(shared, 0, 1)
        big = generator.normal(0.3, 0.15, 4_000_000)
        truth = float((np.clip(big + generator.normal(0.05, 0.1, big.size), 0, 1) - np.clip(big, 0, 1)).mean())
    else:
        data, truth = generator.beta(1, 3, shape), 0.25
    resampled = np.concatenate([block @ data / CASES for block in statistics._draws(CASES, 0)])
    assert resampled.shape == (statistics.RESAMPLES, EXPERIMENTS)
    low, high = np.quantile(resampled, (0.025, 0.975), axis=0)
    assert 0.93 <= coverage(low, high, truth) <= 0.97
    one = bootstrap(mean_of(data[:, 0]), CASES, seed=0)
    assert (one.low, one.high) == pytest.approx((low[0], high[0]))


@pytest.mark.parametrize(("first", "second"), [(0.9, 0.9), (0.5, 0.65), (0.97, 0.99)])
def test_rate_difference_covers_the_truth(first: float, second: float) -> None:
    generator = np.random.default_rng(2)
    hits = [generator.random((EXPERIMENTS, CASES)) < share for share in (first, second)]
    gained, lost = ((hits[1] & ~hits[0]).sum(1), (hits[0] & ~hits[1]).sum(1))
    found = [rate_difference(int(up), int(down), CASES) for up, down in zip(gained, lost, strict=True)]
    low, high = np.array([[one.low, one.high] for one in found]).T
    assert 0.93 <= coverage(low, high, second - first) <= 0.99  # rather too wide than too narrow near 100 %


TYPE_SHARES = np.array([0.276, 0.27, 0.12, 0.09, 0.08, 0.05, 0.05, 0.04, 0.012, 0.008, 0.004])
"""Of the eleven types in open repositories; three are rare."""
RIGHT = np.array([0.7, 0.7, 0.8, 0.3, 0.4, 0.5, 0.7, 0.6, 0, 0, 0])


def confusion_of(model: str) -> np.ndarray:
    """The probability of each answer to each type: of a model that knows no rare type, or says the commonest always."""
    if model == "majority":
        return np.eye(11)[[0] * 11]
    said = np.where(RIGHT > 0, TYPE_SHARES, 0)
    return np.diag(RIGHT) + np.outer(1 - RIGHT, said / said.sum())


def simulated(model: str, wanted: np.ndarray, generator: np.random.Generator) -> list[Any]:
    """Results with types alone."""
    answers = (generator.random(len(wanted))[:, None] > confusion_of(model).cumsum(1)[wanted]).sum(1).clip(0, 10)
    return [
        SimpleNamespace(reference_type=f"{ours:02}", scores=SimpleNamespace(type=f"{theirs:02}"))
        for ours, theirs in zip(wanted, answers, strict=True)
    ]


@pytest.fixture
def drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One set of draws for all experiments: to draw takes longer than to count."""
    blocks = list(statistics._draws(CASES, 0))
    monkeypatch.setattr(statistics, "_draws", lambda cases, seed: blocks)


@pytest.mark.usefixtures("drawn_once")
@pytest.mark.parametrize("model", ["knows no rare type", "majority"])
def test_macro_f1_covers_the_truth_where_types_are_rare(model: str) -> None:
    generator = np.random.default_rng(3)
    joint = TYPE_SHARES[:, None] / TYPE_SHARES.sum() * confusion_of(model)
    truths = 2 * joint.diagonal() / (joint.sum(0) + joint.sum(1))
    covered = []
    for _ in range(300):
        results = simulated(model, generator.choice(11, CASES, p=TYPE_SHARES / TYPE_SHARES.sum()), generator)
        truth = truths[[int(name) for name in common_types(results)]].mean()
        found = bootstrap(macro_f1(results), CASES, seed=0)
        covered.append(found.low <= truth <= found.high)
    assert 0.9 <= np.mean(covered) <= 0.98  # 0.76 for "majority" when a resample's own types are averaged


@pytest.mark.usefixtures("drawn_once")
def test_equal_models_differ_in_macro_f1_no_more_often_than_by_chance() -> None:
    generator = np.random.default_rng(4)
    verdicts = []
    for _ in range(200):
        wanted = generator.choice(11, CASES, p=TYPE_SHARES / TYPE_SHARES.sum())
        first, second = (simulated("knows no rare type", wanted, generator) for _ in range(2))
        verdicts.append(_macro_f1(first, second).verdict)
    assert verdicts.count("better") + verdicts.count("worse") <= 0.1 * len(verdicts)


def test_wilson_by_hand() -> None:
    # 9 of 10: the interval of Newcombe 1998's formula, (0.5958, 0.9821).
    assert vars(rate(9, 10)) == pytest.approx({"value": 0.9, "low": 0.5958, "high": 0.9821}, abs=1e-4)
    assert rate(300, 300).high == 1
    assert rate(300, 300).low == pytest.approx(0.9873, abs=1e-4)
    assert math.isnan(rate(0, 0).value)


@pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 0), (0, 6), (3, 12), (40, 41), (7, 7)])
def test_mcnemar_is_the_binomial_test(first: int, second: int) -> None:
    from scipy.stats import binomtest

    expected = binomtest(first, first + second).pvalue if first + second else 1.0
    assert mcnemar(first, second) == pytest.approx(expected)


def test_no_disagreement_is_no_certainty() -> None:
    few, many = rate_difference(0, 0, 10), rate_difference(0, 0, 1_000)
    assert few.low < -0.1 < 0.1 < few.high
    assert many.half_width < 0.01


def test_effect_size_by_hand() -> None:
    assert effect_size(np.array([1.0, 2.0, 3.0])) == pytest.approx(2)
    assert effect_size(np.zeros(5)) == 0
    assert effect_size(np.array([])) == 0


def test_same_seed_same_interval_whatever_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(3).random(50)
    whole = bootstrap(mean_of(values), 50, seed=4)
    assert bootstrap(mean_of(values), 50, seed=4) == whole
    assert bootstrap(mean_of(values), 50, seed=5) != whole
    monkeypatch.setattr(statistics, "_DRAWN_AT_ONCE", 50 * 7)
    assert bootstrap(mean_of(values), 50, seed=4) == whole
