"""Who is refused, and with what words: other names, web pages, requests that are too large, too slow or too many."""

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from models_fixture import make_run
from serving import DIFF, Client, served, turns
from starlette.types import Message

from joco_mlx.config import ServeConfig
from joco_mlx.errors import UsageError
from joco_mlx.models.folder import open_folder
from joco_mlx.serve import as_ollama, as_openai, guard, worker
from joco_mlx.serve.app import Interface
from joco_mlx.serve.asked import Asked, RefusalError


@pytest.fixture(scope="module")
def run(tiny_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = open_folder(tiny_model("qwen2", dtype="float32"))
    return make_run(tmp_path_factory.mktemp("guard") / "one", base, max_seq_length=512)


@pytest.fixture(scope="module")
def client(run: Path) -> Iterator[Client]:
    with served(ServeConfig(model=str(run), port=0)) as made:
        yield made


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "0.0.0.0", ""])
def test_another_name_that_points_here_is_refused(client: Client, host: str) -> None:
    reply = client.ask("POST", "/v1/chat/completions", {"messages": turns(DIFF)}, Host=host)
    assert reply.status == 400
    assert b"Invalid host header" in reply.body


@pytest.mark.parametrize("host", ["localhost:11435", "127.0.0.1", "[::1]:1", "LOCALHOST"])
def test_this_computer_s_names_are_answered(client: Client, host: str) -> None:
    assert client.ask("GET", "/v1/models", Host=host).status == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1.evil.example", "http://[bad"])
def test_a_web_page_is_refused(client: Client, origin: str) -> None:
    for path in ("/v1/chat/completions", "/api/chat"):
        reply = client.ask("POST", path, {"messages": turns(DIFF)}, Origin=origin)
        assert reply.status == 403
    assert "access-control-allow-origin" not in client.ask("GET", "/v1/models").headers
    assert client.ask("GET", "/v1/models", Origin="http://localhost:3000").status == 200


WRONG = {
    "no JSON": b"{",
    "deep": b"[" * 100_000,
    "a list": b"[]",
    "nothing": b"",
    "no messages": {"model": "joco"},
    "no user": {"messages": [{"role": "system", "content": "x"}]},
    "no text": {"messages": [{"role": "user", "content": None}]},
    "empty": {"messages": [{"role": "user", "content": " \n"}]},
    "words for turns": {"messages": "diff"},
    "a temperature": {"messages": turns(DIFF), "temperature": "hot"},
    "too many answers": {"messages": turns(DIFF), "n": 100},
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("stream", [False, True])
def test_what_is_wrong_is_told_with_a_status(client: Client, name: str, *, stream: bool) -> None:
    body = WRONG[name]
    reply = client.ask("POST", "/v1/chat/completions", {**body, "stream": stream} if isinstance(body, dict) else body)
    assert reply.status == 400
    assert reply.document["error"]["type"] == "invalid_request_error"
    assert reply.document["error"]["message"].endswith(".")


def test_ollama_s_errors_have_ollama_s_form(client: Client) -> None:
    assert client.post("/api/chat", model="joco").document == {"error": "'prompt' must be text."}
    assert client.post("/api/generate", prompt=DIFF, options=[1]).document == {"error": "'options' must be an object."}


def test_other_paths_and_methods(client: Client) -> None:
    assert client.ask("GET", "/etc/passwd").status == 404
    assert client.ask("GET", "/v1/chat/completions").status == 405
    assert client.ask("POST", "/api/pull", {"model": "x"}).status == 404


def test_a_request_has_a_largest_size(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "LARGEST_BYTES", 1 << 20)
    reply = client.post("/v1/chat/completions", messages=turns("x" * (1 << 21)))
    assert reply.status == 413
    assert client.ask("GET", "/api/version").status == 200


def test_a_request_has_a_longest_time(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "READING_SECONDS", 0.2)
    address = urlsplit(client.url)
    with socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=20) as slow:
        slow.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        assert slow.recv(1 << 12).startswith(b"HTTP/1.1 408")


