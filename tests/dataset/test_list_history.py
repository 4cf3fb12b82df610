"""Which commits are asked for: order, limits, ranges, authors, merges and roots."""

import pytest
from conftest import Repository

from joco_mlx.config import ExtractConfig
from joco_mlx.dataset.repository import History, list_history, open_repository
from joco_mlx.errors import InputError, UsageError


def history(repository: Repository, **fields: object) -> History:
    return list_history(open_repository(repository.folder), ExtractConfig(**fields))


@pytest.fixture
def merged(repository: Repository) -> dict[str, str]:
    """A root, a branch with one commit, one commit on main, a merge, and one commit more."""
    names = {"root": repository.commit("feat: root", {"a": "1\n"})}
    repository.git("checkout", "--quiet", "-b", "side")
    names["side"] = repository.commit(
        "feat: side", {"b": "1\n"}, GIT_AUTHOR_NAME="Grace", GIT_AUTHOR_EMAIL="grace@example.org"
    )
    repository.git("checkout", "--quiet", "main")
    names["main"] = repository.commit("feat: main", {"c": "1\n"})
    repository.clock += 60
    repository.git("merge", "--quiet", "--no-edit", "side")
    names["merge"] = repository.git("rev-parse", "HEAD")
    names["last"] = repository.commit("feat: last", {"a": "2\n"})
    return names


def test_newest_first_without_merges(repository: Repository, merged: dict[str, str]) -> None:
    found = history(repository)
    assert found.hashes == (merged["last"], merged["main"], merged["side"], merged["root"])
    assert found.roots == {merged["root"]}
    assert found.merges == 1


def test_at_most_so_many(repository: Repository, merged: dict[str, str]) -> None:
    assert history(repository, max_commits=2).hashes == (merged["last"], merged["main"])
    assert len(history(repository, max_commits=100).hashes) == 4


def test_a_range(repository: Repository, merged: dict[str, str]) -> None:
    assert history(repository, revision=f"{merged['side']}..main").hashes == (merged["last"], merged["main"])
    assert history(repository, revision="side ^main~2").hashes == (merged["side"],)


@pytest.mark.parametrize("pattern", ["Grace", "grace@", "^Gr.ce <", "Grace|Nobody"])
def test_an_author(repository: Repository, merged: dict[str, str], pattern: str) -> None:
    assert history(repository, author=pattern).hashes == (merged["side"],)


def test_a_file_with_the_name_of_a_revision(repository: Repository, merged: dict[str, str]) -> None:
    repository.write("main", "a file")
    assert len(history(repository, revision="main").hashes) == 4


def test_an_unknown_revision(repository: Repository, merged: dict[str, str]) -> None:
    with pytest.raises(InputError, match=r"cannot list --rev v9\.9\.\.main: .*v9\.9"):
        history(repository, revision="v9.9..main")


def test_an_option_is_no_revision(repository: Repository, merged: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="--all is an option"):
        history(repository, revision="--all")


def test_a_broken_pattern(repository: Repository, merged: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="no regular expression"):
        history(repository, author="(")


def test_nothing_found_is_an_error(repository: Repository, merged: dict[str, str]) -> None:
    with pytest.raises(InputError, match="no commit for --rev HEAD by an author like 'Nobody'"):
        history(repository, author="Nobody")
    with pytest.raises(InputError, match=r"no commit for --rev main\.\.main"):
        history(repository, revision="main..main")


def test_grafts_and_replaced_objects_change_nothing(repository: Repository, merged: dict[str, str]) -> None:
    before = history(repository)
    repository.git("replace", merged["main"], merged["side"])
    repository.write(".git/info/grafts", f"{merged['last']}\n")
    assert history(repository) == before


def remove_object(repository: Repository, name: str) -> None:
    (repository.folder / ".git" / "objects" / name[:2] / name[2:]).unlink()


def test_the_walk_goes_on_around_a_missing_commit(repository: Repository, merged: dict[str, str]) -> None:
    remove_object(repository, merged["side"])
    found = history(repository)
    assert found.hashes == (merged["last"], merged["main"], merged["root"])
    assert found.severed == (merged["merge"],)


def test_what_stands_on_a_missing_commit_is_named(repository: Repository, merged: dict[str, str]) -> None:
    remove_object(repository, merged["main"])
    remove_object(repository, merged["side"])
    found = history(repository)
    assert found.hashes == (merged["last"],)
    assert found.severed == (merged["merge"],)
    assert found.roots == frozenset()


def test_a_missing_parent_of_the_newest_commit(repository: Repository) -> None:
    lost = repository.commit("feat: lost", {"a": "1\n"})
    newest = repository.commit("feat: newest", {"a": "2\n"})
    remove_object(repository, lost)
    assert history(repository).severed == (newest,)
