"""The long benchmark's report: what it says of runs that reach a claim and of runs that do not."""

import re
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from models_fixture import make_run
from proof_modules import load

from joco_mlx import artifacts
from joco_mlx.bench.cases import as_cases
from joco_mlx.bench.finished import Bench, open_bench
from joco_mlx.bench.live import LiveBench
from joco_mlx.bench.metrics import metrics
from joco_mlx.bench.results import Result
from joco_mlx.bench.scores import judge
from joco_mlx.commit.record import INSTRUCTION, Metadata, Record, write_records
from joco_mlx.config import BenchConfig
from joco_mlx.models.folder import open_folder
from joco_mlx.models.runs import open_run

ABOUT = Metadata(
    id="x", repository="tool", commit_hash="0" * 40, author="0" * 16, type="fix", scope=None, quality_score=90
)


def bench_record(number: int) -> Record:
    """A record that shares no word with another one but its type and its instruction."""
    words = " ".join(f"w{number}x{place}" for place in range(40))
    diff = (
        f"diff --git a/f{number}.py b/f{number}.py\n--- a/f{number}.py\n+++ b/f{number}.py\n@@ -0,0 +1 @@\n+{words}\n"
    )
    about = replace(ABOUT, id=f"tool-{number}", commit_hash=f"{number:040x}")
    return Record(INSTRUCTION, diff, f"fix: close v{number} and u{number}", about)


@pytest.fixture
def claims(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    found: ModuleType = load("claims", monkeypatch)
    return found


@pytest.fixture
def proof(claims: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(tmp_path))  # puts back what the proof adds to the path
    monkeypatch.setitem(sys.modules, "results", load("results", monkeypatch))
    monkeypatch.setitem(sys.modules, "claims", claims)
    found: ModuleType = load("bench", monkeypatch)
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


def test_the_section_says_failures_first(claims: ModuleType, proof: ModuleType, tmp_path: Path) -> None:
    shown = proof.listed("Not reached", [claims.Claim("it is slow", False).sentence])
    assert shown == "**Not reached**\n\n- it is slow"
    assert proof.listed("Not reached", []) == ""
    made = benches(tmp_path, [f"fix: close the socket {number}" for number in range(12)])
    name, valid, *_, seconds = proof.row("tuned", made["tuned"])
    assert (name, valid.partition(" ")[0], seconds) == ("tuned", "1.000", "0.25")


def test_what_is_kept_is_kept_for_its_run_and_its_records_only(
    proof: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_model: Callable[..., Path]
) -> None:
    made = []
    monkeypatch.setattr(
        proof, "calibrate", lambda config, cases, path, with_words: made.append(artifacts.write_text(path, ""))
    )
    monkeypatch.setattr(
        proof, "export_run", lambda config, run: made.append(artifacts.write_text(config.out / "joco.gguf", ""))
    )
    base = open_folder(tiny_model("qwen2"))
    first, second = (open_run(make_run(tmp_path / f"run{size}", base, max_seq_length=size)) for size in (256, 512))
    (tmp_path / "train.jsonl").write_text("what was trained on")
    here, there = tmp_path / "here.jsonl", tmp_path / "there.jsonl"
    for cases in (here, there):
        cases.write_text(cases.name)
    out = tmp_path / "out"
    priors = [proof.fitted(run, tmp_path, cases, out) for run in (first, second) for cases in (here, there, here)]
    ggufs = [proof.exported(run, out) for run in (first, second, first)]
    assert (len(set(priors)), len(set(ggufs)), len(made)) == (4, 2, 6)
    (tmp_path / "train.jsonl").write_text("and more")
    assert proof.fitted(first, tmp_path, here, out) not in priors


def test_a_killed_run_of_the_gguf_goes_on_where_it_was_served(
    proof: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address is part of what a server's model is, and a free port is another one each time."""
    ports = []

    class Server(nullcontext[object]):
        def __init__(self, gguf: Path, *, port: int) -> None:
            super().__init__(self)
            ports.append(port)
            self.url = f"http://127.0.0.1:{port or 4711}/v1"

    monkeypatch.setattr(proof, "LlamaServer", Server)
    asked = proof.Asked("GGUF", BenchConfig(model="gguf", engine="openai"), tmp_path / "joco.gguf")
    with proof.served(asked, tmp_path) as first:
        artifacts.write_json(tmp_path / "bench.json", {"model": {"url": first}})
    with proof.served(asked, tmp_path) as second:
        (tmp_path / "manifest.json").write_text("{}")
    with proof.served(asked, tmp_path) as third:
        assert (ports, first, second, third) == ([0, 4711], first, first, first)


@pytest.mark.usefixtures("llama_server_wheel")
def test_a_whole_proof_of_a_tiny_run(
    proof: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tiny_model: Callable[..., Path],
    make_dataset: Callable[[list[Record]], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Asked twice: the second time everything is there, and nothing is asked again."""
    data = make_dataset([bench_record(number) for number in range(100, 120)])
    for path, numbers in ((data / "validation.jsonl", range(200, 205)), (tmp_path / "cases.jsonl", range(3))):
        with path.open("wb") as file:
            write_records(file, [bench_record(number) for number in numbers])
    folder = make_run(tmp_path / "run", open_folder(tiny_model("qwen2")), max_seq_length=512)
    monkeypatch.setattr(proof, "MAX_TOKENS", 12)
    monkeypatch.setattr(proof, "record", lambda section, text: pytest.fail("three cases are no proof"))
    where = ["--cases", str(tmp_path / "cases.jsonl"), "--train", str(data), "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["bench", "--run", str(folder), *where])
    assert proof.main() == 1
    told = capsys.readouterr().out
    assert told.index("**Not reached**") < told.index("| tuned |")
    assert "- tuned, constrained: 100.0% strictly valid, 100% wanted." in told
    assert re.findall(r"^\| ([\w:, -]+?) \|", told, re.MULTILINE)[1:] == [
        *(f"baseline:{name}" for name in ("majority", "paths", "style", "tfidf", "neighbour")),
        *("tuned", "tuned, constrained", "tuned, type first", "tuned, 3 types tried", "GGUF", "base"),
        *("base, two-step", "base, baseline-v1"),
    ]
    monkeypatch.setattr(proof, "LlamaServer", lambda *_: pytest.fail("asked again"))
    assert proof.main() == 1
    assert capsys.readouterr().out == told
