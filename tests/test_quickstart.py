"""The whole line on a tiny model: dataset, training, GGUF and Modelfile, in one process."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from joco_mlx.cli import quickstart as shown
from joco_mlx.commit.record import INSTRUCTION, Metadata, Record
from joco_mlx.config import TrainConfig
from joco_mlx.errors import UsageError
from joco_mlx.models import registry
from joco_mlx.quickstart import Case, Report, estimate, quickstart

TYPES = ("feat", "fix", "docs", "test", "fix")


def record(number: int) -> Record:
    kind = TYPES[number % len(TYPES)]
    diff = (
        f"diff --git a/file{number}.py b/file{number}.py\n--- a/file{number}.py\n+++ b/file{number}.py\n"
        f"@@ -1 +1,2 @@\n old = {number}\n+new = {number}\n"
    )
    about = Metadata(f"r-{number}", "r", f"{number:040x}", "0" * 16, kind, None, 90)
    return Record(INSTRUCTION, diff, f"{kind}: add new number {number}", about)


@pytest.fixture
def dataset(make_dataset: Callable[..., Path]) -> Path:
    return make_dataset([record(number) for number in range(8)], [record(number) for number in range(8, 13)])


def test_the_whole_line_leaves_a_verified_gguf_and_its_modelfile(
    tiny_model: Callable[..., Path], dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tiny_model("llama", quantised={"group_size": 32, "bits": 4})
    config = TrainConfig(
        model=str(folder), data=dataset, out=tmp_path / "run", steps=2, grad_accumulation=1, max_seq_length=320, rank=2
    )
    report = quickstart(config)
    assert report.files.gguf.path.read_bytes()[:4] == b"GGUF"
    assert "FROM ./joco.gguf" in report.files.modelfile.read_text()
    assert report.files.report.problems == ()
    assert len(report.cases) == report.validation_records == 5
    assert report.run.is_finished
    shown._show(report)
    printed = capsys.readouterr().out
    assert "Held-out diff 3" in printed
    assert "0 of 5" in printed
    assert "+new = " in printed


def test_the_shown_cases_are_of_different_types() -> None:
    cases = tuple(Case(record(number), "", "fix: add it") for number in (1, 4, 2, 0))
    report = Report(None, None, cases, 4, {})  # type: ignore[arg-type]
    assert sorted(case.record.metadata.type for case in report.shown) == ["docs", "feat", "fix"]
    assert (report.valid_before, report.valid_after) == (0, 4)


def test_the_estimate_grows_with_the_steps_and_the_model(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("joco_mlx.quickstart.matmul_rate", lambda: 1e11)
    small, large = (registry.find(name) for name in ("smollm2-135m", "qwen2.5-coder-1.5b-instruct"))
    assert small is not None
    assert large is not None
    config = TrainConfig(data=dataset, steps=10)
    one, more, big = (
        estimate(config, small),
        estimate(TrainConfig(data=dataset, steps=20), small),
        estimate(config, large),
    )
    assert more.training_seconds == pytest.approx(2 * one.training_seconds)
    assert big.training_seconds > 10 * one.training_seconds
    assert big.download_bytes == large.download_bytes


def test_a_dry_run_says_the_costs_as_json_too(
    dataset: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("joco_mlx.quickstart.matmul_rate", lambda: 1e11)
    shown.quickstart(data=dataset, dry_run=True, json=True)
    said = json.loads(capsys.readouterr().out)
    assert (said["model"], said["download_bytes"] > 90e6) == ("smollm2-135m", True)


def test_a_dry_run_of_an_unknown_model_is_no_silent_success(dataset: Path) -> None:
    with pytest.raises(UsageError, match="What 'nope' costs is not known"):
        shown.quickstart(model="nope", data=dataset, dry_run=True)
