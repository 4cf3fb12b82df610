"""The proof about secrets, small: two repositories, one of them with a key that was really committed."""

import sys
from pathlib import Path
from types import ModuleType

import pytest
from conftest import Repository
from proof_modules import load


@pytest.fixture
def proof(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(tmp_path))  # puts back what the proof adds to the path
    for name in ("results", "mirrors"):
        monkeypatch.setitem(sys.modules, name, load(name, monkeypatch))
    made = load("dataset_secrets", monkeypatch)
    monkeypatch.setattr(made, "PAGE", tmp_path / "data.md")
    monkeypatch.setattr(made, "PLANTED_OF_EACH", 1)
    monkeypatch.setenv("JOCO_MIRRORS", str(tmp_path / "mirrors"))
    for name, commits in (("few", 3), ("many", 7)):
        folder = tmp_path / "mirrors" / name
        folder.mkdir(parents=True)
        repository = Repository(folder)
        repository.git("init", "--quiet", "--initial-branch=main")
        for number in range(commits):
            repository.commit(f"fix: count to {number}", {f"{number}.py": f"count = {number}\n" * 9})
        repository.commit("chore: bump", {"by_bot.py": "x = 1\n" * 9}, GIT_AUTHOR_NAME="renovate[bot]")
    return made


def run(proof: ModuleType, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["dataset_secrets", *words])
    return int(proof.main())


def test_clean_diffs_raise_no_alarm(proof: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run(proof, monkeypatch, "--diffs", "8") == 0
    told = (tmp_path / "data.md").read_text()
    assert "8 diffs of people from 2 repositories" in told
    assert "reported: 0, **0.00%**" in told
    assert "**missed: 0**" in told


def test_an_alarm_is_counted_and_its_secret_never_written(
    proof: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secret = proof.SECRETS["github token"]
    Repository(tmp_path / "mirrors" / "few", 1_800_000_000).commit("fix: log in", {"login.py": f"t = '{secret}'\n" * 3})
    alarms = tmp_path / "alarms"
    assert run(proof, monkeypatch, "--diffs", "9", "--alarms", str(alarms)) == 1
    written = alarms.read_text() + (tmp_path / "data.md").read_text()
    assert "reported: 1, **11.11%**" in written
    assert "github-token" in written
    assert secret not in written


def test_too_few_diffs_are_no_proof(proof: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="have 8 such diffs, not 5000"):
        run(proof, monkeypatch)
    assert not (tmp_path / "data.md").exists()
