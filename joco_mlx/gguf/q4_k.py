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

from joco_mlx.gguf.rounding import Bytes

BLOCK_BYTES = 144


@dataclass
class Scales:
    """What a super-block stores beside its codes."""

    units: NDArray[np.float16]
    """[super-blocks, 2]: d and dmin."""
    scales: Bytes
    """[super-blocks, 8], below 64."""
    minimums: Bytes
    """[super-blocks, 8], below 64."""


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
