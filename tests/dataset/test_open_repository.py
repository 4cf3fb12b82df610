"""Which folders can be read, what they are called, and what is said of the others."""

from pathlib import Path

import pytest
from conftest import Repository

from joco_mlx.dataset.repository import open_repository
from joco_mlx.errors import InputError


@pytest.fixture
def filled(repository: Repository) -> Repository:
    repository.commit("feat: begin", {"a.txt": "1\n"})
    repository.commit("fix: go on", {"a.txt": "2\n"})
    return repository


def test_a_clone_is_described(filled: Repository) -> None:
    source = open_repository(filled.folder)
    assert source.head == filled.git("rev-parse", "HEAD")
    assert source.name == "repository"
    assert source.remotes == ()


def test_it_is_named_after_its_origin(filled: Repository) -> None:
    filled.git("remote", "add", "another", "https://example.com/somebody/fork.git")
    filled.git("remote", "add", "origin", "git@example.com:somebody/tool.git")
    source = open_repository(filled.folder)
    assert source.name == "tool"
    assert source.remotes == ("git@example.com:somebody/tool.git", "https://example.com/somebody/fork.git")
    assert open_repository(filled.folder, "given").name == "given"


def test_a_bare_mirror_and_a_worktree_are_repositories(filled: Repository, tmp_path: Path) -> None:
    filled.git("clone", "--quiet", "--mirror", ".", str(tmp_path / "mirror.git"))
    filled.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "linked"), "HEAD~1")
    mirror = open_repository(tmp_path / "mirror.git")
    assert mirror.head == filled.git("rev-parse", "HEAD")
    assert open_repository(tmp_path / "linked").head == filled.git("rev-parse", "HEAD~1")


def test_a_mirror_without_a_config_file_is_a_repository(filled: Repository, tmp_path: Path) -> None:
    filled.git("clone", "--quiet", "--bare", ".", str(tmp_path / "mirror.git"))
    (tmp_path / "mirror.git" / "config").unlink()
    source = open_repository(tmp_path / "mirror.git")
    assert (source.head, source.name) == (filled.git("rev-parse", "HEAD"), "mirror")


def test_variables_of_a_git_hook_do_not_redirect_it(filled: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_WORK_TREE", "/nowhere")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "nonsense")
    assert open_repository(filled.folder).name == "repository"


def test_a_folder_that_is_no_repository(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    for folder in (tmp_path / "plain", tmp_path / "absent"):
        with pytest.raises(InputError, match="no git repository") as caught:
            open_repository(folder)
        assert str(folder) in caught.value.message
        assert "git clone" in caught.value.hint


def test_a_folder_inside_a_repository_is_not_taken_for_it(filled: Repository) -> None:
    filled.write("inner/file", "x")
    with pytest.raises(InputError, match=r"inner is no git repository: git keeps no history in it\."):
        open_repository(filled.folder / "inner")


def test_an_empty_history(repository: Repository) -> None:
    with pytest.raises(InputError, match="has no commits"):
        open_repository(repository.folder)


def test_a_shallow_clone_is_refused_with_the_repair(filled: Repository, tmp_path: Path) -> None:
    filled.git("clone", "--quiet", "--depth=1", f"file://{filled.folder}", str(tmp_path / "shallow"))
    with pytest.raises(InputError, match="shallow clone") as caught:
        open_repository(tmp_path / "shallow")
    assert f"git -C {tmp_path / 'shallow'} fetch --unshallow" in caught.value.hint


def test_a_damaged_head_is_told(filled: Repository) -> None:
    (filled.folder / ".git" / "HEAD").write_text("nonsense\n")
    with pytest.raises(InputError):
        open_repository(filled.folder)
