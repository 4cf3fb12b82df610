"""Q6_K: 256 weights in 210 bytes, weight = d * scale * (code - 32).

    bytes 0..127    the low 4 bits of the codes: in each half of 128 weights, byte 64*half + i holds weights i and i + 64,
                    byte 64*half + 32 + i weights i + 32 and i + 96
    bytes 128..191  the high 2 bits: byte 128 + 32*half + i holds weights i, i + 32, i + 64, i + 96
    bytes 192..207  sixteen signed 8-bit scales, one for 16 weights
    bytes 208..209  d: float16

The search is that of `quantize_row_q6_K_ref` and `make_qx_quants` (ggml-quants.c) with the same operations in the same
order, so that the bytes are the same. The 16 weights of a sub-block lie on axis 0, as in `q4_k`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from joco_mlx.gguf.rounding import Bytes, Floats, extremes, in_order_sum, nearest_int, reaches_far, round_into

BLOCK_BYTES = 210
_ZERO = 32
"""The code of weight 0."""
_NOTHING = np.float32(1e-15)
"""Below this magnitude ggml takes a sub-block for zero."""


@dataclass
class Steps:
    """A step width for each sub-block; every array is float32 [sub-blocks]."""

    scale: Floats
    inverse: Floats
    """The codes that led to `scale`: 32 + round(inverse * weight)."""
    nothing: NDArray[np.bool_]
    """Where all weights are too small to matter; ggml leaves code 0 there, not 32."""


@dataclass
class Scales:
    """What a super-block stores beside its codes."""

    unit: NDArray[np.float16]
    """[super-blocks]: d."""
    scales: NDArray[np.int8]
    """[super-blocks, 16]."""


def encode_q6_k(values: Floats) -> Bytes:
    """Encode super-blocks to the bytes of ggml's reference.

    Args:
        values: float32 [super-blocks, 256].

    Returns:
        uint8 [super-blocks, 210].
    """
    weights = np.ascontiguousarray(values.reshape(-1, 16).T)
    with np.errstate(all="ignore"):
        steps = search(weights)
        scales = store_scales(steps)
        codes = choose_codes(weights, scales, steps)
    return pack_q6_k(scales, codes)


def search(weights: Floats, importance: Floats | None = None, zero: int = _ZERO) -> Steps:
    """Find each sub-block's step width as `make_qx_quants` does: 19 candidates, a least-squares fit for each.

    Args:
        weights: float32 [weights of a sub-block, sub-blocks].
        importance: Of each weight's squared error; its own square when None.
        zero: The code of weight 0.
    """
    extreme = extremes(weights)
    nothing = np.abs(extreme) < _NOTHING
    divisor = np.where(nothing, np.float32(1), extreme)
    trial = _Trial(weights, importance, zero)
    inverse: Floats = np.divide(np.float32(-zero), divisor)
    sum_lx, sum_l2 = trial.fit(inverse)
    steps = Steps(np.where(sum_l2 == 0, np.float32(0), sum_lx / sum_l2), inverse, nothing)
    best = steps.scale * sum_lx
    for step in (*range(-9, 0), *range(1, 10)):
        inverse = np.divide(-(np.float32(zero) + np.float32(0.1) * np.float32(step)), divisor)
        sum_lx, sum_l2 = trial.fit(inverse)
        better = np.flatnonzero((sum_l2 > 0) & (sum_lx * sum_lx > best * sum_l2))
        scale = sum_lx[better] / sum_l2[better]
        steps.scale[better] = scale
        steps.inverse[better] = inverse[better]
        best[better] = scale * sum_lx[better]
    steps.scale[nothing] = 0
    return steps


class _Trial:
    """The sums of one chunk, in arrays that every trial fills anew: fresh memory would cost more than the sums."""

    def __init__(self, weights: Floats, importance: Floats | None, zero: int) -> None:
        self.weights = weights
        self.zero = zero
        self.importance = weights * weights if importance is None else importance
        self.weighted = self.importance * weights
        self.codes, self.work = np.empty_like(weights), np.empty_like(weights)
        self.sum_lx, self.sum_l2 = np.empty_like(weights[0]), np.empty_like(weights[0])

    def fit(self, inverse: Floats) -> tuple[Floats, Floats]:
        """Sums of weight * code and of code * code by importance; overwritten by the next call."""
        codes, work = self.codes, self.work
        np.multiply(self.weights, inverse, out=codes)
        round_into(codes, codes, -self.zero, self.zero - 1, far=False)  # |weight * inverse| is below zero + 1
        in_order_sum(np.multiply(self.weighted, codes, out=work), out=self.sum_lx)
        np.multiply(self.importance, codes, out=work)
        in_order_sum(np.multiply(work, codes, out=work), out=self.sum_l2)
        return self.sum_lx, self.sum_l2


def store_scales(steps: Steps) -> Scales:
    """Round the step widths of each super-block to 8 bits in units of the largest."""
    widths = steps.scale.reshape(-1, 16)
    place = np.where(np.isnan(widths), np.float32(0), np.abs(widths)).argmax(axis=1)
    largest = np.take_along_axis(widths, place[:, None], axis=1)[:, 0]
    nothing = ~(np.abs(largest) >= _NOTHING)
    inverse: Floats = np.divide(np.float32(-128), np.where(nothing, np.float32(1), largest))
    unit = np.where(nothing, np.float32(0), np.float32(1) / inverse).astype(np.float16)
    whole = np.minimum(nearest_int(inverse[:, None] * widths), 127)
    whole[nothing] = 0
    return Scales(unit, whole.astype(np.int8))


def choose_codes(weights: Floats, scales: Scales, steps: Steps) -> Bytes:
    """Round the weights on the step widths as they are stored.

    A sub-block whose stored scale is 0 keeps the codes of its search, as in ggml: they do not matter to the decoder.
    """
    scale = (scales.unit.astype(np.float32)[:, None] * scales.scales).ravel()
    codes = weights / scale
    lost = np.flatnonzero(scale == 0)
    if lost.size:
        codes[:, lost] = weights[:, lost] * steps.inverse[lost]
    round_into(codes, codes, -_ZERO, _ZERO - 1, far=reaches_far(codes.max(axis=0), codes.min(axis=0)))
    codes += np.float32(_ZERO)
    if lost.size:
        empty = np.repeat((scales.scales == 0).all(axis=1), 16)
        codes[:, lost[(steps.nothing | empty)[lost]]] = 0
    return codes.astype(np.uint8)


def pack_q6_k(scales: Scales, codes: Bytes) -> Bytes:
    """Lay out super-blocks; `codes` is uint8 [16, sub-blocks]."""
    count = len(scales.unit)
    blocks = np.empty((count, BLOCK_BYTES), np.uint8)
    quarters = np.ascontiguousarray(codes.T).reshape(count, 2, 4, 32)
    low, high = quarters & 15, quarters >> 4
    np.bitwise_or(low[:, :, :2], low[:, :, 2:] << 4, out=blocks[:, :128].reshape(count, 2, 2, 32))
    blocks[:, 128:192] = (high[:, :, 0] | high[:, :, 1] << 2 | high[:, :, 2] << 4 | high[:, :, 3] << 6).reshape(
        count, 64
    )
    blocks[:, 192:208] = scales.scales.view(np.uint8)
    blocks[:, 208:] = scales.unit.view(np.uint8).reshape(count, 2)
    return blocks
