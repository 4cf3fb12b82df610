"""Q4_K: 256 weights in 144 bytes, weight = d * scale * code - dmin * minimum.

    bytes 0..1     d: float16, unit of the scales
    bytes 2..3     dmin: float16, unit of the minimums
    bytes 4..7     scales 0..3 in the low 6 bits, the high 2 bits of scales 4..7 above them
    bytes 8..11    the same for the minimums
    bytes 12..15   the low 4 bits of scales 4..7, and of minimums 4..7 above them
    bytes 16..143  codes of 4 bits: byte 16 + 32*j + i holds weight 64*j + i, and weight 64*j + 32 + i above it

The search for each sub-block of 32 weights is that of `quantize_row_q4_K_ref` and `make_qkx2_quants` (ggml-quants.c)
with the same operations in the same order, so that the bytes are the same. The 32 weights of a sub-block lie on axis 0:
every sum then runs in ggml's order, and all sub-blocks of a chunk take each step together.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from joco_mlx.gguf.rounding import Bytes, Floats, in_order_sum, nearest_int, reaches_far, round_into

BLOCK_BYTES = 144
_HIGHEST_CODE = 15
_HIGHEST_SCALE = 63
_REACHES = tuple(float(np.float32(-1) + np.float32(0.1) * np.float32(step) + np.float32(15)) for step in range(21))
"""Over how many steps each trial spreads a sub-block: 14.0 to 16.0."""


@dataclass
class Grids:
    """A grid of 16 steps for each sub-block; every array is float32 [sub-blocks]."""

    scale: Floats
    low: Floats
    """The weight of code 0, never above 0."""
    inverse: Floats
    offset: Floats
    """The codes that led to this grid: round(inverse * (weight - offset))."""

    def replaced(self, where: NDArray[np.bool_], scale: Floats, low: Floats, inverse: Floats) -> "Grids":
        """Return these grids with better ones `where` codes by `inverse` from the present `low` led to them."""
        return Grids(
            np.where(where, scale, self.scale),
            np.where(where, low, self.low),
            np.where(where, inverse, self.inverse),
            np.where(where, self.low, self.offset),
        )


@dataclass
class Scales:
    """What a super-block stores beside its codes."""

    units: NDArray[np.float16]
    """[super-blocks, 2]: d and dmin."""
    scales: Bytes
    """[super-blocks, 8], below 64."""
    minimums: Bytes
    """[super-blocks, 8], below 64."""


def encode_q4_k(values: Floats) -> Bytes:
    """Encode super-blocks to the bytes of ggml's reference.

    Args:
        values: float32 [super-blocks, 256].

    Returns:
        uint8 [super-blocks, 144].
    """
    weights = np.ascontiguousarray(values.reshape(-1, 32).T)
    with np.errstate(all="ignore"):
        grids = search(weights)
        scales = store_scales(grids)
        codes = choose_codes(weights, scales, grids)
    return pack(scales, codes)


def search(weights: Floats) -> Grids:
    """Find each sub-block's grid: 21 step widths, a weighted least-squares fit for each, the least error wins.

    Args:
        weights: float32 [32, sub-blocks].
    """
    trial = _Trial(weights)
    inverse = trial.spread(_HIGHEST_CODE, trial.least)
    grids = Grids(np.reciprocal(inverse), trial.least, inverse, trial.least)
    best = trial.error(grids.scale, grids.low)
    for reach in _REACHES:
        inverse = trial.spread(reach, grids.low)
        scale, low, sound = trial.fit()
        error = trial.error(scale, low)
        better = sound & (error < best) & ~trial.flat
        best = np.where(better, error, best)
        grids = grids.replaced(better, scale, low, inverse)
    grids.scale[trial.flat] = 0
    return grids


class _Trial:
    """Codes of one chunk under trial, and the buffers that all trials share."""

    def __init__(self, weights: Floats) -> None:
        self.weights = weights
        self.importance = np.sqrt(in_order_sum(weights * weights) / np.float32(32)) + np.abs(weights)
        self.sum_w = in_order_sum(self.importance)
        self.sum_x = in_order_sum(self.importance * weights)
        self.high = weights.max(axis=0)
        self.least = np.minimum(weights.min(axis=0), np.float32(0))
        self.flat = self.high == self.least
        self.codes, self.work, self.more = (np.empty_like(weights) for _ in range(3))

    def spread(self, reach: float, low: Floats) -> Floats:
        """Choose codes that count from `low` to the highest weight in `reach` steps; return steps per unit of weight."""
        width = self.high - low
        inverse: Floats = np.divide(np.float32(reach), np.where(self.flat, np.float32(1), width))
        np.subtract(self.weights, low, out=self.work)
        np.multiply(self.work, inverse, out=self.work)
        far = reaches_far(inverse * width, inverse * (self.least - low))
        round_into(self.codes, self.work, 0, _HIGHEST_CODE, far=far)
        return inverse

    def error(self, scale: Floats, low: Floats) -> Floats:
        """Weighted squared error of each sub-block."""
        work = self.work
        np.multiply(self.codes, scale, out=work)
        np.add(work, low, out=work)
        np.subtract(work, self.weights, out=work)
        np.multiply(work, work, out=work)
        np.multiply(work, self.importance, out=work)
        return in_order_sum(work)

    def fit(self) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """Scale and low edge that fit the codes best, and where that was solvable."""
        work, more = self.work, self.more
        np.multiply(self.importance, self.codes, out=work)
        sum_l = in_order_sum(work)
        np.multiply(work, self.codes, out=more)
        sum_l2 = in_order_sum(more)
        np.multiply(work, self.weights, out=more)
        sum_xl = in_order_sum(more)
        determinant = self.sum_w * sum_l2 - sum_l * sum_l
        scale = np.divide(self.sum_w * sum_xl - self.sum_x * sum_l, determinant)
        low = np.divide(sum_l2 * self.sum_x - sum_l * sum_xl, determinant)
        above = low > 0
        scale = np.where(above, sum_xl / sum_l2, scale)
        return scale, np.where(above, np.float32(0), low), determinant > 0


def store_scales(grids: Grids) -> Scales:
    """Round the grids of each super-block to 6 bits in units of its largest scale and minimum."""
    stored = []
    units = []
    for values in (grids.scale.reshape(-1, 8), -grids.low.reshape(-1, 8)):
        largest = np.fmax(np.fmax.reduce(values, axis=1), np.float32(0))
        steps = np.where(largest > 0, np.float32(_HIGHEST_SCALE) / largest, np.float32(0))
        whole = nearest_int(steps[:, None] * values) & 0xFF  # ggml stores a negative one in a byte before the next line
        stored.append(np.minimum(whole, _HIGHEST_SCALE).astype(np.uint8))
        units.append((largest / np.float32(_HIGHEST_SCALE)).astype(np.float16))
    return Scales(np.stack(units, axis=1), stored[0], stored[1])


def choose_codes(weights: Floats, scales: Scales, grids: Grids) -> Bytes:
    """Round the weights on the grids as they are stored.

    A sub-block whose stored scale is 0 keeps the codes of its search, as in ggml: they do not matter to the decoder.
    """
    unit, unit_low = scales.units.astype(np.float32).T
    scale = (unit[:, None] * scales.scales).ravel()
    low = (unit_low[:, None] * scales.minimums).ravel()
    codes = weights + low
    np.divide(codes, scale, out=codes)
    lost = np.flatnonzero(scale == 0)
    if lost.size:
        codes[:, lost] = (weights[:, lost] - grids.offset[lost]) * grids.inverse[lost]
    round_into(codes, codes, 0, _HIGHEST_CODE, far=reaches_far(codes.max(axis=0), codes.min(axis=0)))
    whole: Bytes = codes.astype(np.uint8)
    return whole


def pack(scales: Scales, codes: Bytes) -> Bytes:
    """Lay out super-blocks; `codes` is uint8 [32, sub-blocks]."""
    count = len(scales.units)
    blocks = np.empty((count, BLOCK_BYTES), np.uint8)
    blocks[:, :4] = scales.units.view(np.uint8)
    for start, values in ((4, scales.scales), (8, scales.minimums)):
        blocks[:, start : start + 4] = values[:, :4] | (values[:, 4:] >> 4 << 6)
    blocks[:, 12:16] = (scales.scales[:, 4:] & 15) | ((scales.minimums[:, 4:] & 15) << 4)
    pairs = codes.reshape(32, count, 4, 2)
    nibbles = pairs[..., 0] | (pairs[..., 1] << 4)
    blocks[:, 16:].reshape(count, 4, 32)[...] = nibbles.transpose(1, 2, 0)
    return blocks
