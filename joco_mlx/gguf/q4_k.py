"""Q4_K: 256 weights in 144 bytes, weight = d * scale * code - dmin * minimum.

bytes 0..1     d: float16, unit of the scales
bytes 2..3     dmin: float16, unit of the minimums
bytes 4..7     scales 0..3 in the low 6 bits, the high 2 bits of scales 4..7 above them
bytes 8..11    the same for the minimums
bytes 12..15   the low 4 bits of scales 4..7, and of minimums 4..7 above them
bytes 16..143  codes of 4 bits: byte 16 + 32*j + i holds weight 64*j + i, and weight 64*j + 32 + i above it
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from joco_mlx.gguf.rounding import Bytes, Floats, nearest_int, reaches_far, round_into

BLOCK_BYTES = 144
_HIGHEST_CODE = 15
_HIGHEST_SCALE = 63


@dataclass
class Grids:
    """A grid of 16 steps for each sub-block; every array is float32 [sub-blocks]."""

    scale: Floats
    low: Floats
    """The weight of code 0, never above 0."""
    inverse: Floats
    offset: Floats
    """The codes that led to this grid: round(inverse * (weight - offset))."""


@dataclass
class Scales:
    """What a super-block stores beside its codes."""

    units: NDArray[np.float16]
    """[super-blocks, 2]: d and dmin."""
    scales: Bytes
    """[super-blocks, 8], below 64."""
    minimums: Bytes
    """[super-blocks, 8], below 64."""


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
