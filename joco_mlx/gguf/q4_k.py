"""Q4_K: 256 weights in 144 bytes, weight = d * scale * code - dmin * minimum.

bytes 0..15    units, scales and minimums, as in `grids`
bytes 16..143  codes of 4 bits: byte 16 + 32*j + i holds weight 64*j + i, and weight 64*j + 32 + i above it

Search: `quantize_row_q4_K_ref` (ggml-quants.c), by `grids`.
"""

import numpy as np

from joco_mlx.gguf.grids import HEADER_BYTES, Scales, fit, header, nibbles, reaches
from joco_mlx.gguf.rounding import Bytes, Floats

BLOCK_BYTES = 144
HIGHEST_CODE = 15
_TRIED = reaches(-1, 20, HIGHEST_CODE)


def encode_q4_k(values: Floats) -> Bytes:
    """Encode super-blocks to the bytes of ggml's reference.

    Args:
        values: float32 [super-blocks, 256].

    Returns:
        uint8 [super-blocks, 144].
    """
    return pack_q4_k(*fit(values, HIGHEST_CODE, _TRIED))


def pack_q4_k(scales: Scales, codes: Bytes) -> Bytes:
    """Lay out super-blocks; `codes` is uint8 [32, sub-blocks]."""
    blocks = np.empty((len(scales.units), BLOCK_BYTES), np.uint8)
    blocks[:, :HEADER_BYTES] = header(scales)
    blocks[:, HEADER_BYTES:].reshape(-1, 4, 32)[...] = nibbles(codes)
    return blocks
