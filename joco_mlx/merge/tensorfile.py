"""Read safetensors files piece by piece, believing nothing that their headers say.

Decides which headers are sound and turns stored bytes into float32. Reads into arrays of just the rows asked for and
holds no file open, so that a caller's memory is what it keeps. Leaves the meaning of names to its callers.

Format: 8 bytes little-endian header length, a JSON header, then the data without gaps
(https://github.com/huggingface/safetensors, "Format").
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joco_mlx.errors import InputError

_ITEM_BYTES = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"), 1),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 2),
    **dict.fromkeys(("U32", "I32", "F32"), 4),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 8),
}
_STORED = {"BF16": "<u2", "F16": "<f2", "F32": "<f4", "U32": "<u4"}
FLOATS = ("BF16", "F16", "F32")


@dataclass(frozen=True)
class Entry:
    """Where one tensor lies in a file, already checked against the file's size."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    begin: int
    """Offset of the first byte from the start of the file."""

    @property
    def nbytes(self) -> int:
        """Length in the file."""
        return math.prod(self.shape) * _ITEM_BYTES[self.dtype]

    @property
    def row_items(self) -> int:
        """Elements in one row: everything but the first axis."""
        return math.prod(self.shape[1:])

    def rows(self, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Return rows `start` to `stop` as stored: bfloat16 as uint16, the others as what they are.

        Raises:
            InputError: The file became unreadable or shorter since its header was read.
        """
        first, last, _ = slice(start, stop).indices(self.shape[0] if self.shape else 1)
        count = max(last - first, 0) * self.row_items
        stored = np.dtype(_STORED[self.dtype])
        try:
            found = np.fromfile(self.file, stored, count, offset=self.begin + first * self.row_items * stored.itemsize)
        except OSError as problem:
            raise unreadable(self.file, problem) from problem
        if found.size != count:
            raise InputError(f"{self.file} became shorter while it was read.", "Run the command again.")
        return found.reshape((max(last - first, 0), *self.shape[1:]) if self.shape else ())

    def floats(self, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Return rows `start` to `stop` in float32; `dtype` must be one of FLOATS."""
        stored = self.rows(start, stop)
        if self.dtype == "BF16":
            widened = stored.astype(np.uint32)
            widened <<= np.uint32(16)
            return widened.view(np.float32)
        return stored.astype(np.float32, copy=False)


def unreadable(path: Path, problem: OSError) -> InputError:
    """Tell that the operating system refuses to read `path`."""
    return InputError(f"{path} cannot be read: {problem.strerror or problem}.", "Check the path and its permissions.")
