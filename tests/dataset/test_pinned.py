"""What repositories are called in a dataset, and what a revision means in hashes."""

from pathlib import Path

import pytest
from conftest import Repository

from joco_mlx.config import BuildConfig
from joco_mlx.dataset.pinned import Pinned, pin
from joco_mlx.dataset.sources import Wanted
from joco_mlx.errors import InputError
from joco_mlx.progress import Silent


def pinned(*wanted: Wanted, revision: str = "HEAD") -> list[Pinned]:
    return list(pin(wanted, BuildConfig(revision=revision), None, Silent()))


def clones(tmp_path: Path, *remotes: str) -> list[Wanted]:
    """Make a repository for each remote, all in one folder."""
    for number, remote in enumerate(remotes):
        made = Repository(tmp_path / str(number))
        made.folder.mkdir()
        made.git("init", "--quiet", "--initial-branch=main")
        made.commit("chore: begin", {"README.md": "hello\n"})
        made.git("remote", "add", "origin", remote)
    return [Wanted(str(tmp_path / str(number))) for number in range(len(remotes))]


def test_one_name_of_many_owners(tmp_path: Path) -> None:
    remotes = (
        "https://h.example/ann/docs",
        "git@h.example:bob/docs.git",
        "https://me:word@h.example/docs",
        "https://other.example/bob/docs.git",
        "https://third.example/group/bob/docs/",
        "https://h.example/ann/cli",
    )
    found = [item.name for item in pinned(*clones(tmp_path, *remotes))]
    assert found == ["docs", "bob-docs", "h.example-docs", "bob-docs-2", "bob-docs-3", "cli"]


def test_one_repository_counts_once(tmp_path: Path) -> None:
    wanted = clones(tmp_path, "https://h.example/ann/docs", "https://h.example/bob/docs")
    with pytest.raises(InputError, match=r"1/\.\./1 is named twice"):
        pinned(*wanted, Wanted(f"{wanted[1].place}/../1"))


def test_a_tag_means_the_commit_that_it_names(repository: Repository) -> None:
    first, second = (repository.commit(f"fix: {number}", {"a.py": f"{number}\n"}) for number in (1, 2))
    for name, commit in (("v1", first), ("v2", second)):
        repository.git("tag", "--annotate", "--message=made", name, commit)
    repository.git("tag", "--annotate", "--message=no commit", "tree", "HEAD^{tree}")
    wanted = Wanted(str(repository.folder))
    assert [(item.head, item.revision) for item in pinned(wanted, revision="v1")] == [(first, first)]
    assert [(item.head, item.revision) for item in pinned(wanted, revision="v1..v2")] == [
        (second, f"{second} ^{first}")
    ]
    with pytest.raises(InputError, match="has no commit 'tree'"):
        pinned(wanted, revision="tree")


def test_a_revision_has_to_name_a_commit_to_begin_with(repository: Repository) -> None:
    repository.commit("fix: one", {"a.py": "1\n"})
    with pytest.raises(InputError, match=r"'\^main' of .* only leaves commits out") as caught:
        pinned(Wanted(str(repository.folder)), revision="^main")
    assert caught.value.hint == "Say where to begin as well: --rev 'HEAD ^main'"
