"""A plan and its weights to the bytes of a file: nothing is held but the header and the chunks at work.

Decides how the weights are cut and encoded on all cores, and that they come back in their order. The same weights give
the same bytes on any number of threads, because a chunk knows nothing of its neighbours. The header is written by the
`gguf` package.
"""

import math
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import GGUFValueType, GGUFWriter

from joco_mlx.config import Mode
from joco_mlx.errors import InputError
from joco_mlx.gguf import weighted
from joco_mlx.gguf.container import ALIGNMENT
from joco_mlx.gguf.encoders import CHUNK_WEIGHTS, encoder, fits
from joco_mlx.gguf.imatrix import Imatrix
from joco_mlx.gguf.plan import Plan
from joco_mlx.gguf.recipe import stored_bytes
from joco_mlx.gguf.requantize import KINDS, Trained, requantize
from joco_mlx.gguf.rounding import Bytes, Floats
from joco_mlx.merge import AffineGrid, Change, Weights
from joco_mlx.progress import Task

_WIDE = ("general.parameter_count",)
"""Keys whose numbers are stored in 64 bits."""
_JOBS_AHEAD = 4
"""Chunks for each thread that may wait for the one to be written next."""


@dataclass(frozen=True)
class _Chunk:
    """Some rows of one tensor."""

    name: str
    kind: Type
    rows: Callable[[], Floats]
    origin: Callable[[], tuple[AffineGrid | None, Change | None]]
    importance: Floats | None
    """Of its columns, where an importance matrix says something of them."""
    last: bool
    """Whether the tensor ends with it."""


def write_gguf(
    path: Path,
    plan: Plan,
    source: Weights,
    *,
    mode: Mode,
    threads: int | None,
    bar: Task,
    imatrix: Imatrix | None = None,
) -> None:
    """Write a whole file to `path`, which nobody else reads yet.

    Args:
        path: Where.
        plan: What the file holds.
        source: The weights under their Hugging Face names.
        mode: How weights become blocks.
        threads: Chunks encoded at once; all cores when None.
        bar: Told of every chunk, in weights.
        imatrix: How much each column's error matters; all alike when None.

    Raises:
        InputError: A weight is not finite or too large for its type.
    """
    _write_header(path, plan)
    with path.open("ab") as file:
        _pad(file)
        for chunk, encoded, weights in _encoded(_chunks(source, plan, imatrix), mode, threads or cores()):
            file.write(encoded.data)
            if chunk.last:
                _pad(file)
            bar.advance(weights, tensor=chunk.name)


def _write_header(path: Path, plan: Plan) -> None:
    """Write metadata and tensor table; weights come behind."""
    with closing(GGUFWriter(path, str(plan.metadata["general.architecture"]))) as writer:
        for key, value in plan.metadata.items():
            if key != "general.architecture":  # the writer has set it already
                kind, inner = _value_types(key, value)
                writer.add_key_value(key, value, kind, inner)
        for tensor, kind in plan.tensors:
            nbytes = stored_bytes(kind, tensor.shape)
            writer.add_tensor_info(tensor.name, tensor.shape, np.dtype(np.float32), nbytes, raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()


def _value_types(key: str, value: object) -> tuple[GGUFValueType, GGUFValueType | None]:
    """Type of a value and of its elements, as llama.cpp's converter chooses them."""
    if isinstance(value, list):
        return GGUFValueType.ARRAY, GGUFValueType.STRING if isinstance(value[0], str) else GGUFValueType.INT32
    if isinstance(value, bool):
        return GGUFValueType.BOOL, None
    if isinstance(value, int):
        return (GGUFValueType.UINT64 if key in _WIDE else GGUFValueType.UINT32), None
    return (GGUFValueType.FLOAT32 if isinstance(value, float) else GGUFValueType.STRING), None


def _chunks(source: Weights, plan: Plan, imatrix: Imatrix | None) -> Iterator[_Chunk]:
    """Cut the tensors into what one thread encodes at a time."""
    for tensor, kind in plan.tensors:
        importance = imatrix.means.get(tensor.name) if imatrix else None
        read, origin = tensor.reader(source), tensor.origin(source)
        for start, stop in row_chunks(tensor.shape):
            parts = partial(read, start, stop), partial(origin, start, stop)
            yield _Chunk(tensor.source, kind, *parts, importance, stop == tensor.shape[0])


def row_chunks(shape: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Return first and last + 1 of runs of whole rows, each about `CHUNK_WEIGHTS` weights."""
    rows, *rest = shape
    step = max(1, CHUNK_WEIGHTS // math.prod(rest))
    for start in range(0, rows, step):
        yield start, min(start + step, rows)


def _encoded(chunks: Iterator[_Chunk], mode: Mode, threads: int) -> Iterator[tuple[_Chunk, Bytes, int]]:
    """Encode chunks on several threads; they come back in their order, with their number of weights."""
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[tuple[_Chunk, Future[tuple[Bytes, int]]]] = deque()
        for chunk in chunks:
            waiting.append((chunk, pool.submit(_encode, chunk, mode)))
            if len(waiting) > _JOBS_AHEAD * threads:
                first, future = waiting.popleft()
                yield first, *future.result()
        for first, future in waiting:
            yield first, *future.result()


def _encode(chunk: _Chunk, mode: Mode) -> tuple[Bytes, int]:
    weights = chunk.rows()
    if not fits(chunk.kind, weights):
        raise InputError(
            f"{chunk.name} holds a weight that is not finite or too large for {chunk.kind.name}.",
            "Train again with a lower --learning-rate, or download the model again.",
        )
    if mode == "reference" and chunk.importance is not None and chunk.kind in weighted.KINDS:
        return weighted.encode_weighted(chunk.kind, weights, chunk.importance), weights.size
    if mode == "reference" or chunk.kind not in KINDS:
        return encoder(chunk.kind)(weights.reshape(-1)), weights.size
    return requantize(chunk.kind, _trained(weights, chunk, mode)), weights.size


def _trained(weights: Floats, chunk: _Chunk, mode: Mode) -> Trained:
    """What a mode wants to know of the rows beside their weights."""
    if mode == "low-error":
        return Trained(weights, importance=chunk.importance)
    grid, change = chunk.origin()
    return Trained(weights, grid, change if mode == "balanced" else None, chunk.importance)


def _pad(file: BinaryIO) -> None:
    file.write(bytes(-file.tell() % ALIGNMENT))


def cores() -> int:
    """Cores that this process may use; macOS has no way to take some away."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
