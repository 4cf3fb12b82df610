"""`joco-mlx serve` over a tiny random model, in a thread of the test's own process, and a client that hides nothing."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from joco_mlx.config import ServeConfig
from joco_mlx.progress import Silent
from joco_mlx.serve.server import opened

DIFF = (
    "diff --git a/src/parser.py b/src/parser.py\nindex 1111111..2222222 100644\n--- a/src/parser.py\n"
    "+++ b/src/parser.py\n@@ -1,2 +1,3 @@\n import re\n+import json\n x = 1\n"
)


@dataclass
class Reply:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        """The documents of a stream of lines."""
        return [json.loads(line) for line in self.body.splitlines()]

    @property
    def events(self) -> list[Any]:
        """The documents of a stream of events, whose last word must be [DONE]."""
        *events, last, end = self.body.split(b"\n\n")
        assert (last, end) == (b"data: [DONE]", b"")
        return [json.loads(event.removeprefix(b"data: ")) for event in events]


@dataclass
class Client:
    """Asks one server."""

    url: str

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Reply:
        """Send a request; `body` is sent as it is when it is bytes, else as JSON."""
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection.request(method, path, content, {name.replace("_", "-"): text for name, text in headers.items()})
        answer = connection.getresponse()
        try:
            return Reply(answer.status, {key.lower(): text for key, text in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def post(self, path: str, **body: object) -> Reply:
        return self.ask("POST", path, body)


@contextmanager
def served(config: ServeConfig) -> Iterator[Client]:
    """Let a server run for the length of a `with` block."""
    with opened(config, progress=Silent()) as (url, server, bound):
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            until = time.monotonic() + 30
            while not server.started and time.monotonic() < until:
                time.sleep(0.01)
            yield Client(url)
        finally:
            server.should_exit = True
            thread.join()


def turns(*contents: str, system: str = "You are a poet.") -> list[dict[str, str]]:
    """A system prompt, and turns of the user and the assistant by turns."""
    roles = ["user", "assistant"] * len(contents)
    return [
        {"role": "system", "content": system},
        *({"role": role, "content": text} for role, text in zip(roles, contents, strict=False)),
    ]
