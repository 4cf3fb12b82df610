"""Adapter tensors from one safetensors file to another, each number as it is stored.

Decides nothing about names. bfloat16 stays bfloat16 bit for bit, which neither NumPy nor `safetensors.numpy` knows, and
torch is not needed. Leaves reading headers to `merge.tensorfile`.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from joco_mlx.errors import InputError
from joco_mlx.merge.tensorfile import FLOATS, Entry, brief

_ITEM_BYTES = {"BF16": 2, "F16": 2, "F32": 4}


@dataclass(frozen=True)
class Piece:
    """One tensor to write: another file's, turned on its side where it is a matrix."""

    entry: Entry
    """One or two axes of floats."""

    @property
    def shape(self) -> tuple[int, ...]:
        """As it is written."""
        return self.entry.shape[::-1]

    def data(self) -> bytes:
        """Return its bytes, rows first."""
        return self.entry.rows().T.tobytes("C")


def turned(name: str, entry: Entry, axes: int) -> Piece:
    """Return a tensor turned on its side.

    Raises:
        InputError: It has other axes, or is no float of 16 or 32 bits.
    """
    if entry.dtype not in FLOATS or len(entry.shape) != axes:
        raise InputError(
            f"{brief(name)} in {entry.file} is {entry.dtype} {list(entry.shape)}, not {axes} axes of floats.",
            f"Save the adapter again in {', '.join(FLOATS)}.",
        )
    return Piece(entry)


def write_pieces(file: IO[bytes], pieces: Mapping[str, Piece], metadata: Mapping[str, str]) -> None:
    """Write tensors as safetensors, in the order of their names."""
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    offset = 0
    for name, piece in sorted(pieces.items()):
        end = offset + math.prod(piece.shape) * _ITEM_BYTES[piece.entry.dtype]
        header[name] = {"dtype": piece.entry.dtype, "shape": list(piece.shape), "data_offsets": [offset, end]}
        offset = end
    raw = json.dumps(header, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % 8)
    file.write(len(raw).to_bytes(8, "little") + raw)
    for _, piece in sorted(pieces.items()):
        file.write(piece.data())


def read_metadata(path: Path) -> dict[str, str]:
    """Return the text entries that a safetensors file carries; empty when there are none.

    The file's header must have been read by `merge.tensorfile.read_header`, which refuses a damaged one.
    """
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    found = header.get("__metadata__")
    if not isinstance(found, dict):
        return {}
    return {name: value for name, value in found.items() if isinstance(value, str)}
