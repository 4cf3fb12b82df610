"""Whole builds on real repositories: the same bytes however often they are interrupted, and nothing left behind."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import Repository
from dataset_records import Notes, grow

from joco_mlx.commit.record import read_records
from joco_mlx.config import BuildConfig
from joco_mlx.dataset import build as building
from joco_mlx.dataset.audit import audit
from joco_mlx.dataset.build import build
from joco_mlx.dataset.validate import validate
from joco_mlx.dataset.workers import local_executor
from joco_mlx.errors import ConflictError, InputError, MachineError, UsageError


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three small repositories."""
    tmp_path = tmp_path_factory.mktemp("grown")
    for name, commits in (("alpha", 14), ("beta", 9), ("gamma", 6)):
        folder = tmp_path / name
        folder.mkdir()
        made = Repository(folder)
        made.git("init", "--quiet", "--initial-branch=main")
        made.commit("chore: begin", {"README.md": "hello\n"})
        grow(made, commits, name)
    return tmp_path


@pytest.fixture
def repositories(grown: Path, tmp_path: Path) -> list[str]:
    """Copies of them."""
    return [str(shutil.copytree(grown / name, tmp_path / "sources" / name)) for name in ("alpha", "beta", "gamma")]


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_many_repositories_become_a_dataset_that_does_not_leak(repositories: list[str], tmp_path: Path) -> None:
    notes = Notes()
    made = build(BuildConfig(minimum_score=0), repositories, tmp_path / "out" / "data", jobs=1, progress=notes)
    told = validate(made.folder)
    assert told.records > 20
    assert told.test > 0
    assert audit(made.folder).leaks == ()
    assert names(tmp_path / "out") == ["data"]
    assert set(made.manifest.parents) == {"alpha", "beta", "gamma"}
    assert made.manifest.config["profile"] == "many-repositories"
    counted = json.loads((made.folder / "stats.json").read_text())
    assert counted["funnel"]["read"] == 32
    assert counted["funnel"]["kept"] == told.records == 32 - sum(counted["funnel"]["rejected"].values())
    assert "## Balance" in (made.folder / "README.md").read_text()
    assert any("kept" in line for line in notes.lines)


def test_one_repository_is_split_by_time_alone(repositories: list[str], tmp_path: Path) -> None:
    made = build(BuildConfig(minimum_score=70), repositories[:1], tmp_path / "data", jobs=1)
    assert made.manifest.config["profile"] == "single-repository"
    assert (validate(made.folder).test, validate(made.folder).validation) == (0, 1)


