"""Read and write safetensors files piece by piece, believing nothing that their headers say.

Decides which headers are sound and turns stored bytes into float32. Reads into arrays of just the rows asked for and
holds no file open, so that a caller's memory is what it keeps. Leaves the meaning of names to its callers.

Format: 8 bytes little-endian header length, a JSON header, then the data without gaps
(https://github.com/huggingface/safetensors, "Format").
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from reprlib import Repr
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from joco_mlx.errors import InputError

LARGEST_HEADER_BYTES = 16 << 20
"""About 100,000 tensors; the format allows 100 MB, which as Python objects would be a gigabyte."""
LARGEST_RANK = 8
_ITEM_BYTES = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"), 1),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 2),
    **dict.fromkeys(("U32", "I32", "F32"), 4),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 8),
}
_STORED = {"BF16": "<u2", "F16": "<f2", "F32": "<f4", "U32": "<u4"}
FLOATS = ("BF16", "F16", "F32")
_SHORT = Repr()
_SHORT.maxstring = 120


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


def brief(value: object) -> str:
    """Return `value` as a message can quote it: a hostile name or list may be megabytes long."""
    return _SHORT.repr(value)


def unreadable(path: Path, problem: OSError) -> InputError:
    """Tell that the operating system refuses to read `path`."""
    return InputError(f"{path} cannot be read: {problem.strerror or problem}.", "Check the path and its permissions.")


def read_header(path: Path) -> dict[str, Entry]:
    """Return the tensors of a safetensors file by name.

    Raises:
        InputError: The file cannot be read, is cut short, or its header contradicts itself or the file.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or not 2 <= length <= min(size - 8, LARGEST_HEADER_BYTES):
                raise _damaged(path, f"{length} bytes of header in a file of {size} bytes")
            raw = file.read(length)
    except OSError as problem:
        raise unreadable(path, problem) from problem
    entries = {name: _entry(path, name, fields, 8 + length) for name, fields in _parse(path, raw).items()}
    _check_extents(path, entries, 8 + length, size)
    return entries


def _parse(path: Path, raw: bytes) -> dict[str, Any]:
    try:
        header = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as problem:
        raise _damaged(path, f"its header is no JSON ({problem})") from problem
    if not isinstance(header, dict):
        raise _damaged(path, "its header is no JSON object")
    header.pop("__metadata__", None)
    return header


def _entry(path: Path, name: str, fields: Any, data_begin: int) -> Entry:
    """Check what one header line says by itself; `_check_extents` checks it against its neighbours."""
    line = fields if isinstance(fields, dict) else {}
    dtype, shape, offsets = line.get("dtype"), line.get("shape"), line.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in _ITEM_BYTES:
        raise _damaged(path, f"the type of {brief(name)} is {brief(dtype)}")
    if not _are_sizes(shape) or len(shape) > LARGEST_RANK:
        raise _damaged(path, f"the shape of {brief(name)} is {brief(shape)}")
    if not _are_sizes(offsets) or len(offsets) != 2:
        raise _damaged(path, f"the offsets of {brief(name)} are {brief(offsets)}")
    entry = Entry(path, dtype, tuple(shape), data_begin + offsets[0])
    if offsets[1] - offsets[0] != entry.nbytes:
        raise _damaged(path, f"{brief(name)} needs {entry.nbytes} bytes and has {offsets[1] - offsets[0]}")
    return entry


def _are_sizes(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 1 << 48 for item in value)


def _check_extents(path: Path, entries: dict[str, Entry], data_begin: int, size: int) -> None:
    """Tensors must follow each other without gap or overlap and end where the file ends."""
    expected = data_begin
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].nbytes)):
        if entry.begin != expected:
            raise _damaged(path, f"{brief(name)} does not begin where the tensor before it ends")
        expected += entry.nbytes
    if size < expected:
        raise InputError(f"{path} is cut short: {size} of {expected} bytes are there.", "Download or make it again.")
    if size > expected:
        raise _damaged(path, f"{size - expected} bytes follow the last tensor")


def _damaged(path: Path, what: str) -> InputError:
    return InputError(f"{path} is no sound safetensors file: {what}.", "Download or make it again.")


def bfloat16_header(shapes: Mapping[str, tuple[int, ...]]) -> bytes:
    """Return all bytes of a safetensors file before its data, for bfloat16 tensors that follow in this order."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, shape in shapes.items():
        end = offset + math.prod(shape) * _ITEM_BYTES["BF16"]
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    raw = json.dumps(header, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % 8)
    return len(raw).to_bytes(8, "little") + raw


def to_bfloat16(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Return the bits of `values` in bfloat16, rounded to nearest, ties to even; NaN stays NaN."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = bits >> np.uint32(16)
    rounded &= np.uint32(1)
    rounded += np.uint32(0x7FFF)
    rounded += bits
    rounded >>= np.uint32(16)
    found = rounded.astype("<u2")
    found[np.isnan(values)] = 0x7FC0
    return found
