"""Who reads shards: this process, processes of this machine, or any other executor.

Decides the order (longest first, so that nobody waits for a giant that began last) and that a worker whose parent was
killed ends too. Leaves what a worker does to `shard`.
"""

import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Any

from joco_mlx.dataset.shard import Shard, read_shard
from joco_mlx.errors import MachineError


@contextmanager
def local_executor(jobs: int | None, shards: int) -> Iterator[Executor | None]:
    """Start `jobs` processes, one for each core when None, and no more than there are shards; None for a single one."""
    count = min(jobs or os.cpu_count() or 1, shards)
    if count <= 1:
        yield None
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=_end_with_the_parent)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def read_all(shards: Sequence[Shard], executor: Executor | None) -> Iterator[tuple[Shard, bytes]]:
    """Yield shards and their results as they are done, the longest begun first; in this process without an executor.

    Raises:
        MachineError: A worker of this machine was killed.
    """
    ordered = sorted(shards, key=lambda shard: -len(shard.hashes))
    if executor is None:
        yield from ((shard, read_shard(shard)) for shard in ordered)
        return
    try:
        yield from _as_completed(ordered, executor)
    except BrokenExecutor as problem:
        raise MachineError(
            "A process that reads died: most often the system ends one when memory runs out.",
            "Run the same command again, and it goes on; with --jobs 1 it takes the least memory.",
        ) from problem


def _as_completed(shards: Sequence[Shard], executor: Executor) -> Iterator[tuple[Shard, bytes]]:
    futures = {executor.submit(read_shard, shard): shard for shard in shards}
    try:
        for future in as_completed(futures):
            yield futures.pop(future), future.result()
    finally:
        for future in futures:
            future.cancel()


def _end_with_the_parent() -> None:
    """Leave no worker behind when the parent is killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_wait_for, args=(parent,), daemon=True).start()


def _wait_for(parent: Any) -> None:
    parent.join()
    os._exit(1)
