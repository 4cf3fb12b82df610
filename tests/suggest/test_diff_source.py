"""Where a diff comes from, on real repositories and with hostile settings."""

import io
import os
import subprocess
from pathlib import Path

import pytest
from conftest import Repository

from joco_mlx.commit.diff import parse_diff
from joco_mlx.errors import InputError, MachineError
from joco_mlx.suggest import source
from joco_mlx.suggest.source import committed_diff, read_diff, staged_diff, tracked_diff


def stage(repository: Repository, **files: str) -> None:
    for name, content in files.items():
        repository.write(name, content)
    repository.git("add", "--all")


def test_what_is_staged_is_the_diff(repository: Repository) -> None:
    repository.commit("chore: begin", {"a": "1\n", "b": "1\n"})
    stage(repository, a="2\n")
    repository.write("b", "not staged\n")
    patch = staged_diff(repository.folder)
    assert [change.path for change in parse_diff(patch)] == ["a"]
    assert patch.startswith("diff --git a/a b/a\nindex ")
    assert "-1\n+2\n" in patch


def test_the_first_commit_is_a_diff_against_nothing(repository: Repository) -> None:
    stage(repository, a="1\n")
    [change] = parse_diff(staged_diff(repository.folder))
    assert (change.path, change.status, change.added) == ("a", "A", 1)


def test_a_sha256_repository_has_a_first_commit_too(tmp_path: Path) -> None:
    made = Repository(tmp_path)
    made.git("init", "--quiet", "--object-format=sha256")
    stage(made, a="1\n")
    assert [change.status for change in parse_diff(staged_diff(tmp_path))] == ["A"]


def test_a_folder_inside_and_a_linked_worktree_are_the_repository(repository: Repository, tmp_path: Path) -> None:
    repository.commit("chore: begin", {"a": "1\n", "sub/b": "1\n"})
    repository.git("worktree", "add", "--quiet", str(tmp_path / "linked"))
    stage(repository, a="2\n")
    linked = Repository(tmp_path / "linked")
    stage(linked, **{"sub/b": "3\n"})
    assert "b/a" in staged_diff(repository.folder / "sub")
    assert [change.path for change in parse_diff(staged_diff(linked.folder))] == ["sub/b"]


SETTINGS = {
    "color.ui": "always",
    "diff.noprefix": "true",
    "diff.mnemonicPrefix": "true",
    "diff.external": "false",
    "diff.context": "0",
    "diff.renames": "false",
    "diff.relative": "true",
    "diff.interHunkContext": "50",
    "diff.orderFile": "/nowhere",
    "diff.shout.textconv": "tr a-z A-Z",
    "diff.suppressBlankEmpty": "true",
    "core.quotePath": "true",
}


def test_no_setting_changes_the_diff(repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = "".join(f"line {number}\n\n" for number in range(20))
    repository.commit("chore: begin", {"a": content, "old": content + "end\n", ".gitattributes": "* diff=shout\n"})
    repository.git("mv", "old", "größe")
    stage(repository, a=content.replace("line 9", "line nine").replace("line 15", "line fifteen"))
    plain = staged_diff(repository.folder)
    assert "rename to größe" in plain
    user = tmp_path / "gitconfig"
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(user))
    for name, value in SETTINGS.items():
        subprocess.run(["git", "config", "--global", name, value], check=True)
        if name not in ("core.quotePath",):
            repository.git("config", name, value)
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", "false")
    monkeypatch.setenv("GIT_DIFF_OPTS", "--unified=0")
    assert staged_diff(repository.folder) == plain


def test_trust_is_the_user_s_own_setting(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(repository, a="1\n")
    user = tmp_path / "gitconfig"
    user.write_text("")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(user))
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(InputError, match="belongs to another user") as caught:
        staged_diff(repository.folder)
    assert f"--add safe.directory {repository.folder}" in caught.value.hint
    subprocess.run(caught.value.hint.split(": ", 1)[1].split(), check=True)
    assert "b/a" in staged_diff(repository.folder)


