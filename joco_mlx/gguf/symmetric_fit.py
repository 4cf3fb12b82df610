"""Q6_K, Q8_0 and Q5_0 with the least squared error: weight = scale * code, codes around 0.

Decides how a step width is found from the weights alone (`search_steps`), and how step widths, from a search or from
MLX's own scales, become what is stored: a float16 of its own for a block of 32 (`settle_blocks`), or sixteen signed
8-bit scales in one float16 unit (`settle_super_blocks`). A step width may be negative: the codes reach one step farther
down than up, and the weight of largest magnitude should have that step.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from joco_mlx.gguf.residuals import Rounded, Sums, by_super_block, flat, half, reciprocal, round_on, sum_up
from joco_mlx.gguf.rounding import Bytes, Floats, extremes, in_order_sum
from joco_mlx.gguf.units import best_unit, whole

SUB_BLOCKS = 16
"""Of a super-block of Q6_K."""
LOWEST_SCALE, HIGHEST_SCALE = -128, 127
_ROUNDS = 2
_NEIGHBOURS = (-1, 0, 1)


@dataclass
class SymmetricBlocks:
    """Finished blocks, or super-blocks of sixteen sub-blocks."""

    unit: Floats
    """Float16 numbers [blocks]."""
    scales: Floats
    """Whole numbers [sub-blocks of a block, blocks]; all 1 where blocks have no sub-blocks."""
    codes: NDArray[np.int8]
    """[weights of a sub-block, sub-blocks]."""
    error: Floats
    """Squared error [blocks]."""

    def replace(self, places: NDArray[np.intp], other: "SymmetricBlocks") -> None:
        """Put `other`, which holds the blocks at `places`, where it is better."""
        better = other.error < self.error[places]
        kept, theirs = places[better], np.flatnonzero(better)
        self.error[kept], self.unit[kept] = other.error[theirs], other.unit[theirs]
        self.scales[:, kept] = other.scales[:, theirs]
        shape = (len(self.codes), -1, len(self.scales))
        self.codes.reshape(shape)[:, kept] = other.codes.reshape(shape)[:, theirs]


def search_steps(weights: Floats, lowest: int, tried: Sequence[float], importance: Floats | None = None) -> Floats:
    """Find each sub-block's step width: a least-squares fit for each trial, the least error wins.

    Args:
        weights: float32 [weights of a sub-block, sub-blocks].
        lowest: Smallest code; the largest is one step nearer to 0.
        tried: Which (broken) codes the weight of largest magnitude gets.
        importance: Of each weight's squared error; 1 when None.
    """
    weighed = weights if importance is None else weights * importance
    extreme = reciprocal(extremes(weights))
    best = np.zeros_like(extreme)
    step = np.zeros_like(extreme)
    codes, work = np.empty_like(weights), np.empty_like(weights)
    for code in tried:
        np.multiply(weights, np.float32(code) * extreme, out=codes)
        np.rint(codes, out=codes)
        np.clip(codes, np.float32(lowest), np.float32(-lowest - 1), out=codes)
        sum_xc = in_order_sum(np.multiply(codes, weighed, out=work))
        np.multiply(codes, codes, out=work)
        if importance is not None:
            work *= importance
        fitted = sum_xc * reciprocal(in_order_sum(work))
        explained = fitted * sum_xc
        better = explained > best
        best = np.where(better, explained, best)
        step = np.where(better, fitted, step)
    return step


def settle_blocks(weights: Floats, step: Floats, lowest: int, importance: Floats | None = None) -> SymmetricBlocks:
    """Turn a step width for each block into blocks.

    Args:
        weights: float32 [32, blocks].
        step: [blocks].
        lowest: Smallest code: -16 or -128.
        importance: Of each weight's squared error; 1 when None.
    """
    unit, best = half(step), None
    for _ in range(_ROUNDS):
        rounded = _rounded(weights, unit, lowest, importance)
        found = SymmetricBlocks(unit, np.ones((1, len(unit)), np.float32), _codes(rounded), rounded.error)
        best = _better(best, found)
        sums = sum_up(rounded, 1)
        unit = half(unit + (sums.left_code * reciprocal(sums.code_code))[0])
    assert best is not None
    return best


def settle_super_blocks(
    weights: Floats, step: Floats, lowest: int, importance: Floats | None = None
) -> SymmetricBlocks:
    """Turn a step width for each sub-block into super-blocks.

    Args:
        weights: float32 [16, sub-blocks].
        step: [sub-blocks].
        lowest: Smallest code: -32.
        importance: Of each weight's squared error; 1 when None.
    """
    rounded, best, unit, scales = _rounded(weights, step, lowest, importance), None, None, None
    for _ in range(_ROUNDS):
        sums = sum_up(rounded, SUB_BLOCKS)
        if unit is None or scales is None:
            wanted = sums.scale + sums.left_code * reciprocal(sums.code_code)
            unit = best_unit(wanted, sums.code_code, LOWEST_SCALE, HIGHEST_SCALE)
            scales = whole(wanted, unit, LOWEST_SCALE, HIGHEST_SCALE)
        unit, scales = _improved(sums, unit, scales)
        rounded = _rounded(weights, flat(scales * unit), lowest, importance)
        error = in_order_sum(by_super_block(rounded.error, SUB_BLOCKS))
        best = _better(best, SymmetricBlocks(unit.copy(), scales.copy(), _codes(rounded), error))
    assert best is not None
    return best


def _rounded(weights: Floats, step: Floats, lowest: int, importance: Floats | None) -> Rounded:
    return round_on(weights, step, np.zeros_like(step), lowest, -lowest - 1, importance)


def _codes(rounded: Rounded) -> NDArray[np.int8]:
    return rounded.codes.astype(np.int8)


def _better(best: SymmetricBlocks | None, found: SymmetricBlocks) -> SymmetricBlocks:
    if best is None:
        return found
    best.replace(np.arange(len(found.error)), found)
    return best


def _improved(sums: Sums, unit: Floats, scales: Floats) -> tuple[Floats, Floats]:
    """Try the neighbours of each scale, then fit the unit to all of them."""
    nothing = np.zeros_like(scales)
    best = np.full(scales.shape, np.inf, np.float32)
    found = scales
    for step in _NEIGHBOURS:
        tried = np.clip(scales + np.float32(step), np.float32(LOWEST_SCALE), np.float32(HIGHEST_SCALE))
        error = sums.error_of(tried * unit, nothing)
        better = error < best
        best = np.where(better, error, best)
        found = np.where(better, tried, found)
    _, left_code = sums.left_of(found * unit, nothing)
    squares = in_order_sum(found * found * sums.code_code)
    fitted = half(unit + in_order_sum(found * left_code) * reciprocal(squares))
    better = in_order_sum(sums.error_of(found * fitted, nothing)) < in_order_sum(best)
    return np.where(better, fitted, unit), found


def pack_q5_0(blocks: SymmetricBlocks) -> Bytes:
    """Lay out blocks of 32 in 22 bytes: d as float16, the fifth bits of codes 0 to 31, then their low 4 bits.

    Byte 6 + i holds weight i, and weight 16 + i above it (`block_q5_0` in ggml-common.h).
    """
    codes = (blocks.codes + np.int8(16)).view(np.uint8)
    out = np.empty((len(blocks.unit), 22), np.uint8)
    out[:, :2] = blocks.unit.astype(np.float16).view(np.uint8).reshape(-1, 2)
    out[:, 2:6] = np.packbits(codes >> 4, axis=0, bitorder="little").T
    out[:, 6:] = ((codes[:16] & 15) | (codes[16:] << 4)).T
    return out


def pack_q8_0(blocks: SymmetricBlocks) -> Bytes:
    """Lay out blocks of 32 in 34 bytes: d as float16, then the codes (`block_q8_0` in ggml-common.h)."""
    out = np.empty((len(blocks.unit), 34), np.uint8)
    out[:, :2] = blocks.unit.astype(np.float16).view(np.uint8).reshape(-1, 2)
    out[:, 2:] = blocks.codes.view(np.uint8).T
    return out
