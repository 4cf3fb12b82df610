"""Folders, addresses and lists: what is read, what is cloned or fetched, and what a dry run says."""

from pathlib import Path

import pytest
from conftest import Repository

from joco_mlx.dataset.sources import Wanted, forecast, provide, read_sources
from joco_mlx.errors import InputError, MachineError
from joco_mlx.progress import Silent

LIST = Path(__file__).parents[2] / "dataset" / "sources.toml"


def test_a_list_is_unfolded(tmp_path: Path) -> None:
    wanted = read_sources([str(LIST), str(tmp_path), "git@host.example:own/tool.git"])
    assert len(wanted) >= 22
    assert all(item.is_remote and item.revision and item.licence for item in wanted[:-2])
    assert (wanted[-2], wanted[-1].is_remote) == (Wanted(str(tmp_path)), True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no \\[\\[source\\]\\]"),
        ("[[source]]\nname = 'x'", "source 1 has no url"),
        ("[[source]]\nurl = 'https://h/x'\nstars = 5", "sets stars = 5"),
        ("[[source]]\nurl = 'https://h/x'\ncommits = 'many'", "sets commits = 'many'"),
        ("[[source", "cannot be read as TOML"),
    ],
)
def test_a_wrong_list_is_told(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "list.toml").write_text(text)
    with pytest.raises(InputError, match=said):
        read_sources([str(tmp_path / "list.toml")])


def test_a_list_that_is_not_there_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"There is no list .*absent\.toml\.") as caught:
        read_sources([str(tmp_path / "absent.toml")])
    assert "Repair" not in caught.value.hint


def test_what_is_nothing_is_told() -> None:
    with pytest.raises(InputError, match="no folder, no address and no list"):
        read_sources(["/nowhere/at/all"])


def test_an_address_is_cloned_once_and_then_fetched(repository: Repository, tmp_path: Path) -> None:
    first = repository.commit("fix: one", {"a.py": "1\n"})
    address = f"file://{repository.folder}"
    mirrors = tmp_path / "mirrors"
    (mirrors / f"{tmp_path.name}+repository.git.part").mkdir(parents=True)
    made = provide(Wanted(address), mirrors, Silent())
    assert [path.name for path in mirrors.iterdir()] == [made.name]
    mirror = Repository(made)
    assert mirror.git("rev-parse", "HEAD") == first
    second = repository.commit("fix: two", {"a.py": "2\n"})
    assert provide(Wanted(address, revision=first), mirrors, Silent()) == made
    assert mirror.git("rev-parse", "HEAD") == first
    assert provide(Wanted(address, revision=second), mirrors, Silent()) == made
    assert mirror.git("rev-parse", "HEAD") == second


def test_repositories_of_one_name_have_a_mirror_each(repository: Repository, tmp_path: Path) -> None:
    repository.commit("fix: one", {"a.py": "1\n"})
    heads: dict[str, str] = {}
    for host in ("h1", "h2", "h3"):
        (tmp_path / host).mkdir()
        repository.git("clone", "--quiet", "--bare", ".", str(tmp_path / host / "own" / "tool"))
        heads[f"file://{tmp_path}/{host}/own/tool"] = repository.git("rev-parse", "HEAD")
        repository.commit(f"fix: {host}", {"a.py": f"{host}\n"})
    for _ in ("cloned", "found"):
        made = {address: provide(Wanted(address), tmp_path / "mirrors", Silent()) for address in heads}
        assert {address: Repository(folder).git("rev-parse", "HEAD") for address, folder in made.items()} == heads
    assert len(list((tmp_path / "mirrors").iterdir())) == len(heads)
    again = forecast(map(Wanted, heads), tmp_path / "mirrors")
    assert [item.where for item in again] == [str(folder) for folder in made.values()]


@pytest.mark.parametrize(
    ("place", "remote", "found"),
    [
        ("own+tool/repo", None, True),
        ("own/tool.git", None, True),
        ("tool.git", None, False),
        ("tool.git", "https://host.example/own/tool.git/", True),
        ("tool", "git@host.example:own/tool", True),
        ("own+tool.git", "ssh://git@host.example/own/tool.git", True),
        ("own+tool.git", "https://me:word@host.example/own/tool", True),
        ("own+tool.git", "https://other.example/own/tool", False),
        ("own/tool", "git@other.example:own/tool.git", False),
        ("tool.git", "https://host.example/another/tool", False),
        ("host.example+own+tool.git", "https://host.example/own/tool", True),
    ],
)
def test_a_mirror_is_one_of_the_address(place: str, remote: str | None, found: bool, tmp_path: Path) -> None:
    (tmp_path / place).mkdir(parents=True)
    mirror = Repository(tmp_path / place)
    mirror.git("init", "--quiet", *([] if place.endswith("/tool") else ["--bare"]))
    if remote:
        mirror.git("remote", "add", "origin", remote)
    (told,) = forecast([Wanted("https://host.example/own/tool")], tmp_path)
    assert told.where == (str(tmp_path / place) if found else "to fetch")


def test_what_cannot_be_cloned_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match=r"cannot be fetched: .*does not appear to be a git"):
        provide(Wanted(f"file://{tmp_path}/gone"), tmp_path / "mirrors", Silent())
    assert list((tmp_path / "mirrors").iterdir()) == []


def test_a_dry_run_counts_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "own+there.git").mkdir()
    (tmp_path / "own+there.git" / "HEAD").write_text("ref: refs/heads/main\n")
    wanted = [
        Wanted("https://host.example/own/there", commits=24_000, megabytes=100),
        Wanted("https://host.example/own/gone.git", commits=24_000, megabytes=300),
    ]
    there, gone = forecast(wanted, tmp_path)
    assert (there.megabytes, there.minutes) == (0, 1.0)
    assert (gone.name, gone.where, gone.megabytes, gone.minutes) == ("gone", "to fetch", 300, 2.0)
