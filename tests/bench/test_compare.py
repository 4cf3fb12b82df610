"""Comparisons by hand: what is paired, what is better, what nobody can tell, and what CI is told."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from bench_records import record

from joco_mlx import artifacts
from joco_mlx.bench.cases import Case, as_cases
from joco_mlx.bench.compare import compare
from joco_mlx.bench.compare_page import page, write
from joco_mlx.bench.difference import Difference
from joco_mlx.bench.metrics import metrics
from joco_mlx.bench.results import Result
from joco_mlx.bench.scores import judge
from joco_mlx.errors import InputError, VerificationError

CASES = as_cases(record(number) for number in range(200))


def made(folder: Path, answers: Sequence[str], cases: Sequence[Case] = CASES) -> Path:
    """A finished run that gave these answers."""
    folder.mkdir()
    results = [
        Result.of(case, answer, None, judge(answer, case.record.output, case.record.input))
        for case, answer in zip(cases, answers, strict=False)
    ]
    with (folder / "results.jsonl").open("wb") as file:
        file.writelines(result.to_line() for result in results)
    artifacts.write_json(folder / "metrics.json", metrics(results, seed=0))
    artifacts.seal(folder, "bench", config={}, parents={}, files=list(folder.iterdir()))
    return folder


def reference_with(wrong: range, cases: Sequence[Case] = CASES) -> list[str]:
    """The references, with another type for some."""
    return [
        f"style: {case.record.output.partition(': ')[2]}" if number in wrong else case.record.output
        for number, case in enumerate(cases)
    ]


def figures(first: Path, second: Path) -> dict[str, Difference]:
    return dict(compare(first, [second])[1][0].differences)


def test_a_rate_by_hand(tmp_path: Path) -> None:
    first = made(tmp_path / "a", reference_with(range(40)))
    second = made(tmp_path / "b", reference_with(range(30, 50)))
    found = figures(first, second)["type_accuracy"]
    assert (found.reference, found.value) == (0.8, 0.9)
    assert (found.only_reference, found.only_this) == (10, 30)
    assert found.difference.value == pytest.approx(0.1)
    # Bonett and Price: (31 - 11) / 202 -+ 1.96 sqrt((42 / 202 - (20 / 202)^2) / 202).
    assert found.difference.low == pytest.approx(20 / 202 - 1.959964 * ((42 / 202 - (20 / 202) ** 2) / 202) ** 0.5)
    assert found.p == pytest.approx(0.002221, abs=1e-6)
    assert found.verdict == "better"


def test_equal_runs_are_alike(tmp_path: Path) -> None:
    first, second = (made(tmp_path / name, reference_with(range(20))) for name in "ab")
    assert {difference.verdict for difference in figures(first, second).values()} == {"alike"}


def test_few_cases_tell_nothing(tmp_path: Path) -> None:
    first = made(tmp_path / "a", reference_with(range(3)), CASES[:20])
    second = made(tmp_path / "b", reference_with(range(2)), CASES[:20])
    found = compare(first, [second])[1][0].differences["type_accuracy"]
    assert found.verdict == "too few cases to tell"
    assert found.cases_needed is not None
    assert found.cases_needed > 20
    assert "(about " in page("a", compare(first, [second])[1])


def test_a_handful_is_never_enough(tmp_path: Path) -> None:
    first, second = made(tmp_path / "a", ["", "", ""]), made(tmp_path / "b", reference_with(range(0)), CASES[:3])
    assert {difference.verdict for difference in figures(first, second).values()} == {"too few cases to tell"}


def test_types_of_a_few_cases_decide_nothing(tmp_path: Path) -> None:
    """Nine of each of four types, the rest of them wrong in the first run and right in the second."""
    first, second = (
        made(tmp_path / name, reference_with(wrong), CASES[:36]) for name, wrong in (("a", range(36)), ("b", range(0)))
    )
    found = figures(first, second)
    assert found["type_accuracy"].verdict == "better"
    assert (found["macro_f1"].reference, found["macro_f1"].value) == (0, 1)
    assert found["macro_f1"].verdict == "too few cases to tell"


def test_only_what_both_answered_is_compared(tmp_path: Path) -> None:
    first = made(tmp_path / "a", reference_with(range(0))[:120], CASES[:120])
    second = made(tmp_path / "b", reference_with(range(0))[::-1], CASES[::-1])
    found = compare(first, [second])[1][0]
    assert (len(found.pairs), found.unpaired) == (120, 80)
    assert all(pair.reference.key == pair.this.key for pair in found.pairs)
    third = made(tmp_path / "c", reference_with(range(0), CASES[150:]), CASES[150:])
    with pytest.raises(InputError, match="no case in common"):
        compare(first, [third])


def test_best_and_worst_cases(tmp_path: Path) -> None:
    first = made(tmp_path / "a", reference_with(range(2)))
    second = made(tmp_path / "b", reference_with(range(4, 7)))
    found = compare(first, [second])[1][0]
    assert {pair.this.key for pair in found.best} == {CASES[0].key, CASES[1].key}
    assert {pair.this.key for pair in found.worst} == {case.key for case in CASES[4:7]}


def test_groups_hold_every_case_once(tmp_path: Path) -> None:
    first, second = made(tmp_path / "a", reference_with(range(9))), made(tmp_path / "b", reference_with(range(0)))
    found = compare(first, [second])[1][0]
    for groups in (found.by_type, found.by_repository):
        assert sum(group["chrf"].cases for group in groups.values()) == 200


def test_ci_fails_when_a_run_is_worse(tmp_path: Path) -> None:
    good = made(tmp_path / "good", reference_with(range(0)))
    bad = made(tmp_path / "bad", reference_with(range(60)))
    comparison = compare(good, [bad])[1][0]
    with pytest.raises(VerificationError, match=r"bad is worse than good: type_accuracy by 0\.3"):
        comparison.check("good")
    compare(bad, [good])[1][0].check("bad")
    words = [sys.executable, "-m", "joco_mlx", "bench", "compare", str(good), str(bad), "--fail-if-worse", "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 6
    assert json.loads(done.stdout)["runs"][0]["figures"]["type_accuracy"]["verdict"] == "worse"


def test_the_page_and_the_document_say_the_same(tmp_path: Path) -> None:
    first, second = made(tmp_path / "a", reference_with(range(60))), made(tmp_path / "b", reference_with(range(0)))
    write(tmp_path / "c.md", "a", compare(first, [second])[1])
    document = json.loads((tmp_path / "c.json").read_text())
    accuracy = document["runs"][0]["figures"]["type_accuracy"]
    text = (tmp_path / "c.md").read_text()
    assert f"| Type accuracy | {accuracy['reference']:.3f} | {accuracy['value']:.3f} | +0.300 |" in text
    assert "### Gained most" in text
    assert "### Lost most" not in text
