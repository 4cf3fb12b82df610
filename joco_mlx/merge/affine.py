"""MLX's affine quantisation back to float32: weight = scale * code + bias, group by group.

Decides how codes are unpacked and in which precision they are scaled. Codes are a little-endian stream of `bits` bits
along a row; scales and biases stand one per group of columns (mlx, `mlx/backend/cpu/quantized.cpp`). MLX's own
`dequantize` rounds to the type of the scales, bfloat16 in most models, which alone costs 0.4 to 0.65 % of the weights.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joco_mlx.merge.tensorfile import Entry

_CHUNK_ITEMS = 1 << 20
"""Elements decoded at a time, so that what is between codes and weights stays in the cache."""


@dataclass(frozen=True)
class AffineTensor:
    """One quantised matrix as it lies on disk."""

    codes: Entry
    """uint32 [rows, columns * bits / 32]."""
    scales: Entry
    """Float [rows, columns / group_size]."""
    biases: Entry
    """Float [rows, columns / group_size]: the weight of code 0."""
    bits: int
    group_size: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the weights."""
        return self.scales.shape[0], self.scales.shape[1] * self.group_size

    def floats(self, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Return rows `start` to `stop` in float32."""
        first, last, _ = slice(start, stop).indices(self.shape[0])
        columns = self.shape[1]
        weights = np.empty((max(last - first, 0), columns), np.float32)
        step = max(1, _CHUNK_ITEMS // columns)
        for row in range(first, last, step):
            end = min(row + step, last)
            grouped = weights[row - first : end - first].reshape(end - row, -1, self.group_size)
            codes = unpack(self.codes.rows(row, end), self.bits)
            np.multiply(codes.reshape(grouped.shape), self.scales.floats(row, end)[..., None], out=grouped)
            grouped += self.biases.floats(row, end)[..., None]
        return weights


def unpack(words: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    """Return the codes in `words` (little-endian uint32 [rows, n]) as uint8 [rows, n * 32 / bits]."""
    stream = np.ascontiguousarray(words).view(np.uint8)
    if bits == 8:
        return stream
    if 8 % bits == 0:
        shifts = range(0, 8, bits)
        codes = np.empty((*stream.shape, len(shifts)), np.uint8)
        for place, shift in enumerate(shifts):
            np.right_shift(stream, shift, out=codes[..., place])
    else:
        codes = _unpack_across_bytes(stream, bits)
    codes &= np.uint8((1 << bits) - 1)
    return codes.reshape(len(words), -1)


def _unpack_across_bytes(stream: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Codes of 3, 5 and 6 bits straddle bytes, but eight of them always fill `bits` bytes."""
    eights = stream.reshape(len(stream), -1, bits)
    packed = np.zeros(eights.shape[:2], np.uint64)
    for place in range(bits):
        packed |= eights[..., place].astype(np.uint64) << np.uint64(8 * place)
    codes = np.empty((*packed.shape, 8), np.uint8)
    for place in range(8):
        codes[..., place] = packed >> np.uint64(bits * place)
    return codes
