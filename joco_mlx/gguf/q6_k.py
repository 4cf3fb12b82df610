"""Q6_K: 256 weights in 210 bytes, weight = d * scale * (code - 32).

bytes 0..127    the low 4 bits of the codes: in each half of 128 weights, byte 64*half + i holds weights i and i + 64,
                byte 64*half + 32 + i weights i + 32 and i + 96
bytes 128..191  the high 2 bits: byte 128 + 32*half + i holds weights i, i + 32, i + 64, i + 96
bytes 192..207  sixteen signed 8-bit scales, one for 16 weights
bytes 208..209  d: float16
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from joco_mlx.gguf.rounding import Bytes

BLOCK_BYTES = 210


@dataclass
class Scales:
    """What a super-block stores beside its codes."""

    unit: NDArray[np.float16]
    """[super-blocks]: d."""
    scales: NDArray[np.int8]
    """[super-blocks, 16]."""


def pack(scales: Scales, codes: Bytes) -> Bytes:
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
