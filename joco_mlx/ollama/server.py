"""One Ollama server, over HTTP: where it is, what it answers, and how its silence is told.

Decides the address, the time limits and the words for every way in which a server can fail. The standard library's
client sends a file piece by piece and uses no proxy, which a server on this computer must not go through. Published API:
Ollama's `docs/api.md`; routes: its `server/routes.go`.
"""

import http.client
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import urlsplit

from joco_mlx.errors import InputError, MachineError, UsageError
from joco_mlx.progress import Task

DEFAULT_PORT = 11434
OLDEST = (0, 5, 5)
"""The first version whose /api/create takes `files`."""
ANSWER_SECONDS = 10.0
WORK_SECONDS = 900.0
"""Longest silence while a server reads, converts or writes a model."""
_PIECE = 1 << 20
_LONGEST_ANSWER = 64 << 20
_LONGEST_LINE = 1 << 20


@dataclass(frozen=True)
class Answer:
    """What a server said: the status, and the document when it was JSON."""

    status: int
    body: Mapping[str, Any]

    @property
    def complaint(self) -> str:
        """The server's own words for what is wrong."""
        return str(self.body.get("error") or f"HTTP status {self.status}")


@dataclass(frozen=True)
class Server:
    """An Ollama server."""

    scheme: str
    host: str
    port: int

    @classmethod
    def at(cls, address: str | None) -> "Server":
        """Read an address as Ollama reads OLLAMA_HOST: scheme and port may be missing; None is that variable.

        A server that listens on every interface is spoken to on this computer.

        Raises:
            UsageError: It is no address.
        """
        given = address or os.environ.get("OLLAMA_HOST", "").strip() or "127.0.0.1"
        parts = urlsplit(given if "://" in given else f"//{given}", scheme="http")
        usual = {"http": DEFAULT_PORT if "://" not in given else 80, "https": 443}
        try:
            host, port = parts.hostname or "127.0.0.1", parts.port or usual[parts.scheme]
        except (ValueError, KeyError):
            raise UsageError(f"{given!r} is no address of a server.", "Give one: http://127.0.0.1:11434") from None
        return cls(parts.scheme, "127.0.0.1" if host in ("0.0.0.0", "::") else host, port)  # noqa: S104  (compared only)

    @property
    def url(self) -> str:
        """The address, as a person writes it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def is_here(self) -> bool:
        """Whether it runs on this computer."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")

    def ask(self, method: str, path: str, body: object = None, *, seconds: float = ANSWER_SECONDS) -> Answer:
        """Send a small request and read the whole answer.

        Raises:
            MachineError: Nobody answers, too late, or not in JSON.
        """
        with self._talking(seconds) as connection:
            content = None if body is None else json.dumps(body).encode()
            connection.request(method, path, content, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return Answer(answer.status, self._document(answer.read(_LONGEST_ANSWER)))

    def send(self, path: str, file: IO[bytes], nbytes: int, task: Task) -> Answer:
        """Post a file piece by piece; `task` is told each piece in bytes.

        A server that refuses may answer and hang up before it has everything; then its answer is returned.

        Raises:
            MachineError: The connection breaks without an answer.
        """
        sent = 0
        with self._talking(WORK_SECONDS) as connection:
            connection.putrequest("POST", path)
            connection.putheader("Content-Type", "application/octet-stream")
            connection.putheader("Content-Length", str(nbytes))
            connection.endheaders()
            try:
                while sent < nbytes and (piece := file.read(min(_PIECE, nbytes - sent))):
                    connection.send(piece)
                    sent += len(piece)
                    task.advance(len(piece))
            except (BrokenPipeError, ConnectionResetError) as problem:
                return self._last_words(connection, sent, nbytes, problem)
            if sent < nbytes:
                raise InputError(f"{file.name} became shorter while it was sent.", "Wait until it is whole, try again.")
            answer = connection.getresponse()
            return Answer(answer.status, self._document(answer.read(_LONGEST_ANSWER)))

    def stream(self, path: str, body: object) -> Iterator[Answer]:
        """Post a request and yield each line of the answer, which is a JSON document of its own.

        Raises:
            MachineError: The connection breaks, or a line is no JSON.
        """
        with self._talking(WORK_SECONDS) as connection:
            connection.request("POST", path, json.dumps(body).encode(), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            while line := answer.readline(_LONGEST_LINE):
                if line.strip():
                    yield Answer(answer.status, self._document(line))

    def require(self) -> str:
        """Return the server's version.

        Raises:
            MachineError: There is none, what answers is not Ollama, or it is too old.
        """
        answer = self.ask("GET", "/api/version")
        version = str(answer.body.get("version", ""))
        if answer.status != 200 or not version:
            raise MachineError(f"What answers at {self.url} is not Ollama.", "Give its address: --url URL")
        numbers = tuple(map(int, re.findall(r"\d+", version)[:3]))
        if any(numbers) and numbers < OLDEST:  # 0.0.0 is a build from source
            wanted = ".".join(map(str, OLDEST))
            raise MachineError(
                f"Ollama at {self.url} is version {version}, and {wanted} is the first that can be given a model.",
                "Bring it up to date: https://ollama.com/download",
            )
        return version

    @contextmanager
    def _talking(self, seconds: float) -> Iterator[http.client.HTTPConnection]:
        kind = http.client.HTTPSConnection if self.scheme == "https" else http.client.HTTPConnection
        connection = kind(self.host, self.port, timeout=seconds)
        try:
            connection.connect()
        except OSError as problem:
            raise MachineError(
                f"No Ollama server answers at {self.url} ({_reason(problem)}).", how_to_start()
            ) from None
        try:
            yield connection
        except TimeoutError:
            raise MachineError(
                f"Ollama at {self.url} said nothing for {seconds:g} seconds.", "See what it does: ollama ps"
            ) from None
        except (OSError, http.client.HTTPException) as problem:
            raise MachineError(
                f"The connection to Ollama at {self.url} broke: {_reason(problem)}.",
                "Look whether it still runs, and give the same command again: what it has is not sent twice.",
            ) from problem
        finally:
            connection.close()

    def _last_words(self, connection: http.client.HTTPConnection, sent: int, nbytes: int, problem: OSError) -> Answer:
        try:
            answer = connection.getresponse()
            return Answer(answer.status, self._document(answer.read(_LONGEST_ANSWER)))
        except (OSError, http.client.HTTPException):
            raise MachineError(
                f"The connection to Ollama at {self.url} broke after {sent / 1e6:,.1f} of {nbytes / 1e6:,.1f} MB: "
                f"{_reason(problem)}.",
                "Look whether it still runs and has disk left, and give the same command again.",
            ) from problem

    def _document(self, content: bytes) -> Mapping[str, Any]:
        """Return the JSON object in `content`; what is empty has none, and what is no JSON is the complaint."""
        if not content.strip():
            return {}
        try:
            found = json.loads(content)
        except ValueError:
            return {"error": content.decode("utf-8", "replace").strip()[:200]}
        return found if isinstance(found, dict) else {}


def how_to_start() -> str:
    """Return how Ollama is started here, or installed first."""
    on_a_mac = sys.platform == "darwin"
    if shutil.which("ollama"):
        return "Start it: " + ("open -a Ollama, or ollama serve" if on_a_mac else "ollama serve")
    how = "brew install ollama" if on_a_mac and shutil.which("brew") else "https://ollama.com/download"
    return f"Install Ollama ({how}), start it with ollama serve, and try again."


def _reason(problem: Exception) -> str:
    return str(getattr(problem, "strerror", None) or problem or type(problem).__name__)
