"""Encoders that know how much each column matters: the bytes of ggml's own with an importance matrix.

Decides how a column's importance and a weight's own magnitude weigh its error, and how the scales of a super-block are
rounded with it. Searches are those of `grids` and `q6_k`, which follow ggml's operations in their order. Followed here:
`quantize_row_q4_K_impl`, `quantize_row_q5_K_impl`, `quantize_row_q6_K_impl`, `quantize_row_q5_0_impl` and
`make_qp_quants` (ggml-quants.c). Q8_0 and float types have no use for importance.
"""

from collections.abc import Callable

import numpy as np
from gguf import GGMLQuantizationType as Type

from joco_mlx.gguf import q6_k
from joco_mlx.gguf.grids import HIGHEST_SCALE, Scales, choose_codes, reaches, search
from joco_mlx.gguf.q4_k import pack_q4_k
from joco_mlx.gguf.q5_k import pack_q5_k
from joco_mlx.gguf.rounding import Bytes, Floats, in_order_sum, nearest_int, round_into
from joco_mlx.gguf.symmetric_fit import SymmetricBlocks, pack_q5_0

_NOTHING = np.float32(1e-15)
_TRIES = 5
_SUPER_BLOCK = 256


def encode_weighted(kind: Type, rows: Floats, importance: Floats) -> Bytes:
    """Encode rows as `kind`, one of KINDS.

    Args:
        kind: The type.
        rows: float32 [rows, columns], columns whole blocks.
        importance: float32 [columns], not negative: the mean square of what the column is multiplied by.

    Returns:
        uint8 [bytes].
    """
    with np.errstate(all="ignore"):
        return _KINDS[kind](rows, importance).reshape(-1)


def _q4_k(rows: Floats, importance: Floats) -> Bytes:
    scales, codes = _affine(rows, importance, 15, _TRIED_Q4)
    return pack_q4_k(scales, codes)


def _q5_k(rows: Floats, importance: Floats) -> Bytes:
    scales, codes = _affine(rows, importance, 31, _TRIED_Q5)
    return pack_q5_k(scales, codes)


def _affine(rows: Floats, importance: Floats, highest: int, tried: tuple[float, ...]) -> tuple[Scales, Bytes]:
    weights = _columns(rows, 32)
    squares = in_order_sum(np.ascontiguousarray(rows.reshape(-1, _SUPER_BLOCK).T) ** 2)
    spread = np.repeat(np.float32(2) * squares / np.float32(_SUPER_BLOCK), 8)
    weighed = _spread(importance, rows, 32) * np.sqrt(spread + weights * weights)
    grids = search(weights, highest, tried, weighed)
    total = in_order_sum(weighed).reshape(-1, 8).T
    unit, scales = _whole(np.ascontiguousarray(grids.scale.reshape(-1, 8).T), total)
    unit_low, minimums = _whole(np.ascontiguousarray(-grids.low.reshape(-1, 8).T), total)
    stored = Scales(np.stack([unit, unit_low], axis=1).astype(np.float16), scales.T.copy(), minimums.T.copy())
    return stored, choose_codes(weights, stored, grids, highest)


def _whole(wanted: Floats, importance: Floats) -> tuple[Floats, Bytes]:
    """Round the eight scales of each super-block in one unit, and fit the unit to them (`make_qp_quants`).

    Args:
        wanted: float32 [8, super-blocks], not negative.
        importance: Of their errors, alike.

    Returns:
        The unit [super-blocks], and whole numbers below 64 like `wanted`.
    """
    top = np.float32(HIGHEST_SCALE)
    largest = np.maximum(wanted.max(axis=0), np.float32(0))
    nothing = largest < _NOTHING
    divisor = np.where(nothing, np.float32(1), largest)
    inverse: Floats = np.divide(top, divisor)
    best = _lost(wanted, importance, inverse, _steps(wanted, inverse))
    for step in (*range(-4, 0), *range(1, 5)):
        tried: Floats = np.divide(np.float32(0.1) * np.float32(step) + top, divisor)
        lost = _lost(wanted, importance, tried, np.minimum(_steps(wanted, tried), top))
        better = lost < best
        best, inverse = np.where(better, lost, best), np.where(better, tried, inverse)
    unit, found = _settled(wanted, importance, np.minimum(_steps(wanted, inverse), top))
    found[:, nothing] = 0
    return np.where(nothing, np.float32(0), unit), (found.astype(np.int32) & 0xFF).astype(np.uint8)


