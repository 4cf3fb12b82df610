"""The real llama.cpp serving our own GGUF: what it is asked, what it answers, and what its death leaves."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bench_records import record, write
from judges.llama_server import LlamaServer
from models_fixture import make_run

from joco_mlx.bench import servers
from joco_mlx.bench.answers import subject
from joco_mlx.bench.run import run
from joco_mlx.commit.message import is_valid
from joco_mlx.commit.prompt import SYSTEM, TEMPLATES, render
from joco_mlx.config import BenchConfig, FuseConfig
from joco_mlx.errors import MachineError
from joco_mlx.export import export_run
from joco_mlx.models.folder import open_folder
from joco_mlx.models.runs import Run, open_run
from joco_mlx.progress import Silent, Task

pytestmark = pytest.mark.judge("llama.cpp")
CASES = 6


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_model: Callable[..., Path]) -> Run:
    """A run whose dataset holds none of the cases."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    return open_run(make_run(folder, open_folder(tiny_model("qwen2")), max_seq_length=512))


@pytest.fixture(scope="module")
def gguf(trained: Run) -> Path:
    return export_run(FuseConfig(out=trained.folder / "out", quantization="f16"), trained).gguf.path


@pytest.fixture
def server(gguf: Path, llama_server_wheel: None) -> Iterator[LlamaServer]:
    with LlamaServer(gguf, threads=1) as started:
        yield started


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    return write(tmp_path / "cases.jsonl", [record(number) for number in range(CASES)])


@pytest.fixture
def train(tmp_path: Path) -> Path:
    """A dataset without any of the cases."""
    return write(tmp_path / "train" / "train.jsonl", [record(number) for number in range(100, 110)]).parent


def config(server: LlamaServer, trained: Run, train: Path, *, constrained: bool = False) -> BenchConfig:
    return BenchConfig(
        model="ours", engine="openai", url=server.url, like=str(trained.folder), train=train, max_tokens=40,
        constrained=constrained,
    )  # fmt: skip


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name != "timings.jsonl"}


def test_it_renders_our_turns_as_training_does(server: LlamaServer) -> None:
    user = "M a.py +1 -1 source\n\n+ x = '{{ 1 }} {% y %}'\n"
    turns = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": user}]
    assert server.ask("/apply-template", {"messages": turns})["prompt"] == render(TEMPLATES["chatml"], user)


def test_every_case_has_an_answer_and_a_form_holds(
    server: LlamaServer, trained: Run, train: Path, cases: Path, tmp_path: Path
) -> None:
    free = run(config(server, trained, train), cases, tmp_path / "free")
    held = run(config(server, trained, train, constrained=True), cases, tmp_path / "held")
    assert free.metrics["errors"] == 0
    assert free.metrics["leaks"] == {"checked": True, "leaked": 0, "ways": {}}
    told = json.loads((tmp_path / "free" / "bench.json").read_text())["model"]
    assert (told["engine"], told["like"], told["max_seq_length"]) == ("openai", "run", 512)
    for line in (tmp_path / "held" / "results.jsonl").read_text().splitlines():
        result = json.loads(line)
        assert result["error"] or is_valid(result["answer"])
    assert held.metrics["cases"] == CASES


def test_diffs_are_cut_as_the_run_cut_them(server: LlamaServer, trained: Run, train: Path, cases: Path) -> None:
    asked = config(server, trained, train)
    chosen = subject(asked, cases, progress=Silent())
    assert (chosen.train, chosen.train_digest) == (train, None)
    named = subject(BenchConfig(model="ours", engine="openai", like=asked.like), cases, progress=Silent())
    assert (named.train, named.train_digest) == (Path(trained.dataset.path), trained.dataset.digest)


class KillsAfter(Silent):
    """Watches a run, and ends the server after some cases."""

    def __init__(self, server: LlamaServer, cases: int) -> None:
        self.server, self.left = server, cases

    def start(self, title: str, total: float | None = None, unit: str = "") -> Task:
        watcher = self

        class Counting:
            def advance(self, amount: float = 1, **figures: float | str) -> None:
                if title.startswith("Asking") and amount:
                    watcher.left -= 1
                    if not watcher.left:
                        watcher.server.kill()

        return Counting()


def test_a_server_killed_in_the_middle_changes_nothing(
    server: LlamaServer,
    gguf: Path,
    trained: Run,
    train: Path,
    cases: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(servers, "FIRST_PAUSE_SECONDS", 0.01)
    asked = config(server, trained, train)
    whole = run(asked, cases, tmp_path / "whole").artifact.folder
    with pytest.raises(MachineError, match="cannot be reached") as told:
        run(asked, cases, tmp_path / "killed", progress=KillsAfter(server, 3))
    assert "run the same command again" in told.value.hint
    assert len((tmp_path / "killed" / "results.jsonl").read_text().splitlines()) == 3
    with LlamaServer(gguf, port=server.port, threads=1):
        run(asked, cases, tmp_path / "killed")
    assert contents(tmp_path / "killed") == contents(whole)
