"""The benchmark runs on what it generates and on a mirror without a config file, and ends in one line of JSON."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Repository

SCRIPT = Path(__file__).parents[2] / "scripts" / "benchmark_extract.py"


def run(script: Path, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(script), "--quick", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_mirror_is_measured(repository: Repository, tmp_path: Path) -> None:
    for number in range(40):
        repository.commit(f"fix: count to {number}", {f"{number % 7}.txt": f"{number}\n" * 30})
    repository.git("clone", "--quiet", "--bare", ".", str(tmp_path / "mirror.git"))
    (tmp_path / "mirror.git" / "config").unlink()
    done = run(SCRIPT, tmp_path / "mirror.git")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert (figures["repository"], figures["commits"]) == ("mirror", 40)
    assert figures["commits_per_cpu_second"] > 0
    assert figures["ratio_to_git_log"] > 0
    assert figures["ratio_to_gitpython"] > 1


def test_outside_a_checkout_a_history_is_generated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(SCRIPT.parent)
    import benchmark_extract

    made = benchmark_extract.generate(tmp_path / "generated.git", 25)
    figures = benchmark_extract.benchmark(made, 25, 1.0, tmp_path)
    assert figures["commits"] == 25
    assert 1 <= figures["turns"] <= benchmark_extract.MAXIMUM_REPEATS
    assert "GitPython, create_patch" in capsys.readouterr().out


def test_a_folder_that_is_no_repository_is_told(tmp_path: Path) -> None:
    done = run(SCRIPT, tmp_path)
    assert (done.returncode, "no git repository" in done.stderr) == (3, True)
