"""A small real server on 127.0.0.1 that says what a test wants, as Ollama or OpenAI would."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from joco_mlx.bench import servers

Reply = Callable[[dict[str, Any]], tuple[int, Any]]


class Fake:
    """A server whose reply to a request a test decides."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.reply: Reply = lambda body: (200, {})
        self.models = {"joco:latest": "0" * 64}
        """What Ollama lists, with their digests."""
        self.missing_bytes = 0
        """How much of each answer is promised and never sent, as by a server that dies while it speaks."""
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                fake.asked.append((self.path, body))
                self.answer(*fake.reply(body))

            def do_GET(self) -> None:
                listed = [{"name": name, "digest": digest} for name, digest in fake.models.items()]
                self.answer(*((200, {"models": listed}) if self.path == "/api/tags" else (404, {})))

            def answer(self, status: int, value: Any) -> None:
                content = value if isinstance(value, bytes) else json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content) + fake.missing_bytes))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *values: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@contextmanager
def fake_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    """Let one live for the length of a block; whoever asks it again does so at once."""
    monkeypatch.setattr(servers, "FIRST_PAUSE_SECONDS", 0.005)
    made = Fake()
    yield made
    made.stop()


def ollama_says(text: str) -> dict[str, Any]:
    return {"model": "joco", "message": {"role": "assistant", "content": text}, "done": True}


def openai_says(text: str) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}}]}