def _steps(wanted: Floats, inverse: Floats) -> Floats:
    return nearest_int(inverse * wanted).astype(np.float32)


def _lost(wanted: Floats, importance: Floats, inverse: Floats, whole: Floats) -> Floats:
    rounded: Floats = np.reciprocal(inverse)
    difference: Floats = wanted - rounded * whole
    return in_order_sum(importance * difference * difference)


def _settled(wanted: Floats, importance: Floats, whole: Floats) -> tuple[Floats, Floats]:
    """Move one scale at a time to where the fit of all becomes better, a few times round."""
    top = np.float32(HIGHEST_SCALE)
    weighted = importance * wanted
    sum_lx, sum_l2 = in_order_sum(weighted * whole), in_order_sum(importance * whole * whole)
    for _ in range(_TRIES):
        for place in range(len(wanted)):
            own, weight, value = whole[place], importance[place], weighted[place]
            rest_lx, rest_l2 = sum_lx - value * own, sum_l2 - weight * own * own
            moved = np.minimum(nearest_int(wanted[place] * rest_l2 / rest_lx).astype(np.float32), top)
            new_lx, new_l2 = rest_lx + value * moved, rest_l2 + weight * moved * moved
            better = (rest_lx > 0) & (rest_l2 > 0) & (moved != own)
            better &= new_lx * new_lx * sum_l2 > sum_lx * sum_lx * new_l2
            whole[place] = np.where(better, moved, own)
            sum_lx, sum_l2 = np.where(better, new_lx, sum_lx), np.where(better, new_l2, sum_l2)
    return np.where(sum_l2 > 0, sum_lx / sum_l2, np.float32(0)), whole


def _q6_k(rows: Floats, importance: Floats) -> Bytes:
    weights = _columns(rows, 16)
    steps = q6_k.search(weights, _spread(importance, rows, 16))
    scales = q6_k.store_scales(steps)
    return q6_k.pack_q6_k(scales, q6_k.choose_codes(weights, scales, steps))


def _q5_0(rows: Floats, importance: Floats) -> Bytes:
    """Blocks keep the codes of their search, although the stored unit is rounded to 16 bits after it."""
    weights = _columns(rows, 32)
    squares = in_order_sum(np.ascontiguousarray(rows.T) ** 2) / np.float32(rows.shape[1])
    spread = np.repeat(squares, rows.shape[1] // 32)
    steps = q6_k.search(weights, _spread(importance, rows, 32) * np.sqrt(spread + weights * weights), 16)
    codes = weights * steps.inverse
    round_into(codes, codes, -16, 15, far=False)
    codes[:, steps.nothing] = -16
    unit = steps.scale.astype(np.float16).astype(np.float32)
    return pack_q5_0(SymmetricBlocks(unit, np.ones((1, len(unit)), np.float32), codes.astype(np.int8), unit))


def _columns(rows: Floats, size: int) -> Floats:
    return np.ascontiguousarray(rows.reshape(-1, size).T)


def _spread(importance: Floats, rows: Floats, size: int) -> Floats:
    """The importance of every weight, laid out as `_columns` lays out the weights."""
    return np.tile(np.ascontiguousarray(importance.reshape(-1, size).T), (1, len(rows)))


_TRIED_Q4 = reaches(-0.9, 36, 15, 0.05)
_TRIED_Q5 = reaches(-0.9, 36, 31, 0.05)
_KINDS: dict[Type, Callable[[Floats, Floats], Bytes]] = {
    Type.Q4_K: _q4_k,
    Type.Q5_K: _q5_k,
    Type.Q6_K: _q6_k,
    Type.Q5_0: _q5_0,
}
KINDS = frozenset(_KINDS)
"""Types whose encoder takes importance."""
