"""The real llama.cpp's server as a judge: our GGUF, asked over HTTP as any tool asks it.

The server comes with the xllamacpp wheel and runs in a child process that can be killed like any server.

    with LlamaServer(path) as server:
        server.ask("/apply-template", {"messages": [...]})
        run(BenchConfig(engine="openai", url=server.url, ...), cases)
"""

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

START_SECONDS = 60


class ServerError(Exception):
    """The server did not start; the text holds what it said."""


class LlamaServer:
    """A server of one GGUF on 127.0.0.1; close it, or use it in a `with` block.

    It remembers no prompt from one request to the next, so that an answer never depends on what was asked before.
    """

    def __init__(self, gguf: Path, *, port: int = 0, context: int = 2_048, threads: int = 2) -> None:
        command = [sys.executable, __file__, str(gguf), str(port), str(context), str(threads)]
        # Threads that wait by spinning take the time of those that work where cores are shared.
        environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (closed by `close`)
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, env=environment, text=True
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        if not self.address:
            self.process.communicate(timeout=START_SECONDS)
            self._log.seek(0)
            raise ServerError(self._log.read().decode("utf-8", "replace")[-2_000:])

    @property
    def url(self) -> str:
        """Where its OpenAI-compatible interface begins."""
        return f"{self.address}/v1"

    @property
    def port(self) -> int:
        """Its port, for another one to come up in its place."""
        return int(self.address.rpartition(":")[2])

    def ask(self, path: str, body: dict[str, Any]) -> Any:
        """Return its JSON reply to a request of its own interface."""
        request = urllib.request.Request(
            self.address + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=START_SECONDS) as reply:
            return json.load(reply)

    def kill(self) -> None:
        """End it as a crash does."""
        self.process.kill()
        self.process.communicate()

    def close(self) -> None:
        """End it."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.communicate()
        self._log.close()

    def __enter__(self) -> "LlamaServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _serve(gguf: str, port: int, context: int, threads: int) -> None:
    """Serve until standard input ends or a signal comes; tell the address on standard output."""
    import xllamacpp

    answers = os.fdopen(os.dup(1), "w")
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    settings = xllamacpp.CommonParams()
    settings.model.path = gguf
    settings.port = port
    settings.n_ctx = context
    settings.n_gpu_layers = 0
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = threads
    settings.cache_prompt = settings.fit_params = settings.ui = False
    settings.cache_ram_mib = settings.verbosity = 0
    server = xllamacpp.Server(settings)
    print(server.listening_address, file=answers, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    _serve(sys.argv[1], *map(int, sys.argv[2:]))
