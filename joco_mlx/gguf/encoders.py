"""Float32 weights to the bytes of a GGUF type: one encoder a type, pure arrays in and out.

Decides which code encodes which type in ggml's way; `requantize` has another. The K-quants are ours, the simple types are the `gguf` package's (byte-equal to
ggml). Weights pass as a flat run of whole blocks: in every type here a block knows nothing of rows or neighbours.
"""

from collections.abc import Callable

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import quants

from joco_mlx.gguf.q4_k import encode_q4_k
from joco_mlx.gguf.q5_k import encode_q5_k
from joco_mlx.gguf.q6_k import encode_q6_k
from joco_mlx.gguf.rounding import Bytes, Floats

Encoder = Callable[[Floats], Bytes]
"""float32 [weights] -> uint8 [bytes]."""

SUPER_BLOCK = 256
CHUNK_WEIGHTS = 1_024 * SUPER_BLOCK
"""What one call should get: smaller arrays lose their time to the interpreter lock when two threads encode."""

LARGEST_WEIGHT = 65_504.0
"""The largest float16. The scales of the block types reach further, but no trained weight does."""


def encoder(kind: Type) -> Encoder:
    """Return the function that encodes weights as `kind`, to the bytes of ggml's own."""
    return _ENCODERS[kind]


def decode(kind: Type, encoded: Bytes) -> Floats:
    """Return the weights that bytes of whole blocks stand for, by the `gguf` package's decoder.

    Args:
        kind: Their type.
        encoded: uint8 [bytes].
    """
    with np.errstate(all="ignore"):  # a damaged file may hold scales that are no numbers
        decoded: Floats = quants.dequantize(encoded.reshape(1, -1), kind).reshape(-1)
    return decoded


def fits(kind: Type, weights: Floats) -> bool:
    """Whether every weight is a finite number, and not too large for `kind`."""
    limit = np.finfo(np.float32).max if kind is Type.F32 else LARGEST_WEIGHT
    return bool(-limit <= weights.min() and weights.max() <= limit)  # NaN passes through both, and compares false


def _k_quant(encode: Encoder) -> Encoder:
    return lambda weights: encode(weights.reshape(-1, SUPER_BLOCK)).reshape(-1)


def _simple(kind: Type) -> Encoder:
    def encode(weights: Floats) -> Bytes:
        with np.errstate(all="ignore"):
            encoded = quants.quantize(weights.reshape(1, -1), kind)  # as one row: the package works row by row
        flat: Bytes = encoded.reshape(-1).view(np.uint8)
        return flat

    return encode


_ENCODERS: dict[Type, Encoder] = {
    Type.Q4_K: _k_quant(encode_q4_k),
    Type.Q5_K: _k_quant(encode_q5_k),
    Type.Q6_K: _k_quant(encode_q6_k),
    **{kind: _simple(kind) for kind in (Type.F32, Type.F16, Type.Q5_0, Type.Q5_1, Type.Q8_0)},
}
