"""The benchmark of the whole pipeline ends in one line of JSON, on a small history and small sizes."""

import json
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


def test_it_ends_in_its_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(SCRIPTS)
    import benchmark_dataset

    monkeypatch.setattr(benchmark_dataset, "SMALL", 40)
    monkeypatch.setattr(benchmark_dataset, "LARGE", 80)
    made = benchmark_dataset.generate(tmp_path / "history.git", 60)
    figures = benchmark_dataset.benchmark(made, tmp_path, quick=True)
    assert (figures["commits"], figures["repository"]) == (61, "history")
    assert 0 < figures["kept"] <= 12
    assert figures["commits_per_cpu_second"] > 0
    assert figures["ratio_to_gitpython_pipeline"] > 0
    assert 0.5 < figures["peak_memory_growth"] < 1.5
    assert "plain GitPython pipeline" in capsys.readouterr().out
    assert json.loads(json.dumps(figures)) == figures
