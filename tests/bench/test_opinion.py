"""Another model's marks: what it is shown, what counts as a mark, and that a stopped judge goes on."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench_records import record, write
from fake_server import Fake, fake_server, openai_says

from joco_mlx.bench import opinion
from joco_mlx.bench.finished import open_bench
from joco_mlx.bench.opinion import OPINIONS, SYSTEM, ask_for_opinion
from joco_mlx.bench.run import run
from joco_mlx.config import BenchConfig, OpinionConfig
from joco_mlx.errors import InputError, MachineError, UsageError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    with fake_server(monkeypatch) as made:
        yield made


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    cases = write(tmp_path / "cases.jsonl", [record(number) for number in range(4)])
    return run(BenchConfig(model="baseline:paths"), cases, tmp_path / "run").artifact.folder


def config(fake: Fake, judge: str = "wise") -> OpinionConfig:
    return OpinionConfig(judge=judge, url=f"{fake.url}/v1")


def test_marks_have_a_mean_and_what_is_none_is_told(fake: Fake, asked: Path) -> None:
    replies = iter([(200, openai_says("4")), (200, openai_says("Mark: 2.")), (200, openai_says("10")), (400, {})])
    fake.reply = lambda body: next(replies)
    found = ask_for_opinion(asked, config(fake))
    assert (found.marked, found.cases, found.mean.value) == (2, 4, 3.0)
    assert 2 <= found.mean.low <= 3 <= found.mean.high <= 4
    system, user = fake.asked[0][1]["messages"]
    assert system == {"role": "system", "content": SYSTEM}
    assert "diff --git" in user["content"]
    assert "Message:\nfix: update" in user["content"]
    assert record(0).output not in user["content"]
    assert fake.asked[0][1]["temperature"] == 0
    open_bench(asked)  # still what was sealed


def test_a_stopped_judge_goes_on_and_another_one_is_refused(
    fake: Fake, asked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.reply = lambda body: (200, openai_says("5")) if len(fake.asked) < 3 else (503, {})
    mark = opinion._mark

    def gone(*given: object) -> int | None:
        if len(fake.asked) == 2:
            raise MachineError("The server cannot be reached.", "Start it.")
        return mark(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(opinion, "_mark", gone)
    with pytest.raises(MachineError):
        ask_for_opinion(asked, config(fake))
    with (asked / OPINIONS).open("a") as file:
        file.write('{"judge": "wise", "ke')
    monkeypatch.setattr(opinion, "_mark", mark)
    fake.reply = lambda body: (200, openai_says("3"))
    assert ask_for_opinion(asked, config(fake)).mean.value == 4.0
    assert len(fake.asked) == 4
    assert [json.loads(line)["mark"] for line in (asked / OPINIONS).read_text().splitlines()] == [5, 5, 3, 3]
    with pytest.raises(InputError, match="holds the marks of wise"):
        ask_for_opinion(asked, config(fake, "other"))


def test_a_judge_needs_a_name() -> None:
    with pytest.raises(UsageError, match="--judge is empty"):
        OpinionConfig()


def test_what_a_judge_is_told_is_published() -> None:
    page = (ROOT / "docs" / "benchmark.md").read_text("utf-8")
    assert "\n".join(f"    {line}" for line in SYSTEM.splitlines()) in page
