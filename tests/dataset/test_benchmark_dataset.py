"""The benchmark of the whole pipeline ends in one line of JSON, on a small history and small sizes."""

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
FIGURES = {
    "repository",
    "commits",
    "kept",
    "commits_per_cpu_second",
    "gitpython_commits_per_cpu_second",
    "ratio_to_gitpython_pipeline",
    "peak_memory_growth",
}


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark, which compares a history of 80 commits with one of 40 in place of 20,000 and 2,000."""
    monkeypatch.syspath_prepend(SCRIPTS)
    import benchmark_dataset

    assert (benchmark_dataset.SMALL, benchmark_dataset.LARGE) == (2_000, 20_000)
    monkeypatch.setattr(benchmark_dataset, "SMALL", 40)
    monkeypatch.setattr(benchmark_dataset, "LARGE", 80)
    return benchmark_dataset


def test_it_ends_in_its_figures(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = script.generate(tmp_path / "history.git", 60)
    monkeypatch.setattr(sys, "argv", ["benchmark_dataset.py", "--quick", "--minimum-score", "0", str(made)])
    assert script.main() == 0
    *table, last = capsys.readouterr().out.splitlines()
    figures = json.loads(last)
    assert set(figures) == FIGURES
    assert (figures["commits"], figures["repository"]) == (61, "history")
    assert 0 < figures["kept"] <= 12
    assert figures["commits_per_cpu_second"] > 0
    assert figures["ratio_to_gitpython_pipeline"] > 0
    assert 0.5 < figures["peak_memory_growth"] < 1.5
    assert any("plain GitPython pipeline" in line for line in table)


def test_a_folder_that_is_no_repository_is_told(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmark_dataset.py", "--quick", str(tmp_path)])
    assert script.main() == 3
    told = capsys.readouterr()
    assert "no git repository" in told.err
    assert told.out == ""
