"""Whole runs of baselines: what lies in the folder, what is the same twice, what a kill leaves, what is refused."""

import dataclasses
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bench_records import record, write
from typer.testing import CliRunner

from joco_mlx.bench.finished import list_runs, open_bench
from joco_mlx.bench.run import run
from joco_mlx.cli.main import app
from joco_mlx.config import BenchConfig
from joco_mlx.errors import ConflictError, InputError, MachineError, UsageError


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    """A validation split with its training split beside it."""
    write(tmp_path / "data" / "train.jsonl", [record(number) for number in range(100, 200)])
    return write(tmp_path / "data" / "validation.jsonl", [record(number) for number in range(40)])


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name != "timings.jsonl"}


def config(name: str, **more: object) -> BenchConfig:
    return BenchConfig(model=f"baseline:{name}", **more)  # type: ignore[arg-type]


def test_what_is_no_file_of_cases_is_told_before_anything_of_the_model(cases: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent cannot be read: No such file"):
        run(config("majority"), tmp_path / "absent")
    with pytest.raises(InputError, match="data is a folder, not a file of cases") as caught:
        run(config("majority"), cases.parent)
    assert caught.value.hint.endswith("--cases " + str(cases))


@pytest.mark.parametrize("name", ["../elsewhere", "a/b", "/tmp/x", "..", ""])
def test_the_id_of_a_run_is_a_name_and_no_path(cases: Path, name: str) -> None:
    with pytest.raises(UsageError, match=f"--run-id is '{name}', but must be a name"):
        run(config("majority"), cases, run_id=name)


def test_types_are_tried_with_a_prior_only(cases: Path) -> None:
    words = ["bench", "run", "--cases", str(cases), "--model", "baseline:paths", "--tried-types", "3"]
    with pytest.raises(UsageError, match="--tried-types 3 is for --type-prior only"):
        CliRunner().invoke(app, words, catch_exceptions=False)


def test_the_command_of_the_documents(cases: Path, tmp_path: Path) -> None:
    """No dataset beside the cases, no model: the command line as people type it."""
    alone = write(tmp_path / "alone" / "validation.jsonl", [record(number) for number in range(30)])
    words = ["bench", "run", "--model", "baseline:paths", "--cases", str(alone), "--out", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-m", "joco_mlx", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert found["cases"] == 30
    figures = [found[name] for name in ("strict_validity", "type_accuracy", "macro_f1", "joco_score")]
    figures += [found["description"][name] for name in ("edit_similarity", "chrf", "rouge_l")]
    for figure in figures:
        assert figure["interval"][0] <= figure["value"] <= figure["interval"][1]
    assert "Strictly valid" in done.stdout
    assert "# baseline:paths" in (tmp_path / "out" / "summary.md").read_text()


@pytest.mark.parametrize("name", ["paths", "tfidf"])
def test_two_runs_are_the_same_bytes(name: str, cases: Path, tmp_path: Path) -> None:
    for out in ("one", "two"):
        run(config(name), cases, tmp_path / out)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert len((tmp_path / "one" / "timings.jsonl").read_text().splitlines()) == 40


def test_a_run_cut_anywhere_goes_on_to_the_same_bytes(cases: Path, tmp_path: Path) -> None:
    whole = run(config("majority"), cases, tmp_path / "whole").artifact.folder
    lines = (whole / "results.jsonl").read_bytes()
    for cut in (0, 1, lines.index(b"\n") + 1, len(lines) // 2, len(lines) - 1, len(lines)):
        half = tmp_path / f"cut-{cut}"
        half.mkdir()
        shutil.copy(whole / "bench.json", half)
        (half / "results.jsonl").write_bytes(lines[:cut])
        run(config("majority"), cases, half)
        assert contents(half) == contents(whole)


def test_a_killed_process_loses_nothing(cases: Path, tmp_path: Path) -> None:
    many = write(tmp_path / "many.jsonl", [record(number) for number in range(1_000)])
    words = ["bench", "run", "--model", "baseline:paths", "--cases", str(many), "--out", str(tmp_path / "out")]
    with subprocess.Popen([sys.executable, "-m", "joco_mlx", *words], stderr=subprocess.DEVNULL) as process:
        results = tmp_path / "out" / "results.jsonl"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (results.is_file() and results.stat().st_size > 5_000):
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
    answered = results.read_bytes().count(b"\n")
    assert 0 < answered < 1_000
    run(config("paths"), many, tmp_path / "out")
    assert len((tmp_path / "out" / "results.jsonl").read_text().splitlines()) == 1_000
    # A case may have its time and not its line when the process dies between the two.
    assert len((tmp_path / "out" / "timings.jsonl").read_text().splitlines()) in (1_000, 1_001)


def test_a_finished_run_is_not_asked_again(cases: Path, tmp_path: Path) -> None:
    first = run(config("paths"), cases, tmp_path / "out")
    before = (tmp_path / "out" / "results.jsonl").stat().st_mtime_ns
    assert run(config("paths"), cases, tmp_path / "out").metrics == first.metrics
    assert (tmp_path / "out" / "results.jsonl").stat().st_mtime_ns == before


@pytest.mark.parametrize("change", [{"seed": 1}, {"model": "baseline:majority"}, {"max_cases": 5}])
def test_another_run_in_the_same_folder_is_refused(change: dict[str, object], cases: Path, tmp_path: Path) -> None:
    run(config("paths"), cases, tmp_path / "out")
    with pytest.raises(ConflictError, match="a run with other"):
        run(dataclasses.replace(config("paths"), **change), cases, tmp_path / "out")  # type: ignore[arg-type]


def test_somebody_elses_folder_is_refused(cases: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    with pytest.raises(ConflictError, match="is no benchmark run"):
        run(config("paths"), cases, tmp_path / "out")


def test_a_folder_that_another_process_writes_is_left_alone(cases: Path, tmp_path: Path) -> None:
    run(config("paths"), cases, tmp_path / "out")
    with (tmp_path / "out" / "results.jsonl").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ConflictError, match="Another process writes"):
            run(config("paths"), cases, tmp_path / "out")


def test_a_damaged_folder_is_told(cases: Path, tmp_path: Path) -> None:
    run(config("paths"), cases, tmp_path / "out")
    (tmp_path / "out" / "bench.json").write_text("{")
    with pytest.raises(ConflictError, match=r"bench\.json cannot be read"):
        run(config("paths"), cases, tmp_path / "out")


def test_a_file_in_the_place_of_the_folder_is_told(cases: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(MachineError, match="could not be written"):
        run(config("paths"), cases, tmp_path / "out")


def test_leaks_are_refused_or_left_out_and_counted(tmp_path: Path) -> None:
    write(tmp_path / "data" / "train.jsonl", [record(number) for number in range(35, 135)])
    cases = write(tmp_path / "data" / "validation.jsonl", [record(number) for number in range(40)])
    with pytest.raises(InputError, match="5 of 40 cases stand in the training data") as told:
        run(config("majority"), cases, tmp_path / "out")
    assert "--allow-leak" in told.value.hint
    assert not (tmp_path / "out").exists()
    done = run(config("majority", allow_leak=True), cases, tmp_path / "out")
    assert done.metrics["cases"] == 35
    assert done.metrics["leaks"] == {"checked": True, "leaked": 5, "ways": {"same commit": 5}}
    with pytest.raises(InputError, match="5 of 40"):
        run(config("paths", train=tmp_path / "data"), cases, tmp_path / "named")


def test_runs_are_listed_by_name(cases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("paths", "majority"):
        run(config(name), cases, run_id=f"my-{name}")
    run(config("paths", max_cases=7), cases)
    listed = {item.id: item for item in list_runs()}
    assert listed["my-paths"].type_accuracy == 1
    assert listed["my-majority"].cases == 40
    assert any(name.startswith("baseline-paths-validation-") for name in listed)
    assert open_bench(Path("my-paths")).metrics["cases"] == 40


def test_a_run_that_is_not_there_and_one_that_is_not_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="There is no run nothing, here or in runs/bench") as caught:
        open_bench(Path("nothing"))
    assert caught.value.hint.endswith("joco-mlx bench runs")
    Path("runs/bench/half").mkdir(parents=True)
    with pytest.raises(InputError, match=r"runs/bench/half has no manifest\.json: it is unfinished"):
        open_bench(Path("half"))


def test_a_changed_answer_is_noticed(cases: Path, tmp_path: Path) -> None:
    run(config("paths"), cases, tmp_path / "out")
    results = tmp_path / "out" / "results.jsonl"
    results.write_bytes(results.read_bytes().replace(b"update", b"UPDATE"))
    with pytest.raises(InputError, match="was changed after it was finished"):
        open_bench(tmp_path / "out")


def test_nothing_to_ask_is_refused(cases: Path, tmp_path: Path) -> None:
    empty = write(tmp_path / "empty.jsonl", [])
    with pytest.raises(InputError, match="has no case"):
        run(config("paths"), empty, tmp_path / "out")
    with pytest.raises(InputError, match=r"has no train\.jsonl"):
        run(config("tfidf"), write(tmp_path / "alone.jsonl", [record(1)]), tmp_path / "out")