def test_an_answer_has_a_longest_time(run: Path) -> None:
    with served(ServeConfig(model=str(run), port=0, timeout_seconds=1e-6)) as client:
        for stream in (False, True):
            reply = client.post("/v1/chat/completions", messages=turns(DIFF), stream=stream)
            assert (reply.status, reply.document["error"]["type"]) == (504, "server_error")


def test_only_so_many_wait(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "MOST_WAITING", 1)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(client.post, "/v1/chat/completions", messages=turns(DIFF)) for _ in "1234"]
    assert {one.result().status for one in asked} == {200, 503}
    assert client.post("/v1/chat/completions", messages=turns(DIFF), max_tokens=5).status == 200


def test_a_client_that_hangs_up_is_written_for_no_longer(client: Client) -> None:
    address = urlsplit(client.url)
    for _ in range(3):
        with socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=20) as gone:
            gone.sendall(
                b"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 15\r\n\r\n" + b'{"prompt": "x"}'
            )
            gone.recv(10)
    began = time.monotonic()
    assert client.post("/api/generate", prompt=DIFF, stream=False).status == 200
    assert time.monotonic() - began < 20


def test_a_client_that_leaves_before_its_request_is_whole_is_no_error() -> None:
    said: list[Message] = []

    async def gone() -> Message:
        return {"type": "http.disconnect"}

    async def keep(message: Message) -> None:
        said.append(message)

    scope = {"type": "http", "method": "POST", "path": "/api/generate", "headers": [(b"host", b"localhost")]}
    asyncio.run(Interface(NotImplemented, "joco").app()(scope, gone, keep))  # the model is not asked
    assert [message.get("status") for message in said] == [499, None]


def test_nothing_listens_beyond_this_computer(client: Client) -> None:
    port = int(urlsplit(client.url).port or 0)
    with socket.socket() as other:
        other.bind(("127.0.0.2", port))  # would fail if the server had taken every address
    assert client.url == f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("wrong", [{"port": -1}, {"port": 70_000}, {"name": " "}, {"timeout_seconds": 0}])
def test_settings_that_serve_nobody(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        ServeConfig(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("limits", "longest"),
    [
        ({}, 128),
        ({"max_tokens": 9}, 9),
        ({"max_tokens": 9, "max_completion_tokens": 7}, 7),
        ({"max_tokens": -1}, 128),
        ({"max_tokens": None}, 128),
        ({"max_tokens": 4_096}, 128),
    ],
)
def test_how_long_an_answer_may_be(limits: dict[str, object], longest: int) -> None:
    assert as_openai.read({"messages": turns(DIFF), **limits}).max_tokens == longest
    options = {"num_predict": limits.get("max_completion_tokens", limits.get("max_tokens"))}
    assert as_ollama.read({"messages": turns(DIFF), "options": options}).max_tokens == longest


ARRAY = 'Answer with a JSON array containing exactly {} objects:\n- "subject": the message'


@pytest.mark.parametrize(
    ("instructions", "objects"),
    [
        (ARRAY.format("3"), 3),
        (ARRAY.format("900"), 5),
        (ARRAY.format("9" * 5_000), 1),
        ("JSON array\n" * 60_000, 0),
        ('"subject" of a JSON array', 0),
    ],
    ids=["three", "too many", "a number of 5,000 digits", "the first words again and again", "other words"],
)
def test_how_many_objects_are_wanted_is_found_in_a_moment(instructions: str, objects: int) -> None:
    began = time.monotonic()
    assert Asked("", instructions).objects == objects
    assert time.monotonic() - began < 5


def test_a_user_turn_is_fitted_once() -> None:
    fitted = "M src/parser.py +1 -0 source\n\ndiff --git a/src/parser.py b/src/parser.py\n@@ -1,2 +1,3 @@\n+import json"
    count = lambda text: len(text) // 3  # noqa: E731  (three characters a token)
    assert Asked(fitted).shown(500, count) == fitted
    assert Asked(f"Why: speed\n\n{fitted}").shown(500, count).startswith("Why: speed\n\nM src")
    assert len(Asked(DIFF + "+more\n" * 5_000).shown(100, count)) <= 303
    with pytest.raises(RefusalError):
        Asked("").shown(500, count)
