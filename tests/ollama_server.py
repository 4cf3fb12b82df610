"""An Ollama server that is as strict as the published API (docs/api.md, server/routes.go), on 127.0.0.1.

It refuses what the real one refuses, keeps what it was asked, and can be told to be old, full, slow or to hang up.
"""

import hashlib
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from jsonschema import Draft202012Validator

PARAMETERS = {"stop": list, "temperature": (int, float), "top_p": (int, float), "repeat_penalty": (int, float)}
PARAMETERS |= {"num_ctx": int, "num_predict": int, "seed": int}
CHAT_FIELDS = {"model", "messages", "tools", "think", "format", "options", "stream", "keep_alive"}
CREATE_FIELDS = {"model", "files", "template", "system", "license", "parameters", "stream", "messages", "adapters"}


@dataclass
class FakeOllama:
    """What the server holds, and how it misbehaves."""

    version: str = "0.12.3"
    blobs: dict[str, bytes] = field(default_factory=dict)
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    hang_up_after: int | None = None
    """Bytes of a blob after which the connection is cut."""
    spoil_blob: bool = False
    full_disk: bool = False
    silent_end: bool = False
    """End the answer to create before `success`."""
    pause_seconds: float = 0.0
    answer: str = "feat(core): add the parser"
    structured: str | None = None
    """What is answered where a schema is given; something that keeps to it when None."""
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    ollama: FakeOllama

    def log_message(self, *words: object) -> None:
        """Stay quiet."""

    def say(self, status: int, body: object = None) -> None:
        content = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def document(self) -> dict[str, Any]:
        found = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert isinstance(found, dict)
        self.ollama.requests.append(found)
        return found

    def do_GET(self) -> None:
        self.ollama.asked.append(f"GET {self.path}")
        if self.path == "/api/version":
            self.say(200, {"version": self.ollama.version})
        elif self.path == "/api/tags":
            self.say(200, {"models": [{"name": name, "model": name} for name in self.ollama.models]})
        else:
            self.say(404, {"error": "404 page not found"})

    def do_HEAD(self) -> None:
        self.ollama.asked.append(f"HEAD {self.path}")
        digest = self.path.removeprefix("/api/blobs/")
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
            self.say(400)
            return
        self.say(200 if digest in self.ollama.blobs else 404)

    def do_POST(self) -> None:
        self.ollama.asked.append(f"POST {self.path}")
        time.sleep(self.ollama.pause_seconds)
        if self.path.startswith("/api/blobs/"):
            self.blob(self.path.removeprefix("/api/blobs/"))
        elif self.path == "/api/show":
            self.show(self.document())
        elif self.path == "/api/create":
            self.create(self.document())
        elif self.path == "/api/generate":
            self.generate(self.document())
        elif self.path == "/api/chat":
            self.chat(self.document())
        else:
            self.say(404, {"error": "404 page not found"})

    def blob(self, digest: str) -> None:
        if digest in self.ollama.blobs:
            self.say(200)
            return
        length, got = int(self.headers["Content-Length"]), b""
        while len(got) < length:
            piece = self.rfile.read(min(1 << 16, length - len(got)))
            if not piece:
                return
            got += piece
            if self.ollama.hang_up_after is not None and len(got) >= self.ollama.hang_up_after:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
        if self.ollama.spoil_blob:
            got = b"x" + got[1:]
        found = f"sha256:{hashlib.sha256(got).hexdigest()}"
        if found != digest:
            self.say(400, {"error": f'digest mismatch, expected "{digest}", got "{found}"'})
            return
        self.ollama.blobs[digest] = got
        self.say(201)

    def show(self, asked: dict[str, Any]) -> None:
        model = self.ollama.models.get(asked["model"])
        if model is None:
            self.say(404, {"error": f"model '{asked['model']}' not found"})
            return
        parameters = [
            f"{key:30} {json.dumps(one)}"
            for key, value in model["parameters"].items()
            for one in (value if isinstance(value, list) else [value])
        ]
        self.say(200, {"template": model["template"], "parameters": "\n".join(parameters), "details": {}})

    def create(self, asked: dict[str, Any]) -> None:
        wrong = self.what_is_wrong_with(asked)
        if wrong:
            self.say(400, {"error": wrong})
            return
        lines: list[dict[str, str]] = [{"status": "parsing GGUF"}, {"status": "using existing layer"}]
        if self.ollama.full_disk:
            lines.append({"error": "write /models/blobs/x: no space left on device"})
        elif not self.ollama.silent_end:
            lines += [{"status": "writing manifest"}, {"status": "success"}]
            self.ollama.models[asked["model"]] = asked
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for line in lines:
            content = json.dumps(line).encode() + b"\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))
        self.wfile.write(b"0\r\n\r\n")

    def what_is_wrong_with(self, asked: dict[str, Any]) -> str:
        if set(asked) - CREATE_FIELDS:
            return f"unknown fields {set(asked) - CREATE_FIELDS}"
        for name, digest in asked.get("files", {}).items():
            if name.startswith(("/", "./")) or ".." in name.split("/"):
                return "invalid file path"
            if digest not in self.ollama.blobs:
                return "blob not found"
            if not self.ollama.blobs[digest].startswith(b"GGUF"):
                return "unknown file type"
        if not asked.get("files"):
            return "neither 'from' or 'files' was specified"
        for name, value in asked.get("parameters", {}).items():
            if name not in PARAMETERS or not isinstance(value, PARAMETERS[name]):  # type: ignore[arg-type]
                return f"option {name!r} has the wrong type"
        return ""

    def generate(self, asked: dict[str, Any]) -> None:
        if asked["model"] not in self.ollama.models:
            self.say(404, {"error": f"model '{asked['model']}' not found"})
            return
        self.say(200, {"model": asked["model"], "response": self.ollama.answer, "done": True, "done_reason": "stop"})

    def chat(self, asked: dict[str, Any]) -> None:
        wrong = what_is_wrong_with_chat(asked)
        if wrong or asked["model"] not in self.ollama.models:
            self.say(400 if wrong else 404, {"error": wrong or f"model '{asked['model']}' not found"})
            return
        content = self.ollama.answer
        if "format" in asked:
            content = self.ollama.structured or json.dumps(an_instance_of(asked["format"]))
        told = {"model": asked["model"], "message": {"role": "assistant", "content": content}}
        self.say(200, {**told, "done": True, "done_reason": "stop"})


