"""When the hook speaks and when it is silent: real git, in every situation that has a message of its own."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Repository
from hook_fixture import SUGGESTED, Hooked, git, last_message, stage


@pytest.fixture
def hooked(tmp_path: Path) -> Hooked:
    folder = tmp_path / "recorder"
    folder.mkdir()
    return Hooked(folder)


@pytest.fixture
def ready(repository: Repository, hooked: Hooked, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A repository with two commits, the hook, and a change that is staged."""
    repository.commit("chore: begin", {"a": "0\n", "b": "0\n"})
    repository.commit("fix: change b", {"b": "1\n"})
    hooked.install(repository, monkeypatch)
    stage(repository)
    return repository


def test_a_plain_commit_gets_a_suggestion(ready: Repository, hooked: Hooked) -> None:
    done = git(ready, "commit")
    assert done.returncode == 0, done.stderr
    assert last_message(ready) == SUGGESTED
    [call] = hooked.calls
    assert call == f"{ready.folder} -P -m joco_mlx hook run .git/COMMIT_EDITMSG"


def test_the_message_can_be_edited_and_deleted(ready: Repository) -> None:
    assert git(ready, "commit", editor="sed -i.bak s/suggests/says/").returncode == 0
    assert last_message(ready) == SUGGESTED.replace("suggests", "says")
    stage(ready, "a", "2\n")
    done = git(ready, "commit", editor="sh -c ': > \"$1\"' -")
    assert "empty commit message" in done.stderr
    assert done.returncode == 1


SILENT: dict[str, Callable[[Repository], subprocess.CompletedProcess[str]]] = {
    "-m": lambda made: git(made, "commit", "-m", "fix: by hand"),
    "-F": lambda made: git(made, "commit", "-F", str(made.write("../message", "fix: from a file"))),
    "-C": lambda made: git(made, "commit", "-C", "HEAD"),
    "amend": lambda made: git(made, "commit", "--amend"),
    "amend without an editor": lambda made: git(made, "commit", "--amend", "--no-edit"),
    "fixup": lambda made: git(made, "commit", "--fixup", "HEAD"),
    "squash": lambda made: git(made, "commit", "--squash", "HEAD"),
    "template": lambda made: git(
        made, "-c", f"commit.template={made.write('../template', 'why: ')}", "commit", editor="sed -i.bak s/why/fix/"
    ),
    "revert": lambda made: (git(made, "stash"), git(made, "revert", "HEAD"))[1],
    "switched off": lambda made: git(made, "commit", editor="sh -c 'echo fix: x > \"$1\"' -", JOCO_MLX_HOOK="0"),
    "nothing staged": lambda made: (
        git(made, "stash"),
        git(made, "commit", "--allow-empty", editor="sh -c 'echo fix: x > \"$1\"' -"),
    )[1],
    "no model": lambda made: git(made, "commit", editor="sh -c 'echo fix: x > \"$1\"' -", JOCO_MLX_MODEL=""),
}


@pytest.mark.parametrize("situation", SILENT)
def test_a_commit_with_a_message_of_its_own_is_left_alone(
    ready: Repository, hooked: Hooked, situation: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path))
    before = ready.git("rev-parse", "HEAD")
    done = SILENT[situation](ready)
    assert done.returncode == 0, done.stderr
    assert ready.git("rev-parse", "HEAD") != before
    assert hooked.calls == []
    assert SUGGESTED not in last_message(ready)


FAILURES = {"it fails": "exit 6", "it is killed": "kill -9 $$", "it hangs": "exec sleep 60"}
