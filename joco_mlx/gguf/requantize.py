"""From trained weights to ggml's blocks by our own search. OWNS the path from MLX codes without a second loss.

A 4-bit MLX model holds 16 values a group. ggml's own search does not know them and rounds a second time, which loses
more than an adapter changed. Here a block starts from MLX's own scale: its grid fits into 4 or 5 bits as it is, and into
the symmetric types because MLX makes the bias a multiple of the scale (mlx, `affine_quantize`). Decides which blocks are
good enough from there; the others are searched for as if nothing were known, and the better of both is kept.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from gguf import GGMLQuantizationType as Type
from numpy.typing import NDArray

from joco_mlx.gguf import q6_k
from joco_mlx.gguf.affine_fit import SUB_BLOCKS, AffineBlocks, search_grids, settle
from joco_mlx.gguf.balance import Grids, balanced_codes
from joco_mlx.gguf.grids import reaches
from joco_mlx.gguf.q4_k import pack_q4_k
from joco_mlx.gguf.q5_k import pack_q5_k
from joco_mlx.gguf.residuals import by_super_block, flat, reciprocal
from joco_mlx.gguf.rounding import Bytes, Floats, extremes, in_order_sum
from joco_mlx.gguf.symmetric_fit import (
    SymmetricBlocks,
    pack_q5_0,
    pack_q8_0,
    search_steps,
    settle_blocks,
    settle_super_blocks,
)
from joco_mlx.merge import AffineGrid, Change

GOOD_ENOUGH = 0.5
"""A seeded block is not searched again below this part of the squared error that even rounding would leave.

A search seldom gets below 0.8 of it.
"""
LEAST_IMPORTANCE = 0.01
"""Of the mean: a column that calibration never met may matter in use."""
_SEEDED_BITS = {Type.Q4_K: 4, Type.Q5_K: 5, Type.Q6_K: 4, Type.Q5_0: 4}
"""The widest MLX codes that a type's grid can take over. Q8_0 has no need of them."""


@dataclass(frozen=True)
class Trained:
    """Rows of one matrix, and what is known of where they come from."""

    weights: Floats
    """float32 [rows, columns]: what was trained, base and adapter together; columns are whole blocks."""
    grid: AffineGrid | None = None
    """Scales and biases of the base's rows: blocks start from them."""
    change: Change | None = None
    """What training added. It is kept on balance (`balance`), at the price of a larger error."""
    importance: Floats | None = None
    """float32 [columns]: how much the squared error of each column matters; all alike when None."""


def requantize(kind: Type, rows: Trained) -> Bytes:
    """Encode rows as `kind`, one of KINDS; return uint8 [bytes]."""
    grid = rows.grid
    wide = kind is Type.Q5_K and rows.change is not None  # 16 of 32 steps are too far apart to keep a change on
    if grid is not None and (wide or grid.bits > _SEEDED_BITS.get(kind, 0)):
        rows = replace(rows, grid=None)
    with np.errstate(over="ignore", under="ignore"):
        return _KINDS[kind](rows).reshape(-1)


def _columns(values: Floats, size: int) -> Floats:
    return np.ascontiguousarray(values.reshape(-1, size).T)


def _affine(rows: Trained, highest: int, tried: Sequence[float]) -> AffineBlocks:
    columns = _columns(rows.weights, 32)
    found = _affine_blocks(columns, rows.grid, highest, tried, _weighed(rows, 32))
    if rows.change is not None:
        grids = Grids(flat(found.stored.scale), flat(found.stored.minimum), 0, highest)
        found.codes = balanced_codes(columns, rows.change, grids).astype(np.uint8)
    return found


def _affine_blocks(
    columns: Floats, grid: AffineGrid | None, highest: int, tried: Sequence[float], weighed: Floats | None
) -> AffineBlocks:
    if grid is None:
        return settle(columns, *search_grids(columns, highest, tried, weighed), highest, weighed)
    found = settle(columns, *_grids(grid), highest, weighed)
    width: Floats = columns.max(axis=0) - np.minimum(columns.min(axis=0), np.float32(0))
    places = _poor(found.error, np.divide(width, np.float32(highest)), weighed, 32, SUB_BLOCKS)
    if places.size:
        chosen = _at(columns, places, SUB_BLOCKS)
        weight = None if weighed is None else _at(weighed, places, SUB_BLOCKS)
        found.replace(places, settle(chosen, *search_grids(chosen, highest, tried, weight), highest, weight))
    return found


def _symmetric(rows: Trained, size: int, together: int, lowest: int, tried: Sequence[float]) -> SymmetricBlocks:
    columns = _columns(rows.weights, size)
    found = _symmetric_blocks(columns, rows.grid, together, lowest, tried, _weighed(rows, size))
    if rows.change is not None:
        scale = flat(found.scales * found.unit)
        grids = Grids(scale, np.zeros_like(scale), lowest, -lowest - 1)
        found.codes = balanced_codes(columns, rows.change, grids).astype(np.int8)
    return found