def what_is_wrong_with_chat(asked: dict[str, Any]) -> str:
    """Return the complaint of the real server, or ""."""
    if set(asked) - CHAT_FIELDS:
        return f"unknown fields {set(asked) - CHAT_FIELDS}"
    for message in asked["messages"]:
        if set(message) != {"role", "content"} or message["role"] not in ("system", "user", "assistant", "tool"):
            return "invalid message"
    for name, value in asked.get("options", {}).items():
        if name not in PARAMETERS or not isinstance(value, PARAMETERS[name]):  # type: ignore[arg-type]
            return f"option {name!r} has the wrong type"
    if asked.get("stream") is not False:
        return "this server does not stream"
    Draft202012Validator.check_schema(asked.get("format", {}))
    return ""


def an_instance_of(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the first instance of an object schema that comes to mind."""
    made = {}
    for name, part in schema["properties"].items():
        made[name] = part["enum"][-1] if "enum" in part else ("The value of X." * 20)[: part["maxLength"]]
    Draft202012Validator(schema).validate(made)
    return made


class Quiet(ThreadingHTTPServer):
    """Says nothing of clients that went away, which is what some tests are about."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Stay quiet."""


@contextmanager
def running(ollama: FakeOllama) -> Iterator[FakeOllama]:
    """Let it answer on a port of its own."""
    handler = type("BoundHandler", (Handler,), {"ollama": ollama})
    with Quiet(("127.0.0.1", 0), handler) as server:
        ollama.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield ollama
        finally:
            server.shutdown()
            thread.join()
