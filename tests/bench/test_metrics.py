"""Figures of a run by hand, and macro-F1 and confusion against scikit-learn."""

import random
from dataclasses import replace

import pytest
from bench_records import record

from joco_mlx.bench.cases import as_cases
from joco_mlx.bench.difference import figure
from joco_mlx.bench.metrics import metrics
from joco_mlx.bench.results import Result
from joco_mlx.bench.scores import judge
from joco_mlx.bench.summary import summary

TYPES = ("feat", "fix", "docs", "test", "style")


def results(pairs: list[tuple[str, str]]) -> list[Result]:
    """Results of (answer, reference)."""
    cases = as_cases(record(number, reference) for number, (_, reference) in enumerate(pairs))
    return [
        Result.of(case, answer, None if answer else "no answer", judge(answer, reference, case.record.input))
        for case, (answer, reference) in zip(cases, pairs, strict=True)
    ]


def test_four_cases_by_hand() -> None:
    found = metrics(
        results([("fix: abc", "fix: abc"), ("feat: abd", "fix: abc"), ("Prose.", "docs: abc"), ("", "docs: abc")]),
        seed=0,
    )
    assert found["cases"] == 4
    assert found["errors"] == 1
    assert found["strict_validity"]["value"] == 0.5
    assert found["type_accuracy"]["value"] == 0.25
    # fix: precision 1, recall 1/2, F1 2/3; docs: 0.
    assert found["macro_f1"]["value"] == pytest.approx(1 / 3, abs=1e-6)
    assert found["description"]["edit_similarity"]["value"] == pytest.approx((1 + 2 / 3 + 0 + 0) / 4, abs=1e-6)
    assert found["exact_match"]["value"] == 0.25
    assert found["confusion"] == {"docs": {"(none)": 2}, "fix": {"feat": 1, "fix": 1}}
    assert found["by_type"]["fix"]["type_accuracy"] == 0.5
    assert sum(group["cases"] for group in found["by_repository"].values()) == 4


def test_every_figure_has_an_interval_around_it() -> None:
    dice = random.Random(1)
    found = metrics(
        results([(f"{dice.choice(TYPES)}: add b", f"{dice.choice(TYPES)}: add c") for _ in range(40)]), seed=0
    )
    values = (*found.values(), *found["description"].values())
    figures = [value for value in values if isinstance(value, dict) and "interval" in value]
    assert len(figures) == 13
    for one in figures:
        low, high = one["interval"]
        assert low <= one["value"] <= high


def test_macro_f1_and_confusion_are_scikit_learns() -> None:
    from sklearn.metrics import confusion_matrix, f1_score

    dice = random.Random(2)
    wanted, given = ([dice.choice(TYPES) for _ in range(200)] for _ in range(2))
    given[:20] = wanted[:20]
    wanted[-3:] = ["perf", "revert", "revert"]
    found = metrics(results([(f"{a}: x", f"{b}: x") for a, b in zip(given, wanted, strict=True)]), seed=0)
    judged = f1_score(wanted, given, labels=sorted(TYPES), average="macro")
    assert found["macro_f1"]["types"] == sorted(TYPES)
    assert found["macro_f1"]["value"] == pytest.approx(judged, abs=1e-6)
    names = sorted({*TYPES, "perf", "revert"})
    table = confusion_matrix(wanted, given, labels=names)
    assert [[found["confusion"][row].get(name, 0) for name in names] for row in names if row in wanted] == [
        row for row in table.tolist() if any(row)
    ]


def test_where_no_type_is_common_all_of_them_count() -> None:
    """Eight right answers of eight types: hardly a resample has them all, and the interval holds the figure anyway."""
    names = ("build", "chore", "ci", "docs", "feat", "fix", "perf", "test")
    found = metrics(results([(f"{name}: x", f"{name}: x") for name in names]), seed=0)["macro_f1"]
    assert found["types"] == list(names)
    assert (found["value"], found["interval"][1]) == (1, 1)
    assert found["interval"][0] < 0.9


def test_references_without_a_type_are_no_part_of_the_type_figures() -> None:
    made = results([("fix: a", "fix: a"), ("fix: a", "just words")])
    found = metrics([replace(result, repository="one") for result in made], seed=0)
    for name in ("type_accuracy", "scope_exact"):
        assert (found[name]["value"], found[name]["cases"]) == (1, 1)
    assert found["by_repository"]["one"]["cases"] == 2
    assert found["by_repository"]["one"]["type_accuracy"] == 1
    assert found["by_type"]["(none)"]["cases"] == 1
    assert found["by_type"]["(none)"]["type_accuracy"] is None
    assert "| (none) | 1 | 1.000 | - |" in summary("mine", {**found, "leaks": {"checked": False}}, made)
    assert {figure(name, made, made).cases for name in ("type_accuracy", "scope_exact")} == {1}