def test_a_hook_s_own_index_counts(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """`git commit --all` gives its hooks another index than the one on disk."""
    repository.commit("chore: begin", {"a": "1\n", "b": "1\n"})
    hook = repository.write(".git/hooks/pre-commit", f"#!/bin/sh\ncp $GIT_INDEX_FILE {repository.folder}/.git/seen\n")
    hook.chmod(0o755)
    repository.write("a", "2\n")
    repository.git("commit", "--quiet", "--all", "--message=fix: change a")
    repository.git("reset", "--quiet", "--mixed", "HEAD~1")
    monkeypatch.chdir(repository.folder)
    monkeypatch.setenv("GIT_DIR", ".git")
    monkeypatch.setenv("GIT_INDEX_FILE", ".git/seen")
    assert [change.path for change in parse_diff(staged_diff(Path()))] == ["a"]


def test_variables_of_another_repository_do_not_count(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(repository, a="1\n")
    (tmp_path / "other").mkdir()
    other = Repository(tmp_path / "other")
    other.git("init", "--quiet")
    monkeypatch.setenv("GIT_DIR", str(other.folder / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other.folder / ".git" / "index"))
    monkeypatch.chdir(other.folder)
    assert "b/a" in staged_diff(repository.folder)


def test_nothing_staged_names_the_next_command(repository: Repository) -> None:
    with pytest.raises(InputError, match="Nothing is staged in") as caught:
        staged_diff(repository.folder)
    assert "git add" in caught.value.hint
    repository.commit("chore: begin", {"a": "1\n"})
    repository.write("new", "")
    repository.git("add", "--intent-to-add", "new")
    with pytest.raises(InputError, match="Nothing is staged in"):
        staged_diff(repository.folder)


def test_a_conflict_is_told(repository: Repository) -> None:
    repository.commit("chore: begin", {"a": "1\n"})
    repository.git("checkout", "--quiet", "-b", "side")
    repository.commit("fix: change a", {"a": "2\n"})
    repository.git("checkout", "--quiet", "main")
    repository.commit("fix: change a otherwise", {"a": "3\n"})
    with pytest.raises(subprocess.CalledProcessError):
        repository.git("merge", "side")
    with pytest.raises(InputError, match="merge with conflicts"):
        staged_diff(repository.folder)


def test_a_folder_that_is_no_repository_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no git repository") as caught:
        staged_diff(tmp_path)
    assert "--diff FILE" in caught.value.hint
    with pytest.raises(InputError, match="There is no folder"):
        staged_diff(tmp_path / "nowhere")


def test_a_machine_without_git_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MachineError, match="'git' is not on PATH") as caught:
        staged_diff(tmp_path)
    assert "xcode-select" in caught.value.hint


def test_a_file_and_standard_input_give_the_same(tmp_path: Path) -> None:
    raw = b"diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n-\xe4\n+b\n"
    (tmp_path / "a.diff").write_bytes(raw)
    found = read_diff(str(tmp_path / "a.diff"))
    assert found == read_diff("-", io.BytesIO(raw))
    assert "-�\n" in found


@pytest.mark.parametrize("content", [b"", b" \n\t\n"], ids=["nothing", "white space"])
def test_an_empty_diff_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.diff").write_bytes(content)
    with pytest.raises(InputError, match=r"The diff in .*a\.diff is empty"):
        read_diff(str(tmp_path / "a.diff"))
    with pytest.raises(InputError, match="The diff in standard input is empty"):
        read_diff("-", io.BytesIO(content))


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.diff"):
        with pytest.raises(InputError, match="cannot be read"):
            read_diff(str(path))


def test_an_endless_source_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "LARGEST_DIFF_BYTES", 1 << 20)
    with pytest.raises(InputError, match="more than 1 MB"):
        read_diff("/dev/zero" if os.path.exists("/dev/zero") else "-", io.BytesIO(bytes(2 << 20)))


def test_a_commit_and_a_range_are_diffs_too(repository: Repository) -> None:
    repository.commit("chore: begin", {"a": "1\n"})
    repository.commit("fix: b", {"b": "1\n"})
    repository.commit("fix: c", {"c": "1\n"})
    named = {"HEAD": ["c"], "HEAD~1": ["b"], "HEAD~2": ["a"], "HEAD~2..HEAD": ["b", "c"], "HEAD~1..": ["c"]}
    for revision, paths in {**named, "HEAD~2...": ["b", "c"]}.items():
        assert [change.path for change in parse_diff(committed_diff(repository.folder, revision))] == paths
    for revision in ("nothing", "HEAD..nothing", "--all"):
        with pytest.raises(InputError, match="There is no commit"):
            committed_diff(repository.folder, revision)
    with pytest.raises(InputError, match="changes nothing"):
        committed_diff(repository.folder, "HEAD..HEAD")


def test_all_changes_are_what_commit_all_would_take(repository: Repository) -> None:
    repository.commit("chore: begin", {"a": "1\n", "b": "1\n", "sub/c": "1\n"})
    stage(repository, a="2\n")
    repository.write("b", "2\n")
    repository.write("new", "not tracked\n")
    before = repository.git("status", "--porcelain")
    patch = tracked_diff(repository.folder / "sub")
    assert [change.path for change in parse_diff(patch)] == ["a", "b"]
    assert repository.git("status", "--porcelain") == before
    repository.git("commit", "--quiet", "--all", "--message=fix: all")
    with pytest.raises(InputError, match="Nothing is staged"):
        tracked_diff(repository.folder)
    assert committed_diff(repository.folder, "HEAD") == patch
