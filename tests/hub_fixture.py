"""A small model hub on 127.0.0.1 that huggingface_hub downloads from."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class FakeHub:
    """Serves folders as repositories with one commit, and remembers what was asked for."""

    url: str = ""
    repositories: dict[str, Path] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    failing: dict[str, int] = field(default_factory=dict)
    """Repository -> status code that every question about it gets."""

    def answer(self, method: str, path: str) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body for one request."""
        self.asked.append(f"{method} {path}")
        words = path.split("?", maxsplit=1)[0].strip("/").split("/")
        name = "/".join(words[2:4] if words[0] == "api" else words[:2])
        if name in self.failing:
            return self.failing[name], {}, b"{}"
        folder = self.repositories.get(name)
        if folder is None:
            return 401, {"X-Error-Code": "RepoNotFound"}, b"{}"
        if words[0] == "api":
            return self._listing(folder, name, words[4:])
        return self._file(folder, words[3], "/".join(words[4:]))

    def taken(self) -> list[str]:
        """Return what was asked for with its content."""
        return [question for question in self.asked if question.startswith("GET") and "/resolve/" in question]

    def _listing(self, folder: Path, name: str, words: list[str]) -> tuple[int, dict[str, str], bytes]:
        revision = words[1] if len(words) > 1 else "main"
        if revision not in ("main", COMMIT):
            return 404, {"X-Error-Code": "RevisionNotFound"}, b"{}"
        files = [file for file in sorted(folder.iterdir()) if file.is_file()]
        if words and words[0] == "tree":
            content: Any = [
                {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": _etag(file)} for file in files
            ]
        else:
            content = {"id": name, "sha": COMMIT, "siblings": [{"rfilename": file.name} for file in files]}
        return 200, {"Content-Type": "application/json"}, json.dumps(content).encode()

    def _file(self, folder: Path, revision: str, name: str) -> tuple[int, dict[str, str], bytes]:
        file = folder / name
        if revision not in ("main", COMMIT) or not file.is_file():
            return 404, {"X-Error-Code": "EntryNotFound"}, b""
        return 200, {"ETag": f'"{_etag(file)}"', "X-Repo-Commit": COMMIT}, file.read_bytes()


def _etag(file: Path) -> str:
    return hashlib.sha1(file.read_bytes()).hexdigest()


def _handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, headers, body = hub.answer(self.command, self.path)
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815  (http.server looks for this name)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the name is http.server's)
            """Say nothing."""

    return Handler


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    """A running hub; HF_ENDPOINT points at it and the Hub's cache is a fresh folder."""
    from huggingface_hub import constants

    made = FakeHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(made))
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", made.url)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def served_model(hub: FakeHub, tiny_model: Callable[..., Path]) -> str:
    """The name of a tiny qwen2 model on the hub."""
    hub.repositories["someone/tiny-qwen2"] = tiny_model("qwen2")
    return "someone/tiny-qwen2"
