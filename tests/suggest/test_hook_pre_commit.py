"""Beside pre-commit, which moves a hook that it finds to .legacy and runs it first: each runs once, and nothing is lost."""

from pathlib import Path

import pytest
from conftest import Repository
from hook_fixture import PRE_COMMIT, SUGGESTED, Hooked, executable, git, last_message, stage

from joco_mlx.suggest import hook


@pytest.fixture
def hooked(tmp_path: Path) -> Hooked:
    folder = tmp_path / "recorder"
    folder.mkdir()
    return Hooked(folder)


@pytest.mark.parametrize("first", ["pre-commit", "joco-mlx"])
def test_pre_commit_and_ours_run_once_each_in_either_order(
    repository: Repository, hooked: Hooked, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = repository.folder / ".git" / "hooks" / "prepare-commit-msg"
    if first == "joco-mlx":
        hooked.install(repository, monkeypatch)
        path.rename(path.with_name("prepare-commit-msg.legacy"))  # as `pre-commit install` does
    executable(repository, ".git/hooks/prepare-commit-msg", PRE_COMMIT)
    hooked.install(repository, monkeypatch)
    stage(repository)
    assert git(repository, "commit").returncode == 0
    assert last_message(repository) == SUGGESTED
    assert (path.parent / "ran").read_text() == "pre-commit\n"
    assert len(hooked.calls) == 1
    hook.uninstall(repository.folder)
    assert path.read_text() == PRE_COMMIT
    assert {entry.name for entry in path.parent.glob("prepare*")} - {f"{path.name}.sample"} == {path.name}


def test_pre_commit_installed_again_over_ours_runs_nothing_twice(
    repository: Repository, hooked: Hooked, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = executable(repository, ".git/hooks/prepare-commit-msg", PRE_COMMIT)
    hooked.install(repository, monkeypatch)
    path.rename(path.with_name("prepare-commit-msg.legacy"))
    executable(repository, ".git/hooks/prepare-commit-msg", PRE_COMMIT)
    stage(repository)
    assert git(repository, "commit").returncode == 0
    assert (path.parent / "ran").read_text() == "pre-commit\n"
    assert len(hooked.calls) == 1


OWN = '#!/bin/sh\necho own >> "$(git rev-parse --git-dir)/own"\n'


@pytest.fixture
def over_ours(repository: Repository, hooked: Hooked, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A repository with a hook of its own, ours before it, and then pre-commit over both."""
    path = executable(repository, ".git/hooks/prepare-commit-msg", OWN)
    hooked.install(repository, monkeypatch)
    path.rename(path.with_name("prepare-commit-msg.legacy"))
    executable(repository, ".git/hooks/prepare-commit-msg", PRE_COMMIT)
    return repository


def test_a_persons_own_hook_runs_behind_pre_commit_and_stays(over_ours: Repository, hooked: Hooked) -> None:
    stage(over_ours)
    assert git(over_ours, "commit").returncode == 0
    assert (over_ours.folder / ".git" / "own").read_text() == "own\n"
    assert (over_ours.folder / ".git" / "hooks" / "ran").read_text() == "pre-commit\n"
    assert len(hooked.calls) == 1
    found = hook.uninstall(over_ours.folder)
    legacy = found.path.with_name("prepare-commit-msg.legacy")
    assert (legacy.read_text(), legacy.stat().st_mode & 0o777) == (OWN, 0o755)
    assert found.path.read_text() == PRE_COMMIT
    assert found.before is None


def test_ours_behind_pre_commit_is_brought_up_to_date_where_it_is(over_ours: Repository) -> None:
    found = hook.install(over_ours.folder, limit_seconds=222)
    assert found.installed == found.path.with_name("prepare-commit-msg.legacy")
    assert "sleep 222 &" in found.installed.read_text()
    assert found.installed.stat().st_mode & 0o777 == 0o755
    assert found.path.read_text() == PRE_COMMIT
    assert found.before is not None
    assert found.before.read_text() == OWN


def test_a_persons_own_hook_outlives_another_pre_commit_install(
    repository: Repository, hooked: Hooked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pre-commit moves what is not its own over an older .legacy."""
    path = executable(repository, ".git/hooks/prepare-commit-msg", PRE_COMMIT)
    legacy = executable(repository, ".git/hooks/prepare-commit-msg.legacy", OWN, 0o750)
    hooked.install(repository, monkeypatch)
    if PRE_COMMIT not in path.read_text():
        path.replace(legacy)
        executable(repository, ".git/hooks/prepare-commit-msg", PRE_COMMIT)
    stage(repository)
    assert git(repository, "commit").returncode == 0
    assert last_message(repository) == SUGGESTED
    assert (repository.folder / ".git" / "own").read_text() == "own\n"
    assert (path.parent / "ran").read_text() == "pre-commit\n"
    hooked.install(repository, monkeypatch)
    hook.uninstall(repository.folder)
    assert (path.read_text(), legacy.read_text()) == (PRE_COMMIT, OWN)
    assert legacy.stat().st_mode & 0o777 == 0o750
    assert {entry.name for entry in path.parent.glob("*") if entry.suffix != ".sample"} == {
        path.name,
        legacy.name,
        "ran",
    }
