"""Servers that answer, are busy, refuse, are slow or are gone: a small real one on 127.0.0.1."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bench_records import record, write
from fake_server import Fake, fake_server, ollama_says, openai_says

from joco_mlx.bench import servers
from joco_mlx.bench.results import read_results
from joco_mlx.bench.run import run
from joco_mlx.bench.servers import Server
from joco_mlx.bench.subject import NoAnswerError
from joco_mlx.config import BenchConfig
from joco_mlx.errors import ConflictError, InputError, MachineError, UsageError
from joco_mlx.suggest.grammar import Form


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    with fake_server(monkeypatch) as made:
        yield made


def ask(server: Server) -> str:
    return server.complete("M a.py +1 -0 source", max_tokens=48, temperature=0.5, seed=7)


def test_ollama_is_asked_as_its_api_says(fake: Fake) -> None:
    fake.reply = lambda body: (200, ollama_says(" fix: close it\n"))
    assert ask(Server("ollama", "joco", fake.url, timeout_seconds=5)) == "fix: close it"
    path, body = fake.asked[0]
    assert path == "/api/chat"
    assert (body["model"], body["stream"]) == ("joco", False)
    assert body["options"] == {"temperature": 0.5, "seed": 7, "num_predict": 48}
    assert [turn["role"] for turn in body["messages"]] == ["system", "user"]


def test_openai_is_asked_as_its_api_says(fake: Fake) -> None:
    fake.reply = lambda body: (200, openai_says("fix: close it"))
    assert ask(Server("openai", "joco", f"{fake.url}/v1/", timeout_seconds=5)) == "fix: close it"
    path, body = fake.asked[0]
    assert path == "/v1/chat/completions"
    assert (body["temperature"], body["seed"], body["max_tokens"]) == (0.5, 7, 48)


@pytest.mark.parametrize("kind", ["ollama", "openai"])
def test_a_form_goes_out_as_a_schema_and_comes_back_as_a_header(fake: Fake, kind: servers.ServerKind) -> None:
    """Parts as Ollama's "Structured outputs" and llama.cpp's `response_format` give them; words that are none fail."""
    says = ollama_says if kind == "ollama" else openai_says
    fake.reply = lambda body: (200, says('{"type": "fix", "scope": "core", "description": "Close it."}'))
    server = Server(kind, "joco", fake.url, timeout_seconds=5)
    form = Form()
    assert server.complete("x", max_tokens=48, temperature=0.0, seed=1, form=form) == "fix(core): close it"
    body = fake.asked[0][1]
    sent = body["format"] if kind == "ollama" else body["response_format"]["json_schema"]["schema"]
    assert sent == json.loads(json.dumps(form.schema()))
    for words in ("feat: no JSON", "[1]"):
        fake.reply = lambda body, words=words: (200, says(words))  # type: ignore[misc]
        with pytest.raises(NoAnswerError, match="not the JSON that was asked for"):
            server.complete("x", max_tokens=48, temperature=0.0, seed=1, form=form)


def test_a_busy_server_is_asked_again(fake: Fake) -> None:
    replies = iter([(503, {}), (429, {}), (200, ollama_says("fix: a"))])
    fake.reply = lambda body: next(replies)
    assert ask(Server("ollama", "joco", fake.url, timeout_seconds=5)) == "fix: a"
    fake.reply = lambda body: (503, {})
    with pytest.raises(NoAnswerError, match="busy 5 times"):
        ask(Server("ollama", "joco", fake.url, timeout_seconds=5))


def test_a_server_that_dies_while_it_answers_is_asked_again(fake: Fake) -> None:
    def whole_the_third_time(body: dict[str, Any]) -> tuple[int, Any]:
        fake.missing_bytes = 0 if len(fake.asked) == 3 else 50
        return 200, ollama_says("fix: a")

    fake.reply = whole_the_third_time
    assert ask(Server("ollama", "joco", fake.url, timeout_seconds=5)) == "fix: a"
    assert len(fake.asked) == 3
    with pytest.raises(MachineError, match=r"cannot be reached: IncompleteRead\(\d+ bytes read, 50 more expected\)"):
        ask(Server("ollama", "joco", fake.url, timeout_seconds=5))


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        ((400, {"error": "too long"}), 'HTTP 400: {"error": "too long"}'),
        ((200, b"<html>"), "not JSON"),
        ((200, {"done": True}), "no message"),
        ((200, {"message": {"content": None}}), "no text"),
    ],
)
def test_what_is_no_answer_fails_the_case(reply: tuple[int, Any], told: str, fake: Fake) -> None:
    fake.reply = lambda body: reply
    with pytest.raises(NoAnswerError, match=told):
        ask(Server("ollama", "joco", fake.url, timeout_seconds=5))
    assert len(fake.asked) == 1


def test_a_slow_answer_fails_the_case(fake: Fake) -> None:
    fake.reply = lambda body: (time.sleep(0.5), (200, ollama_says("late")))[1]
    with pytest.raises(NoAnswerError, match=r"no answer within 0\.1 s"):
        ask(Server("ollama", "joco", fake.url, timeout_seconds=0.1))


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="--url is file:///etc"):
        Server("ollama", "joco", "file:///etc", timeout_seconds=1)


def test_killing_the_server_in_the_middle_changes_nothing(fake: Fake, tmp_path: Path) -> None:
    cases = write(tmp_path / "cases.jsonl", [record(number) for number in range(12)])

    def answered(body: dict[str, Any]) -> tuple[int, Any]:
        seed = body["options"]["seed"]
        return (500, {"error": "odd"}) if seed % 5 == 0 else (200, ollama_says(f"fix: close number {seed}"))

    def config(server: Fake) -> BenchConfig:
        return BenchConfig(model="joco", engine="ollama", url=server.url, temperature=0.5)

    fake.reply = answered
    whole = run(config(fake), cases, tmp_path / "whole")
    assert 0 < whole.metrics["errors"] < 12

    dying = Fake()
    dying.reply = answered
    asked_before = 5

    def answered_or_dead(body: dict[str, Any]) -> tuple[int, Any]:
        if len(dying.asked) == asked_before:
            threading.Thread(target=dying.stop).start()
            time.sleep(0.05)
        return answered(body)

    dying.reply = answered_or_dead
    with pytest.raises(MachineError, match="cannot be reached"):
        run(config(dying), cases, tmp_path / "cut")
    assert 0 < len(read_results(tmp_path / "cut")) < 12
    run(config(fake), cases, tmp_path / "cut")
    for name in ("results.jsonl", "metrics.json", "summary.md", "manifest.json"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_model_that_was_made_again_under_its_name_is_another_one(fake: Fake, tmp_path: Path) -> None:
    cases = write(tmp_path / "cases.jsonl", [record(number) for number in range(3)])
    asked = BenchConfig(model="joco", engine="ollama", url=fake.url)
    fake.reply = lambda body: (200, ollama_says("fix: close it"))
    run(asked, cases, tmp_path / "run")
    run(asked, cases, tmp_path / "run")
    assert len(fake.asked) == 3
    fake.models = {"joco:latest": "1" * 64}
    with pytest.raises(ConflictError, match="a run with other model"):
        run(asked, cases, tmp_path / "run")


def test_a_model_that_is_not_there_makes_no_run(fake: Fake, tmp_path: Path) -> None:
    cases = write(tmp_path / "cases.jsonl", [record(number) for number in range(3)])
    fake.models = {"other:latest": "1" * 64, "joco:0.5b": "2" * 64}
    with pytest.raises(InputError, match="has no model joco") as told:
        run(BenchConfig(model="joco", engine="ollama", url=fake.url), cases, tmp_path / "run")
    assert told.value.hint.endswith("ollama list")
    assert not (tmp_path / "run").exists()
    assert Server("ollama", "joco:0.5b", fake.url, timeout_seconds=5).identity() == {"digest": "2" * 64}


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_every_case_would_be_told_ends_the_run(status: int, fake: Fake, tmp_path: Path) -> None:
    cases = write(tmp_path / "cases.jsonl", [record(number) for number in range(3)])
    fake.reply = lambda body: (status, {"error": "model not found"})
    asked = BenchConfig(model="joco", engine="openai", url=fake.url)
    with pytest.raises(InputError, match=f"refuses joco: HTTP {status}: .*not found") as told:
        run(asked, cases, tmp_path / "run")
    assert "JOCO_MLX_API_KEY" in told.value.hint
    assert len(fake.asked) == 1
    fake.reply = lambda body: (200, openai_says("fix: close it"))
    assert run(asked, cases, tmp_path / "run").metrics["errors"] == 0


def test_elsewhere_the_address_is_part_of_the_name(fake: Fake, tmp_path: Path) -> None:
    cases = write(tmp_path / "cases.jsonl", [record(0)])
    fake.reply = lambda body: (200, openai_says("fix: close it"))
    asked = BenchConfig(model="joco", engine="openai", url=fake.url)
    run(asked, cases, tmp_path / "run")
    with pytest.raises(ConflictError, match="a run with other model"):
        run(replace(asked, url=f"{fake.url}/v1"), cases, tmp_path / "run")
