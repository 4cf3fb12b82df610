"""A real Dask cluster of two worker processes: the same bytes as one process, also when one worker is killed."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import Repository, missing
from dataset_records import Notes, grow
from typer.testing import CliRunner

from joco_mlx.cli.main import app
from joco_mlx.config import BuildConfig
from joco_mlx.dataset import build as building
from joco_mlx.dataset import cluster
from joco_mlx.dataset.build import build
from joco_mlx.dataset.cluster import cluster_executor
from joco_mlx.dataset.shard import Shard, read_shard
from joco_mlx.errors import MachineError
from joco_mlx.progress import Task

if TYPE_CHECKING:
    from distributed import LocalCluster

WORKER = [sys.executable, "-m", "distributed.cli.dask_worker", "--no-nanny", "--nthreads", "1", "--no-dashboard"]
SCHEDULER: dict[str, Any] = {
    "n_workers": 0,
    "processes": False,
    "protocol": "tcp://",
    "host": "127.0.0.1",
    "dashboard_address": None,
    "silence_logs": 50,
}
LOW = BuildConfig(minimum_score=0)
PATIENCE_SECONDS = 120


class Cluster:
    """A scheduler in this process and its workers, each a process of its own without anybody who restarts it."""

    def __init__(self, scheduler: "LocalCluster", folder: Path) -> None:
        self.scheduler = scheduler.scheduler
        self.address = scheduler.scheduler_address
        self.folder = folder
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        words = [*WORKER, "--name", name, "--local-directory", str(self.folder), self.address]
        self.processes[name] = subprocess.Popen(words, stderr=subprocess.DEVNULL)

    def wait_for(self, count: int) -> None:
        limit = time.monotonic() + PATIENCE_SECONDS
        while len(self.scheduler.workers) != count and time.monotonic() < limit:
            assert [process.poll() for process in self.processes.values()] == [None] * len(self.processes)
            time.sleep(0.05)
        assert len(self.scheduler.workers) == count

    def busy(self) -> dict[str, int]:
        """Name of each worker -> shards that it was given and has not finished."""
        return {str(worker.name): len(worker.processing) for worker in self.scheduler.workers.values()}

    def kill(self, name: str) -> None:
        os.kill(self.processes[name].pid, signal.SIGKILL)
        self.processes.pop(name).wait()

    def stop(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait()


@pytest.fixture(scope="module", autouse=True)
def dask() -> None:
    """The extra of ours that all of this needs."""
    if importlib.util.find_spec("distributed") is None:
        missing("distributed", "run scripts/setup --dev, or pip install 'joco-mlx[cluster]'")


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    from distributed import LocalCluster

    folder = tmp_path_factory.mktemp("cluster")
    with LocalCluster(**SCHEDULER) as scheduler:
        made = Cluster(scheduler, folder)
        try:
            for name in ("first", "second"):
                made.start(name)
            made.wait_for(2)
            yield made
        finally:
            made.stop()


@pytest.fixture(scope="module")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folders = []
    for name, commits in (("alpha", 16), ("beta", 10)):
        folders.append(tmp_path_factory.mktemp(name))
        made = Repository(folders[-1])
        made.git("init", "--quiet", "--initial-branch=main")
        made.commit("chore: begin", {"README.md": "hello\n"})
        grow(made, commits, name)
    return [str(folder) for folder in folders]


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


class Killer(Notes):
    """Kills a worker as soon as the first shard is read, while that worker still has shards to read."""

    def __init__(self, victim: Cluster) -> None:
        super().__init__()
        self.cluster = victim
        self.lost = 0

    def start(self, title: str, total: float | None = None, unit: str = "") -> Task:
        return self

    def advance(self, amount: float = 1, **figures: float | str) -> None:
        busy = self.cluster.busy()
        if not self.lost and busy.get("first"):
            self.lost = busy["first"]
            self.cluster.kill("first")

    def done(self, task: Task) -> None:
        pass


def test_two_workers_give_the_bytes_of_one_process_also_when_one_is_killed(
    two_workers: Cluster, repositories: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(LOW, repositories, tmp_path / "alone", jobs=1)
    monkeypatch.setattr(building, "SHARD_COMMITS", 1)
    with cluster_executor(two_workers.address) as executor:
        build(LOW, repositories, tmp_path / "together", executor=executor)
    assert content(tmp_path / "together") == content(tmp_path / "alone")
    killer = Killer(two_workers)
    with cluster_executor(two_workers.address) as executor:
        build(LOW, repositories, tmp_path / "bereaved", executor=executor, progress=killer)
    assert killer.lost > 0
    assert list(two_workers.busy()) == ["second"]
    assert content(tmp_path / "bereaved") == content(tmp_path / "alone")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone", "bereaved", "together"]


def test_the_command_asks_the_scheduler(two_workers: Cluster, repositories: list[str], tmp_path: Path) -> None:
    words = ["dataset", "build", repositories[1], "--minimum-score", "0", "--out"]
    for out, more in (("alone", ["--jobs", "1"]), ("asked", ["--scheduler", two_workers.address])):
        done = CliRunner().invoke(app, [*words, str(tmp_path / out), *more])
        assert done.exit_code == 0, done.output
    assert content(tmp_path / "asked") == content(tmp_path / "alone")


def test_a_repository_that_a_worker_does_not_see_is_an_error_and_no_empty_result(
    two_workers: Cluster, tmp_path: Path
) -> None:
    shard = Shard("gone", tmp_path / "gone", ("1" * 40,), frozenset(), LOW)
    with (
        pytest.raises(MachineError, match="gone is not on") as caught,
        cluster_executor(two_workers.address) as executor,
    ):
        executor.submit(read_shard, shard).result()
    assert caught.value.hint == "Put the repositories where every worker sees them."


def test_a_worker_that_could_give_other_bytes_may_not_read() -> None:
    ours = cluster.versions()
    answers = iter([{"tcp://1": {**ours, "git": "git version 1.0"}}, {}])

    class Client:
        def run(self, _function: object) -> dict[str, dict[str, str]]:
            return next(answers)

    with pytest.raises(MachineError, match=r"tcp://1 has git git version 1\.0, this machine git version"):
        cluster._require_alike(Client(), "tcp://0")
    with pytest.raises(MachineError, match="has no worker"):
        cluster._require_alike(Client(), "tcp://0")


def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.5)
    with pytest.raises(MachineError, match=r"No Dask scheduler answers at tcp://127\.0\.0\.1:1"):
        cluster_executor("tcp://127.0.0.1:1").__enter__()
    with pytest.raises(MachineError, match="No Dask scheduler answers at nonsense://x"):
        cluster_executor("nonsense://x").__enter__()
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MachineError, match="which is not installed") as caught:
        cluster_executor("tcp://127.0.0.1:1").__enter__()
    assert "joco-mlx[cluster]" in caught.value.hint
