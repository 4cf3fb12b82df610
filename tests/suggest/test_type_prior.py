"""The correction of what a model says of types: arithmetic by hand, and fits whose answer is known."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from joco_mlx.commit.grammar import TYPES
from joco_mlx.errors import InputError
from joco_mlx.suggest.type_prior import PENALTY, TypePrior, fit, paths_of
from joco_mlx.suggest.type_words import TypeWords

FEAT, FIX, DOCS = (TYPES.index(kind) for kind in ("feat", "fix", "docs"))
NEVER = -1_000.0


def said(**shares: float) -> list[float]:
    """What a model says that finds only these types possible."""
    return [math.log(shares[kind]) if kind in shares else NEVER for kind in TYPES]


@pytest.mark.parametrize(
    ("prior", "paths", "fix"),
    [
        (TypePrior(1.0, {}, {}), "fix", 0.2),
        # 0.2 * 8 = 1.6 against 0.8
        (TypePrior(1.0, {"fix": math.log(8)}, {}), "fix", 2 / 3),
        # Square roots: 0.4472 against 0.8944
        (TypePrior(0.5, {}, {}), "fix", 1 / 3),
        # 0.2 * 2 * 4 = 1.6 against 0.8 * 2
        (TypePrior(1.0, {"fix": math.log(2)}, {"docs": {"fix": math.log(4), "feat": math.log(2)}}), "docs", 0.5),
        (TypePrior(1.0, {"fix": math.log(2)}, {"docs": {"fix": math.log(4)}}), "test", 1 / 3),
    ],
    ids=["nothing", "bias", "scale", "paths", "other-paths"],
)
def test_a_posterior_by_hand(prior: TypePrior, paths: str, fix: float) -> None:
    found = np.exp(prior.log_posterior(np.array([said(feat=0.8, fix=0.2)]), [paths]))
    assert found.shape == (1, len(TYPES))
    assert found[0, FIX] == pytest.approx(fix)
    assert found[0, FEAT] == pytest.approx(1 - fix)
    assert found.sum() == pytest.approx(1)


def test_a_model_that_says_the_same_of_all_is_given_the_shares_of_people() -> None:
    """900 of 1,000 are fixes where the model is undecided; the penalty moves that by less than a point."""
    log_probabilities = np.array([said(feat=0.5, fix=0.5)] * 1_000)
    prior = fit(log_probabilities, ["fix"] * 1_000, ["fix"] * 900 + ["feat"] * 100)
    assert np.exp(prior.log_posterior(log_probabilities[:1], ["fix"]))[0, FIX] == pytest.approx(0.9, abs=0.01)
    assert prior.records == 1_000


def test_a_model_that_is_too_sure_is_scaled_down() -> None:
    """It says 0.99 and is right in 8 of 10, for either type: scale log 4 / log 99 = 0.30, and no bias."""
    sure = [said(feat=0.99, fix=0.01), said(feat=0.01, fix=0.99)]
    rows, wanted = [], []
    for row, kind, other in zip(sure, ("feat", "fix"), ("fix", "feat"), strict=True):
        rows += [row] * 500
        wanted += [kind] * 400 + [other] * 100
    prior = fit(np.array(rows), ["fix"] * 1_000, wanted)
    assert prior.scale == pytest.approx(math.log(4) / math.log(99), abs=0.01)
    assert abs(prior.bias["feat"] - prior.bias["fix"]) < 0.01


def test_paths_that_mean_a_type_are_believed_and_few_of_them_less() -> None:
    """Where the rules say docs people say docs, 200 times; where they say ci people say ci, twice."""
    undecided = said(feat=0.4, docs=0.3, ci=0.3)
    paths = ["docs"] * 200 + ["ci"] * 2 + ["fix"] * 200
    prior = fit(np.array([undecided] * 402), paths, ["docs"] * 200 + ["ci"] * 2 + ["feat"] * 200)
    found = np.exp(prior.log_posterior(np.array([undecided] * 3), ["docs", "ci", "fix"]))
    assert found[0, DOCS] > 0.95
    assert 0.1 < found[1, TYPES.index("ci")] < 0.8
    assert found[2, FEAT] > 0.95


def test_the_fit_is_the_maximum() -> None:
    """At the maximum the gradient is zero: what people chose less what is believed equals the penalty's pull."""
    dice = np.random.default_rng(0)
    scores = dice.normal(size=(300, len(TYPES)))
    log_probabilities = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    wanted = [TYPES[place] for place in dice.integers(0, len(TYPES), 300)]
    paths = [("fix", "feat", "docs")[place] for place in dice.integers(0, 3, 300)]
    prior = fit(log_probabilities, paths, wanted)
    right = np.array([[kind == one for kind in TYPES] for one in wanted], float)
    missing = right - np.exp(prior.log_posterior(log_probabilities, paths))
    assert missing.sum(axis=0) == pytest.approx([PENALTY * prior.bias[kind] for kind in TYPES], abs=0.01)
    for rule in ("fix", "feat", "docs"):
        there = missing[[one == rule for one in paths]].sum(axis=0)
        assert there == pytest.approx([PENALTY * prior.by_paths[rule][kind] for kind in TYPES], abs=0.01)
    assert (missing * log_probabilities).sum() == pytest.approx(PENALTY * (prior.scale - 1), abs=0.05)