@pytest.mark.parametrize("executor", [None, lambda: ThreadPoolExecutor(3)], ids=["processes", "threads"])
def test_whoever_reads_the_bytes_are_the_same(
    executor: Callable[[], Executor] | None, repositories: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(BuildConfig(), repositories, tmp_path / "plain", jobs=1)
    monkeypatch.setattr(building, "SHARD_COMMITS", 4)
    given = executor() if executor else None
    build(BuildConfig(), repositories, tmp_path / "other", jobs=2, executor=given)
    assert content(tmp_path / "plain") == content(tmp_path / "other")


def interrupted_after(count: int, repositories: list[str], out: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Interrupt a build after so many shards; return the names of what it reads, to which later builds add theirs."""
    read: list[str] = []
    whole, most = building.read_all, [count, 99]

    def few(shards: Sequence[building.Shard], executor: Executor | None) -> Iterator[tuple[building.Shard, bytes]]:
        for number, (shard, result) in enumerate(whole(shards, executor)):
            if number == most[0]:
                raise KeyboardInterrupt
            read.append(shard.repository)
            yield shard, result

    monkeypatch.setattr(building, "read_all", few)
    with pytest.raises(KeyboardInterrupt):
        build(BuildConfig(), repositories, out, jobs=1)
    del most[0]
    return read


def test_what_was_read_is_not_read_again(
    repositories: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(BuildConfig(), repositories, tmp_path / "plain", jobs=1)
    read = interrupted_after(2, repositories, tmp_path / "data", monkeypatch)
    later = Repository(Path(repositories[0]), 1_800_000_000)
    grow(later, 3, "later")
    build(BuildConfig(), repositories, tmp_path / "data", jobs=1)
    assert sorted(read) == ["alpha", "beta", "gamma"]
    assert content(tmp_path / "plain") == content(tmp_path / "data")
    assert names(tmp_path) == ["data", "plain", "sources"]


@pytest.mark.parametrize(
    ("config", "problem"),
    [(BuildConfig(), "is a shallow clone"), (BuildConfig(maximum_diff_chars=60), "No record is left")],
    ids=["source", "limit"],
)
def test_a_mistake_costs_nothing_that_was_read(
    config: BuildConfig, problem: str, repositories: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = interrupted_after(2, repositories, tmp_path / "data", monkeypatch)
    words = ("clone", "--quiet", "--depth=1", f"file://{repositories[0]}", str(tmp_path / "shallow"))
    Repository(tmp_path).git(*words)
    more = [str(tmp_path / "shallow")] if "shallow" in problem else []
    with pytest.raises(InputError, match=problem):
        build(config, [*repositories, *more], tmp_path / "data", jobs=1)
    own = len(read)
    build(BuildConfig(), repositories, tmp_path / "data", jobs=1)
    assert (sorted(read[:2]), read[own:]) == (["alpha", "beta"], ["gamma"])
    assert names(tmp_path) == ["data", "shallow", "sources"]


def test_killed_at_any_moment_it_ends_in_the_same_bytes(repositories: list[str], tmp_path: Path) -> None:
    build(BuildConfig(), repositories, tmp_path / "plain", jobs=1)
    program = (
        "import sys; from pathlib import Path; from joco_mlx.config import BuildConfig\n"
        "from joco_mlx.dataset import build as b; b.SHARD_COMMITS = 4\n"
        "if __name__ == '__main__':\n"
        "    b.build(BuildConfig(), sys.argv[2:], Path(sys.argv[1]), jobs=1)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "data"), *repositories]
    for seconds in (0.6, 0.9, 1.2):
        child = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    if not (tmp_path / "data").exists() or any(tmp_path.glob(".data.*")):
        assert subprocess.run(command, check=False).returncode == 0
    assert content(tmp_path / "plain") == content(tmp_path / "data")
    assert names(tmp_path) == ["data", "plain", "sources"]


def test_a_worker_that_dies_is_told(repositories: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def losing_one(jobs: int | None, shards: int) -> Iterator[Executor | None]:
        with local_executor(jobs, shards) as pool:
            assert pool is not None
            assert pool.submit(signal.raise_signal, signal.SIGKILL).exception() is not None
            yield pool

    monkeypatch.setattr(building, "local_executor", losing_one)
    with pytest.raises(MachineError, match="A process that reads died") as caught:
        build(BuildConfig(), repositories, tmp_path / "data", jobs=2)
    assert "--jobs 1" in caught.value.hint
    assert names(tmp_path) == ["sources"]


@pytest.mark.parametrize("moment", ["before the move", "after the move"])
def test_a_build_that_was_killed_while_it_delivered_is_completed(
    moment: str, repositories: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(BuildConfig(), repositories, tmp_path / "plain", jobs=1)
    whole = building.Workshop.deliver

    def killed(self: building.Workshop, key: str, out: Path) -> None:
        if moment == "after the move":
            whole(self, key, out)
        else:
            (self.folder / "ready").write_text(key)
        raise KeyboardInterrupt

    monkeypatch.setattr(building.Workshop, "deliver", killed)
    with pytest.raises(KeyboardInterrupt):
        build(BuildConfig(), repositories, tmp_path / "data", jobs=1)
    monkeypatch.setattr(building.Workshop, "deliver", whole)
    build(BuildConfig(), repositories, tmp_path / "data", jobs=1)
    assert content(tmp_path / "plain") == content(tmp_path / "data")
    assert names(tmp_path) == ["data", "plain", "sources"]


DYING = """\
import os, signal, sys
from pathlib import Path
from joco_mlx.config import BuildConfig
from joco_mlx.dataset import build as b, workshop

def dies(*given):
    os.kill(os.getpid(), signal.SIGKILL)

def leave(*given, whole=workshop._leave):
    {leaving}
    whole(*given)

workshop._leave = leave
{building}
b.build(BuildConfig(minimum_score=0), [sys.argv[2]], Path(sys.argv[1]), jobs=1, force=True)
"""


def die(out: Path, repository: str, building: str = "", leaving: str = "") -> None:
    """Build `out` anew of a repository, in a process that kills itself where a statement says."""
    program = DYING.format(building=building, leaving=leaving)
    done = subprocess.run([sys.executable, "-c", program, str(out), repository], check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("where", ["workshop.fcntl.flock", "b.pin", "b.read_all", "workshop.Workshop.deliver"])
def test_an_old_dataset_is_not_taken_for_the_one_that_was_asked_for(
    where: str, repositories: list[str], tmp_path: Path
) -> None:
    build(BuildConfig(minimum_score=0), repositories[:1], tmp_path / "data", jobs=1)
    build(BuildConfig(minimum_score=0), repositories[1:2], tmp_path / "plain", jobs=1)
    die(tmp_path / "data", repositories[1], building=f"{where} = dies")
    with pytest.raises(ConflictError, match="exists already"):
        build(BuildConfig(minimum_score=0), repositories[1:2], tmp_path / "data", jobs=1)
    build(BuildConfig(minimum_score=0), repositories[1:2], tmp_path / "data", jobs=1, force=True)
    assert content(tmp_path / "plain") == content(tmp_path / "data")
    assert names(tmp_path) == ["data", "plain", "sources"]


@pytest.mark.parametrize(
    "where",
    [
        "workshop.shutil.rmtree = dies",
        "workshop.Path.unlink = dies",
        "workshop.Path.rmdir = dies",
        "workshop.Path.rmdir = lambda folder: dies(os.rmdir(folder))",
    ],
    ids=["folders", "files", "empty", "gone"],
)
def test_a_build_that_was_killed_while_it_tidied_up_is_completed(
    where: str, repositories: list[str], tmp_path: Path
) -> None:
    die(tmp_path / "data", repositories[1], leaving=where)
    before = content(tmp_path / "data")
    assert len(names(tmp_path)) == len(["data", "sources", "what is left"]) + where.endswith("rmdir = dies")
    build(BuildConfig(minimum_score=0), repositories[1:2], tmp_path / "data", jobs=1)
    assert content(tmp_path / "data") == before
    assert names(tmp_path) == ["data", "sources"]


def test_what_says_that_a_dataset_stands_goes_with_it(repositories: list[str], tmp_path: Path) -> None:
    die(tmp_path / "data", repositories[1], leaving="workshop.Path.rmdir = dies")
    shutil.rmtree(tmp_path / "data")
    made = build(BuildConfig(minimum_score=0), repositories[1:2], tmp_path / "data", jobs=1)
    assert validate(made.folder).records == 9
    assert names(tmp_path) == ["data", "sources"]


def test_nothing_left_names_the_filter_and_leaves_no_file(repository: Repository, tmp_path: Path) -> None:
    repository.commit("chore: begin", {"README.md": "hello\n"})
    repository.commit("fix: something about nothing", {"a.py": "x = 1\n" * 5})
    with pytest.raises(InputError, match="No record is left of 2 commits") as caught:
        build(BuildConfig(), [str(repository.folder)], tmp_path / "out" / "data", jobs=1)
    assert caught.value.hint.startswith("--minimum-score turned away 1 of the 1")
    assert names(tmp_path / "out") == []


def test_a_share_of_what_is_no_type_is_refused(repositories: list[str], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--type-shares names 'foo', which is no type") as caught:
        build(BuildConfig(type_shares=("feat=0.3", "foo=0.3")), repositories, tmp_path / "made")
    assert "feat, fix" in caught.value.hint
    assert not (tmp_path / "made").exists()


def test_an_existing_dataset_is_replaced_only_on_request(repositories: list[str], tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine").write_text("mine")
    with pytest.raises(ConflictError, match="exists already"):
        build(BuildConfig(), repositories, tmp_path / "data", jobs=1)
    assert names(tmp_path) == ["data", "sources"]
    build(BuildConfig(), repositories, tmp_path / "data", jobs=1, force=True)
    assert names(tmp_path) == ["data", "sources"]
    assert "mine" not in names(tmp_path / "data")


def test_two_builds_of_one_dataset_do_not_meet(repositories: list[str], tmp_path: Path) -> None:
    with building.workshop(tmp_path / "data"), pytest.raises(ConflictError, match="being built by another process"):
        build(BuildConfig(), repositories, tmp_path / "data", jobs=1)


def test_equal_names_are_told_apart(repositories: list[str], tmp_path: Path) -> None:
    (tmp_path / "fork").mkdir()
    os.rename(repositories[1], tmp_path / "fork" / "alpha")
    made = build(BuildConfig(), [repositories[0], str(tmp_path / "fork" / "alpha")], tmp_path / "data", jobs=1)
    found = {
        record.metadata.repository
        for split in ("train", "test")
        for record in read_records(made.folder / f"{split}.jsonl")
    }
    assert found <= {"alpha", "fork-alpha"}
    assert set(made.manifest.parents) == {"alpha", "fork-alpha"}
