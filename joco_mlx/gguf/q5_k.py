"""Q5_K: 256 weights in 176 bytes, weight = d * scale * code - dmin * minimum.

bytes 0..15    units, scales and minimums, as in `grids`
bytes 16..47   the fifth bits: bit s of byte 16 + i belongs to weight 32*s + i
bytes 48..175  the low 4 bits: byte 48 + 32*j + i holds weight 64*j + i, and weight 64*j + 32 + i above it

Search: `quantize_row_q5_K_ref` (ggml-quants.c), by `grids`.
"""

import numpy as np

from joco_mlx.gguf.grids import HEADER_BYTES, Scales, fit, header, nibbles, reaches
from joco_mlx.gguf.rounding import Bytes, Floats

BLOCK_BYTES = 176
HIGHEST_CODE = 31
_LOW_BITS = 48
_TRIED = reaches(-0.5, 15, HIGHEST_CODE)


def encode_q5_k(values: Floats) -> Bytes:
    """Encode super-blocks to the bytes of ggml's reference.

    Args:
        values: float32 [super-blocks, 256].

    Returns:
        uint8 [super-blocks, 176].
    """
    return pack_q5_k(*fit(values, HIGHEST_CODE, _TRIED))


def pack_q5_k(scales: Scales, codes: Bytes) -> Bytes:
    """Lay out super-blocks; `codes` is uint8 [32, sub-blocks]."""
    count = len(scales.units)
    blocks = np.empty((count, BLOCK_BYTES), np.uint8)
    blocks[:, :HEADER_BYTES] = header(scales)
    fifth = (codes >> 4).reshape(32, count, 8)
    blocks[:, HEADER_BYTES:_LOW_BITS] = np.packbits(fifth, axis=2, bitorder="little")[..., 0].T
    blocks[:, _LOW_BITS:].reshape(count, 4, 32)[...] = nibbles(codes)
    return blocks
