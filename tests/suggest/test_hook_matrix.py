"""When the hook speaks and when it is silent: real git, in every situation that has a message of its own."""

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Repository
from hook_fixture import SUGGESTED, Hooked, executable, git, last_message, person, stage

from joco_mlx.suggest import hook
from joco_mlx.suggest.hook_script import BEFORE


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
    "-c": lambda made: git(made, "commit", "-c", "HEAD"),
    "amend with -m": lambda made: git(made, "commit", "--amend", "-m", "fix: by hand"),
    "fixup that amends": lambda made: git(made, "commit", "--fixup", "amend:HEAD"),
    "fixup that rewords": lambda made: git(made, "commit", "--fixup", "reword:HEAD"),
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
    "no editor, and none asked": lambda made: git(made, "commit", "--no-edit", "--allow-empty-message"),
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


TRAILERS = {"--signoff": "Signed-off-by: ", "--trailer=Co-authored-by: Bo": "Co-authored-by: Bo"}


@pytest.mark.parametrize("option", TRAILERS)
def test_trailers_alone_are_no_message_yet(ready: Repository, hooked: Hooked, option: str) -> None:
    done = git(ready, "commit", option)
    assert done.returncode == 0, done.stderr
    subject, trailer = last_message(ready).split("\n\n")
    assert subject == SUGGESTED
    assert trailer.startswith(TRAILERS[option])
    executable(ready, f".git/hooks/{BEFORE}", '#!/bin/sh\necho "Stop it on stand-by: for now" > "$1"\n')
    stage(ready, "a", "2\n")
    assert git(ready, "commit", option).returncode == 0
    assert len(hooked.calls) == 1


def test_a_message_that_nobody_reads_is_not_made(ready: Repository, hooked: Hooked) -> None:
    done = git(ready, "commit", "--no-edit")
    assert (done.returncode, hooked.calls) == (1, [])
    assert "Aborting commit due to empty commit message" in done.stderr


def test_merge_squash_cherry_pick_and_rebase_are_left_alone(ready: Repository, hooked: Hooked) -> None:
    git(ready, "commit", "-m", "fix: a")
    git(ready, "checkout", "-q", "-b", "side", "HEAD~1")
    stage(ready, "c")
    git(ready, "commit", "-m", "feat: c")
    git(ready, "checkout", "-q", "main")
    assert git(ready, "merge", "--no-ff", "side").returncode == 0
    assert "Merge branch 'side'" in last_message(ready)
    git(ready, "reset", "-q", "--hard", "HEAD~1")
    git(ready, "merge", "-q", "--squash", "side")
    assert git(ready, "commit").returncode == 0
    assert "Squashed commit" in last_message(ready)
    git(ready, "reset", "-q", "--hard", "HEAD~1")
    assert git(ready, "cherry-pick", "--edit", "side").returncode == 0
    git(ready, "checkout", "-q", "side")
    assert git(ready, "rebase", "-i", "--force-rebase", "main").returncode == 0
    sequence = "sed -i.bak s/^pick/reword/"
    assert git(ready, "rebase", "-i", "--root", GIT_SEQUENCE_EDITOR=sequence).returncode == 0
    assert hooked.calls == []


SEQUENCES = {"squash": "2s/^pick/squash/", "fixup": "2s/^pick/fixup/", "edit": "1s/^pick/edit/"}


@pytest.mark.parametrize("step", SEQUENCES)
def test_a_rebase_that_changes_commits_is_left_alone(ready: Repository, hooked: Hooked, step: str) -> None:
    for name in ("c", "d"):
        stage(ready, name)
        assert git(ready, "commit", "-m", f"feat: add {name}").returncode == 0
    done = git(ready, "rebase", "-i", "HEAD~2", GIT_SEQUENCE_EDITOR=f"sed -i.bak {SEQUENCES[step]}")
    assert done.returncode == 0, done.stderr
    if step == "edit":
        stage(ready, "c", "2\n")
        assert git(ready, "rebase", "--continue").returncode == 0
    assert hooked.calls == []
    assert "feat: add c" in ready.git("log", "-2", "--format=%B")


def test_autosquash_and_mails_are_left_alone(ready: Repository, hooked: Hooked, tmp_path: Path) -> None:
    git(ready, "commit", "-m", "feat: add c")
    stage(ready, "a", "2\n")
    git(ready, "commit", "--fixup", "HEAD")
    assert git(ready, "rebase", "-i", "--autosquash", "HEAD~2").returncode == 0
    mail = ready.write("../mail", ready.git("format-patch", "--stdout", "-1") + "\n")
    ready.git("reset", "--quiet", "--hard", "HEAD~1")
    assert git(ready, "am", str(mail)).returncode == 0
    assert last_message(ready) == "feat: add c"
    assert hooked.calls == []


