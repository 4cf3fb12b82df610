"""The socket, and the life of the server.

Decides that it is bound to 127.0.0.1 and to nothing else, however it is configured, and how a port that is taken is told.
"""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import NoReturn

import uvicorn

from joco_mlx.config import ServeConfig
from joco_mlx.errors import ConflictError
from joco_mlx.progress import Progress
from joco_mlx.serve.app import Interface
from joco_mlx.serve.worker import Worker

LOOPBACK = "127.0.0.1"
MOST_CONNECTIONS = 64
_IDLE_SECONDS = 5
_INTERRUPTED = 130  # 128 + SIGINT, as shells report it


@contextmanager
def opened(config: ServeConfig, *, progress: Progress) -> Iterator[tuple[str, uvicorn.Server, socket.socket]]:
    """Bind the port, load the model, and hand out the address and what answers there once it is run.

    Raises:
        ConflictError: The port is taken.
        JocoError: As loading a model does.
    """
    with closing(_bound(config.port)) as bound, closing(Worker(config, progress=progress)) as worker:
        settings = uvicorn.Config(
            Interface(worker, config.name).app(),
            log_level="warning",
            access_log=False,
            server_header=False,
            lifespan="off",
            limit_concurrency=MOST_CONNECTIONS,
            timeout_keep_alive=_IDLE_SECONDS,
            timeout_graceful_shutdown=_IDLE_SECONDS,
        )
        yield f"http://{LOOPBACK}:{bound.getsockname()[1]}", uvicorn.Server(settings), bound


def serve(config: ServeConfig, *, progress: Progress) -> None:
    """Answer other programs on this computer until Ctrl-C.

    Raises:
        ConflictError: The port is taken.
        JocoError: As loading a model does.
    """
    with opened(config, progress=progress) as (url, server, bound):
        progress.note(f"Serving {config.name} at {url} (Ollama's interface) and {url}/v1 (OpenAI's). Ctrl-C ends it.")
        try:
            server.run(sockets=[bound])
        except KeyboardInterrupt:
            _leave()


def _leave() -> NoReturn:
    """End the process at once: in an orderly end MLX aborts when a thread that computed is torn down (0.32.4).

    Nothing is lost: the server writes no file, and uvicorn has let the requests in progress come to their end.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_INTERRUPTED)


def _bound(port: int) -> socket.socket:
    try:
        return socket.create_server((LOOPBACK, port))
    except OSError as problem:
        raise ConflictError(
            f"Port {port} on {LOOPBACK} cannot be used: {problem.strerror}.",
            "Is joco-mlx serve running already? Take another port: joco-mlx serve --port 0",
        ) from None