DOCS_DIFF = "diff --git a/docs/a.md b/docs/a.md\n--- a/docs/a.md\n+++ b/docs/a.md\n@@ -1 +1 @@\n-a\n+b\n"


def test_the_paths_of_a_diff() -> None:
    assert paths_of(DOCS_DIFF) == "docs"


def test_words_and_paths_of_the_diff_are_added() -> None:
    """0.2 * 4 (paths) * 3 (the words' odds of 9, square root) = 2.4 against 0.8."""
    words = TypeWords(("feat", "fix"), (0.0, math.log(9)), {})
    prior = TypePrior(1.0, {}, {"docs": {"fix": math.log(4)}}, words=words, words_scale=0.5)
    found = np.exp(prior.believed(np.array([said(feat=0.8, fix=0.2)]), [DOCS_DIFF]))
    assert found[0, FIX] == pytest.approx(0.75)


@pytest.mark.parametrize("trusted", ["model", "words"])
def test_of_two_that_disagree_the_one_is_believed_that_people_agree_with(trusted: str) -> None:
    dice = np.random.default_rng(0)
    wanted = [("feat", "fix")[place] for place in dice.integers(0, 2, 400)]
    right = np.array([said(**{"feat": 0.3, "fix": 0.3, kind: 0.7}) for kind in wanted])
    wrong = right[dice.permutation(400)]
    prior = fit(*(right, ["fix"] * 400, wanted, wrong) if trusted == "model" else (wrong, ["fix"] * 400, wanted, right))
    strong, weak = (prior.scale, prior.words_scale) if trusted == "model" else (prior.words_scale, prior.scale)
    assert strong > 3
    assert abs(weak) < 0.5


def test_words_that_repeat_the_model_share_its_scale() -> None:
    """Both are penalised alike, each for its distance from where it began."""
    dice = np.random.default_rng(1)
    scores = dice.normal(size=(300, len(TYPES)))
    wanted = [TYPES[place] for place in (scores + dice.normal(size=scores.shape)).argmax(axis=1)]
    alone = fit(scores, ["fix"] * 300, wanted)
    both = fit(scores, ["fix"] * 300, wanted, scores)
    assert both.scale + both.words_scale == pytest.approx(alone.scale, abs=0.02)
    assert both.scale - 1 == pytest.approx(both.words_scale, abs=0.01)


def test_a_file_keeps_it_and_another_file_is_refused(tmp_path: Path) -> None:
    prior = TypePrior(0.5, {"fix": 1.0}, {"docs": {"docs": 2.0}}, 30)
    for one in (prior, replace(prior, words=TypeWords(("fix",), (0.5,), {"bug": (1.0, 2.0)}), words_scale=0.25)):
        one.write(tmp_path / "prior.json")
        assert TypePrior.read(tmp_path / "prior.json") == one
    known = replace(prior, cases=("0a", "1b"), words_from="2c")
    known.write(tmp_path / "prior.json")
    assert TypePrior.read(tmp_path / "prior.json") == known
    old = {
        name: value
        for name, value in json.loads((tmp_path / "prior.json").read_text()).items()
        if name not in ("cases", "words_from")
    }
    (tmp_path / "prior.json").write_text(json.dumps(old))
    assert TypePrior.read(tmp_path / "prior.json") == prior
    words = {"types": ["fix"], "intercepts": [0], "weights": ["bug"]}
    wrong = [{"scale": 1, "bias": {}, "by_paths": {}, "records": 1, "words": value} for value in (5, words)]
    for text in ("nonsense", json.dumps({"scale": "x"}), "[]", *map(json.dumps, wrong)):
        (tmp_path / "other.json").write_text(text)
        with pytest.raises(InputError, match="holds no prior of types"):
            TypePrior.read(tmp_path / "other.json")
    with pytest.raises(InputError, match="holds no prior") as told:
        TypePrior.read(tmp_path / "absent.json")
    assert "bench calibrate" in told.value.hint
