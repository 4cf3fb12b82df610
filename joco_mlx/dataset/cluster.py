"""Beyond one machine: a Dask cluster as the executor that reads shards.

Decides which workers may read (those whose programs give the same bytes as ours) and how a cluster's failures are told.
A worker needs joco-mlx, git, and the repositories under the same paths; a shard and its result are all that travels.
When a worker dies, Dask gives its shards to another one.
"""

import platform
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError, Executor
from contextlib import contextmanager
from importlib import metadata
from typing import Any

from joco_mlx import process
from joco_mlx.dataset.shard import EXTRACTOR_VERSION
from joco_mlx.errors import MachineError

CONNECT_SECONDS = 10.0
_PACKAGES = ("joco-mlx", "kingfisher-secret-scanner")
_START = "Start a scheduler (dask scheduler) and workers (dask worker ADDRESS), and give its address: tcp://HOST:8786"


@contextmanager
def cluster_executor(address: str) -> Iterator[Executor]:
    """Connect to the Dask scheduler at `address`; its workers read whatever is submitted while the block runs.

    Raises:
        MachineError: distributed is not installed, nobody answers, there is no worker, a worker has other versions than
            this process, or the workers are lost while they read.
    """
    try:
        import distributed  # noqa: PLC0415  (only whoever has a cluster needs it)
    except ImportError:
        raise MachineError(
            "A cluster needs distributed, which is not installed.", "Install it: pip install 'joco-mlx[cluster]'"
        ) from None
    dask: Any = distributed
    try:
        client = dask.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as problem:
        raise MachineError(f"No Dask scheduler answers at {address}: {_first_line(problem)}", _START) from problem
    with client:
        _require_alike(client, address)
        try:
            yield client.get_executor(pure=False)
        except (dask.KilledWorker, dask.comm.CommClosedError, CancelledError) as problem:
            raise MachineError(
                f"The workers of {address} were lost while they read: {_first_line(problem)}",
                "See their logs, then run the same command again: it goes on.",
            ) from problem


def versions() -> dict[str, str]:
    """Return what decides the bytes that a shard gives on this machine: name -> version."""
    installed = {name: metadata.version(name) for name in _PACKAGES}
    git = process.run(["git", "--version"]).stdout.decode("utf-8", "replace").strip()
    return {
        **installed,
        "extractor": str(EXTRACTOR_VERSION),
        "git": git,
        "Python": ".".join(platform.python_version_tuple()[:2]),
    }


def _require_alike(client: Any, address: str) -> None:
    """Refuse workers that could give other bytes."""
    try:
        found: Mapping[str, Mapping[str, str]] = client.run(versions)
    except ImportError as problem:
        raise MachineError(
            f"A worker of {address} lacks a module: {_first_line(problem)}", "Install joco-mlx where the workers run."
        ) from problem
    if not found:
        raise MachineError(f"The scheduler at {address} has no worker.", f"Start one: dask worker {address}")
    ours = versions()
    for worker, theirs in sorted(found.items()):
        for name, version in ours.items():
            if theirs.get(name) != version:
                raise MachineError(
                    f"The worker {worker} has {name} {theirs.get(name)}, this machine {version}.",
                    "Install the same version on both; otherwise the dataset would depend on who read it.",
                )


def _first_line(problem: BaseException) -> str:
    text = str(problem).strip() or type(problem).__name__
    return text.splitlines()[0].rstrip(".") + "."
