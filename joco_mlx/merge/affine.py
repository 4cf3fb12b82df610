"""MLX's affine quantisation back to float32: weight = scale * code + bias, group by group.

Decides how codes are unpacked and in which precision they are scaled. Codes are a little-endian stream of `bits` bits
along a row; scales and biases stand one per group of columns (mlx, `mlx/backend/cpu/quantized.cpp`). MLX's own
`dequantize` rounds to the type of the scales, bfloat16 in most models, which alone costs 0.4 to 0.65 % of the weights.
"""

from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from joco_mlx.errors import InputError
from joco_mlx.merge.tensorfile import FLOATS, Entry

BITS = (2, 3, 4, 5, 6, 8)
GROUP_SIZES = (32, 64, 128)
_CHUNK_ITEMS = 1 << 20
"""Elements decoded at a time, so that what is between codes and weights stays in the cache."""


@dataclass(frozen=True)
class AffineGrid:
    """The grids of some rows of a quantised matrix, whatever was added to its weights since."""

    scales: NDArray[np.float32]
    """[rows, columns / group_size]; some are negative."""
    biases: NDArray[np.float32]
    """[rows, columns / group_size]: the weight of code 0."""
    bits: int
    group_size: int

    def rows(self, order: Any) -> "AffineGrid":
        """Return the rows that the index `order` names."""
        return AffineGrid(self.scales[order], self.biases[order], self.bits, self.group_size)


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

    def grid(self, start: int = 0, stop: int | None = None) -> AffineGrid:
        """Return scales and biases of rows `start` to `stop`."""
        return AffineGrid(self.scales.floats(start, stop), self.biases.floats(start, stop), self.bits, self.group_size)


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


def affine_tensor(name: str, parts: tuple[Entry, Entry, Entry | None], settings: Any) -> AffineTensor:
    """Put codes, scales and biases together.

    Args:
        name: The weight's name, for messages.
        parts: Codes, scales and biases; other modes than affine have none.
        settings: Its line of `quantization` in config.json: `bits`, `group_size`, `mode`.

    Raises:
        InputError: The settings are not affine, are unknown to MLX, or do not fit the shapes.
    """
    codes, scales, biases = parts
    bits, group_size = _checked_settings(name, settings)
    if biases is None:
        raise InputError(f"{name} in {codes.file} has scales but no biases.", "Download the model again.")
    fits = (
        codes.dtype == "U32"
        and scales.dtype in FLOATS
        and biases.dtype in FLOATS
        and len(codes.shape) == len(scales.shape) == 2
        and scales.shape == biases.shape
        and scales.shape[1] > 0
        and codes.shape == (scales.shape[0], scales.shape[1] * group_size * bits // 32)
    )
    if not fits:
        raise InputError(
            f"{name} with codes {codes.dtype} {list(codes.shape)}, scales {scales.dtype} {list(scales.shape)} and "
            f"biases {biases.dtype} {list(biases.shape)} is not quantised to {bits} bits in groups of {group_size}.",
            f"Check quantization in {codes.file.parent / 'config.json'}, or download the model again.",
        )
    return AffineTensor(codes, scales, biases, bits, group_size)


def _checked_settings(name: str, settings: Any) -> tuple[int, int]:
    table = settings if isinstance(settings, dict) else {}
    mode, bits, group_size = table.get("mode", "affine"), table.get("bits"), table.get("group_size")
    if mode != "affine" or not _is_one_of(bits, BITS) or not _is_one_of(group_size, GROUP_SIZES):
        raise InputError(
            f"{name} is quantised in mode {mode!r} with {bits!r} bits in groups of {group_size!r}, which is not known.",
            f"Use a model in mode affine with {_or(BITS)} bits in groups of {_or(GROUP_SIZES)}, or a 16-bit one.",
        )
    return bits, group_size


def _is_one_of(value: Any, choices: tuple[int, ...]) -> TypeGuard[int]:
    """`in` alone would let 4.0 through."""
    return type(value) is int and value in choices


def _or(numbers: tuple[int, ...]) -> str:
    return f"{', '.join(map(str, numbers[:-1]))} or {numbers[-1]}"
