"""A server on this machine that writes down what is asked and lets another one answer."""

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

ANSWER_SECONDS = 300.0


@contextmanager
def recording(upstream: str) -> Iterator[tuple[str, list[tuple[str, dict[str, Any]]]]]:
    """Yield an address that hands everything on to `upstream`, and the path and document of each request so far."""
    asked: list[tuple[str, dict[str, Any]]] = []
    address = urlsplit(upstream)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *words: object) -> None:
            """Stay quiet."""

        def _hand_on(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if content:
                asked.append((self.path, json.loads(content)))
            connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=ANSWER_SECONDS)
            connection.request(self.command, self.path, content, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            said = answer.read()
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.getheader("Content-Type", "application/json"))
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_POST = do_HEAD = _hand_on  # noqa: N815  (http.server calls them so)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()