def _symmetric_blocks(
    columns: Floats,
    grid: AffineGrid | None,
    together: int,
    lowest: int,
    tried: Sequence[float],
    weighed: Floats | None,
) -> SymmetricBlocks:
    finish = settle_blocks if together == 1 else settle_super_blocks
    size = len(columns)
    if grid is None:
        return finish(columns, search_steps(columns, lowest, tried, weighed), lowest, weighed)
    extreme = extremes(columns)
    steps = _steps(_spread(np.abs(grid.scales), grid.group_size, size), extreme, lowest)
    found = finish(columns, steps, lowest, weighed)
    places = _poor(found.error, np.divide(extreme, np.float32(lowest)), weighed, size, together)
    if places.size:
        chosen = _at(columns, places, together)
        weight = None if weighed is None else _at(weighed, places, together)
        found.replace(places, finish(chosen, search_steps(chosen, lowest, tried, weight), lowest, weight))
    return found


def _weighed(rows: Trained, size: int) -> Floats | None:
    """The importance of every weight, laid out as `_columns` lays out the weights. No column is wholly without."""
    if rows.importance is None:
        return None
    mean = rows.importance.mean(dtype=np.float64)
    even = np.ones_like(rows.importance) if mean == 0 else (rows.importance / mean).astype(np.float32)
    return np.tile(_columns(np.maximum(even, np.float32(LEAST_IMPORTANCE)), size), (1, len(rows.weights)))


def _at(columns: Floats, places: NDArray[np.intp], together: int) -> Floats:
    """The sub-blocks of some super-blocks."""
    return columns.reshape(len(columns), -1, together)[:, places].reshape(len(columns), -1)


def _poor(error: Floats, step: Floats, weighed: Floats | None, size: int, together: int) -> NDArray[np.intp]:
    """Blocks whose error is not far below that of an even grid: step**2 / 12 a weight."""
    weight = np.float32(size) if weighed is None else in_order_sum(weighed)
    even = in_order_sum(by_super_block(step * step * weight, together)) / np.float32(12)
    return np.flatnonzero(error > np.float32(GOOD_ENOUGH) * even)


def _grids(grid: AffineGrid) -> tuple[Floats, Floats]:
    """Scale and minimum of each 32 weights. A negative MLX scale counts down from the highest weight."""
    lowest = np.minimum(grid.biases, grid.biases + grid.scales * np.float32((1 << grid.bits) - 1))
    minimum = np.maximum(-lowest, np.float32(0))
    return _spread(np.abs(grid.scales), grid.group_size, 32), _spread(minimum, grid.group_size, 32)


def _spread(values: Floats, group_size: int, size: int) -> Floats:
    """One value a group of MLX -> one a sub-block of `size` weights."""
    return np.repeat(values.reshape(-1), group_size // size)


def _steps(scale: Floats, extreme: Floats, lowest: int) -> Floats:
    """Divide each MLX step into as many whole ones as the codes reach; the extreme weight gets a negative code."""
    parts = np.floor(np.float32(0.4 - lowest) * scale * reciprocal(np.abs(extreme)))
    step: Floats = -np.sign(extreme) * scale * reciprocal(np.maximum(parts, np.float32(1)))
    return step


def _q4_k(rows: Trained) -> Bytes:
    blocks = _affine(rows, 15, _TRIED_Q4)
    return pack_q4_k(blocks.packed_scales(), blocks.codes)


def _q5_k(rows: Trained) -> Bytes:
    blocks = _affine(rows, 31, _TRIED_Q5)
    return pack_q5_k(blocks.packed_scales(), blocks.codes)


def _q6_k(rows: Trained) -> Bytes:
    blocks = _symmetric(rows, 16, 16, -32, _TRIED_Q6)
    scales = q6_k.Scales(blocks.unit.astype(np.float16), blocks.scales.T.astype(np.int8))
    return q6_k.pack_q6_k(scales, (blocks.codes + np.int8(32)).view(np.uint8))


def _q5_0(rows: Trained) -> Bytes:
    return pack_q5_0(_symmetric(rows, 32, 1, -16, _TRIED_Q5_0))


def _q8_0(rows: Trained) -> Bytes:
    return pack_q8_0(_symmetric(rows, 32, 1, -128, _TRIED_Q8_0))


def _between(first: float, last: float, count: int) -> tuple[float, ...]:
    return tuple(float(value) for value in np.linspace(first, last, count, dtype=np.float32))


_TRIED_Q4 = reaches(-2, 36, 15)
_TRIED_Q5 = reaches(-2, 36, 31)
_TRIED_Q6 = _between(-28, -36, 33)
_TRIED_Q5_0 = (*_between(-13, -19, 25), *_between(12.5, 16, 8))
_TRIED_Q8_0 = _between(-120, -132, 13)
_KINDS: dict[Type, Callable[[Trained], Bytes]] = {
    Type.Q4_K: _q4_k,
    Type.Q5_K: _q5_k,
    Type.Q6_K: _q6_k,
    Type.Q5_0: _q5_0,
    Type.Q8_0: _q8_0,
}
KINDS = frozenset(_KINDS)
"""Types whose error a search can lower; the others are exact or hardly lose."""