def test_a_hooks_path_of_the_repository_s_own(
    repository: Repository, hooked: Hooked, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.git("config", "core.hooksPath", "tools/git hooks")
    found = hooked.install(repository, monkeypatch)
    assert found.path == repository.folder / "tools" / "git hooks" / "prepare-commit-msg"
    stage(repository)
    assert git(repository, "commit").returncode == 0
    assert last_message(repository) == SUGGESTED


def test_a_conflict_that_is_resolved_keeps_git_s_message(ready: Repository, hooked: Hooked) -> None:
    git(ready, "commit", "-m", "fix: a")
    git(ready, "checkout", "-q", "-b", "side", "HEAD~1")
    stage(ready, "a", "other\n")
    git(ready, "commit", "-m", "fix: a otherwise")
    assert git(ready, "merge", "main").returncode == 1
    stage(ready, "a", "both\n")
    assert git(ready, "commit").returncode == 0
    assert "Merge branch 'main'" in last_message(ready)
    assert hooked.calls == []


def test_the_first_commit_of_a_repository(
    repository: Repository, hooked: Hooked, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooked.install(repository, monkeypatch)
    stage(repository)
    assert git(repository, "commit").returncode == 0
    assert last_message(repository) == SUGGESTED


def test_a_linked_worktree_and_a_folder_below(ready: Repository, hooked: Hooked, tmp_path: Path) -> None:
    ready.git("worktree", "add", "--quiet", str(tmp_path / "linked tree"), "-b", "linked")
    linked = Repository(tmp_path / "linked tree")
    stage(linked, "sub dir/c")
    assert git(Repository(linked.folder / "sub dir"), "commit").returncode == 0
    assert last_message(linked) == SUGGESTED
    assert hooked.calls[0].startswith(f"{linked.folder} -P -m joco_mlx hook run ")
    assert hook.state(linked.folder).path == hook.state(ready.folder).path


def test_a_submodule(ready: Repository, hooked: Hooked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(ready, "commit", "-m", "fix: a")
    outer = Repository(tmp_path / "outer")
    outer.folder.mkdir()
    outer.git("init", "--quiet")
    outer.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(ready.folder), "inner")
    inner = Repository(outer.folder / "inner")
    found = hooked.install(inner, monkeypatch)
    assert found.path == outer.folder / ".git" / "modules" / "inner" / "hooks" / "prepare-commit-msg"
    stage(inner, "a", "9\n")
    assert git(inner, "commit").returncode == 0
    assert last_message(inner) == SUGGESTED


def test_a_path_with_spaces_and_quotes(hooked: Hooked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Repository(tmp_path / 'it\'s a "folder" $HOME')
    made.folder.mkdir()
    made.git("init", "--quiet")
    hooked.install(made, monkeypatch)
    stage(made)
    assert git(made, "commit").returncode == 0
    assert last_message(made) == SUGGESTED


def test_part_of_the_files_and_all_of_them(ready: Repository, hooked: Hooked) -> None:
    ready.write("b", "2\n")
    assert git(ready, "commit", "b").returncode == 0
    assert git(ready, "commit", "--all", "--verbose").returncode == 0
    assert last_message(ready) == SUGGESTED
    assert len(hooked.calls) == 2


def test_a_program_without_a_path_or_a_terminal_can_commit(ready: Repository, tmp_path: Path) -> None:
    """As an editor on a Mac starts git: almost no PATH, no terminal."""
    bare = tmp_path / "bin"
    bare.mkdir()
    for name in ("git", "sleep", "cat", "mv", "grep", "true", "sh"):
        (bare / name).symlink_to(shutil.which(name) or name)
    assert git(ready, "commit", PATH=str(bare)).returncode == 0
    assert last_message(ready) == SUGGESTED


FAILURES = {"it fails": "exit 6", "it is killed": "kill -9 $$", "it hangs": "exec sleep 60"}


@pytest.mark.parametrize("failure", FAILURES)
def test_whatever_goes_wrong_the_commit_goes_on(
    repository: Repository, hooked: Hooked, failure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooked.install(repository, monkeypatch, FAILURES[failure])
    stage(repository)
    began = time.monotonic()
    done = git(repository, "commit", editor="sh -c 'echo fix: by hand > \"$1\"' -")
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 10
    assert last_message(repository) == "fix: by hand"
    assert ("no suggestion within 2 seconds" in done.stderr) == (failure != "it fails")


def test_a_python_that_is_gone_is_no_failure(ready: Repository, hooked: Hooked) -> None:
    hooked.python().unlink()
    done = git(ready, "commit", editor="sh -c 'echo fix: by hand > \"$1\"' -")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("words", [["message"], ["commit", "HEAD"], [""]], ids=["-m", "amend", "no model"])
def test_nothing_to_do_takes_under_thirty_milliseconds(
    ready: Repository, hooked: Hooked, words: list[str], tmp_path: Path
) -> None:
    path = hook.state(ready.folder).path
    variables = {**person(), "HOME": str(tmp_path), "OLLAMA_MODELS": str(tmp_path), "JOCO_MLX_MODEL": ""}
    took = []
    for _ in range(15):
        began = time.perf_counter()
        subprocess.run([path, ".git/COMMIT_EDITMSG", *words], cwd=ready.folder, env=variables, check=True)
        took.append(time.perf_counter() - began)
    assert min(took) < 0.030
    assert hooked.calls == []
