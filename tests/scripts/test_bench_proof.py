"""The long benchmark's report: what it says of runs that reach a claim and of runs that do not."""

import sys
from pathlib import Path
from types import ModuleType

import pytest
from test_proof_results import load

from joco_mlx import artifacts
from joco_mlx.bench.cases import as_cases
from joco_mlx.bench.finished import Bench, open_bench
from joco_mlx.bench.live import LiveBench
from joco_mlx.bench.metrics import metrics
from joco_mlx.bench.results import Result
from joco_mlx.bench.scores import judge
from joco_mlx.commit.record import INSTRUCTION, Metadata, Record

ABOUT = Metadata(
    id="x", repository="tool", commit_hash="0" * 40, author="0" * 16, type="fix", scope=None, quality_score=90
)


@pytest.fixture
def claims(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    found: ModuleType = load("claims", monkeypatch)
    return found


def finished(folder: Path, answers: list[str]) -> Bench:
    """A finished run whose reference is always `fix: close the socket N`."""
    records = [
        Record(INSTRUCTION, f"+ {number}", f"fix: close the socket {number}", ABOUT) for number in range(len(answers))
    ]
    cases = as_cases(records)
    with LiveBench.open(folder, {"name": folder.name, "cases": {"count": len(cases)}}, cases) as live:
        results = []
        for case, answer in zip(cases, answers, strict=True):
            results.append(Result.of(case, answer, None, judge(answer, case.record.output, case.record.input)))
            live.write(results[-1], 0.25)
    found = {**metrics(results, seed=0), "leaks": {"checked": True, "leaked": 0}}
    artifacts.write_json(folder / "metrics.json", found)
    files = [folder / name for name in ("bench.json", "results.jsonl", "metrics.json")]
    artifacts.seal(folder, "bench", config={"name": folder.name}, parents={}, files=files)
    return open_bench(folder)


def benches(root: Path, tuned: list[str], *, gguf: list[str] | None = None) -> dict[str, Bench]:
    wrong = ["docs: describe nothing"] * len(tuned)
    made = {
        "baseline:paths": wrong, "baseline:tfidf": wrong, "baseline:neighbour": wrong,
        "tuned": tuned, "tuned, constrained": tuned, "GGUF": gguf or tuned, "base": ["Sure! Here is"] * len(tuned),
    }  # fmt: skip
    return {name: finished(root / name.replace(":", "-"), answers) for name, answers in made.items()}


def test_a_good_run_reaches_every_claim(claims: ModuleType, tmp_path: Path) -> None:
    found = claims.claims(benches(tmp_path, [f"fix: close the socket {number}" for number in range(40)]))
    assert [claim.sentence for claim in found if not claim.holds] == []
    assert len(found) == 10
    assert "type accuracy of tuned less baseline:paths: +1.000" in found[2].sentence


def test_what_is_not_reached_is_said(claims: ModuleType, tmp_path: Path) -> None:
    tuned = ["docs: describe nothing"] * 38 + ["No message"] * 2
    gguf = ["fix: close the socket"] * 40
    found = claims.claims(benches(tmp_path, tuned, gguf=gguf))
    missed = [claim.sentence for claim in found if not claim.holds]
    assert missed[0] == "tuned: 95.0% strictly valid, 99% wanted."
    assert missed[1] == "tuned, constrained: 95.0% strictly valid, 100% wanted."
    assert any(line.startswith("type accuracy of tuned less baseline:tfidf: +0.000") for line in missed)
    assert any(line.startswith("type accuracy of the GGUF less its adapter: +1.000") for line in missed)


def test_claims_are_made_of_runs_that_are_there(claims: ModuleType, tmp_path: Path) -> None:
    some = {name: bench for name, bench in benches(tmp_path, ["fix: it"] * 10).items() if name.startswith("baseline")}
    assert claims.claims(some) == []


def test_the_section_says_failures_first(claims: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))  # puts back what the proof adds to the path
    monkeypatch.setitem(sys.modules, "results", load("results", monkeypatch))
    monkeypatch.setitem(sys.modules, "claims", claims)
    proof = load("bench", monkeypatch)
    shown = proof.listed("Not reached", [claims.Claim("it is slow", False).sentence])
    assert shown == "**Not reached**\n\n- it is slow"
    assert proof.listed("Not reached", []) == ""
    made = benches(tmp_path, [f"fix: close the socket {number}" for number in range(12)])
    name, valid, *_, seconds = proof.row("tuned", made["tuned"])
    assert (name, valid.partition(" ")[0], seconds) == ("tuned", "1.000", "0.25")
