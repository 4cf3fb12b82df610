"""The GGUF container, read from scratch: header, metadata and where each tensor lies.

Decides what a whole file is: every length is held against the file's size before it is believed, so that a file which
was cut short or damaged is told apart from a good one. It is written by the `gguf` package and read here by other code,
so that a mistake of one does not hide in the other. Format: `docs/gguf.md` of ggml; little-endian, version 3.
"""

import math
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType as Type

from joco_mlx.errors import InputError, VerificationError
from joco_mlx.gguf.recipe import stored_bytes
from joco_mlx.gguf.rounding import Bytes

Value = bool | int | float | str | list[int] | list[float] | list[bool] | list[str]
Metadata = dict[str, Value]

MAGIC = b"GGUF"
VERSION = 3
ALIGNMENT = 32
_STRING, _ARRAY = 8, 9
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_LARGEST_RANK = 4
_LEAST_BYTES = 24
_KINDS = {int(kind) for kind in Type}
_AGAIN = "Make it again: joco-mlx fuse --export-gguf"


@dataclass(frozen=True)
class StoredTensor:
    """One tensor of a file."""

    name: str
    kind: Type
    shape: tuple[int, ...]
    """Rows first, as in PyTorch; the file has it the other way round."""
    begin: int
    """Offset of its first byte in the file."""
    nbytes: int

    @property
    def weights(self) -> int:
        """Number of weights."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class GgufFile:
    """What a whole GGUF holds."""

    path: Path
    metadata: Metadata
    tensors: dict[str, StoredTensor]
    """In the order of the file."""
    nbytes: int

    def read(self, tensor: StoredTensor, first: int, count: int) -> Bytes:
        """Return `count` bytes of a tensor from its byte `first` on."""
        return np.fromfile(self.path, np.uint8, count, offset=tensor.begin + first)


def padded(nbytes: int) -> int:
    """Return `nbytes` rounded up to where the next tensor may begin."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def open_gguf(path: Path) -> GgufFile:
    """Read a GGUF's header.

    Raises:
        InputError: There is no such file, or it is no GGUF of version 3.
        VerificationError: It is cut short or damaged.
    """
    if not path.is_file():
        raise InputError(f"There is no GGUF file at {path}.", "Make one: joco-mlx fuse --export-gguf")
    size = path.stat().st_size
    if size < _LEAST_BYTES:
        raise InputError(f"{path} is no GGUF: it has only {size} bytes.", _AGAIN)
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as data:
            return _Parser(path, data, size).parse()
    except OSError as problem:
        raise InputError(f"{path} cannot be read: {problem.strerror}.", "Check its permissions.") from problem
    except UnicodeDecodeError as problem:
        raise VerificationError(f"{path} is damaged: a text in it is no UTF-8.", _AGAIN) from problem


class _Parser:
    """A cursor over the header that never leaves the file."""

    def __init__(self, path: Path, data: mmap.mmap, size: int) -> None:
        self.path, self.data, self.size, self.at = path, data, size, 0

    def parse(self) -> GgufFile:
        if self.data[:4] != MAGIC:
            raise InputError(f"{self.path} is no GGUF: it begins with {bytes(self.data[:4])!r}.", _AGAIN)
        self.at = 4
        version, tensors, values = self.scalar("I"), self.scalar("Q"), self.scalar("Q")
        if version != VERSION:
            raise InputError(f"{self.path} is a GGUF of version {version}, but {VERSION} is read here.", _AGAIN)
        metadata: Metadata = {}
        for _ in range(self.counted(values, 12, "values")):
            key = self.string()
            metadata[key] = self.value(self.scalar("I"))
        infos = [self.tensor_info() for _ in range(self.counted(tensors, 24, "tensors"))]
        begin = padded(self.at)
        stored = {info[0]: self.placed(info, begin) for info in infos}
        if len(stored) != len(infos):
            raise VerificationError(f"{self.path} is damaged: it holds a tensor twice.", _AGAIN)
        return GgufFile(self.path, metadata, stored, self.size)

    def take(self, nbytes: int) -> int:
        """Return the present offset and step over `nbytes`."""
        begin = self.at
        if nbytes > self.size - begin:
            raise VerificationError(f"{self.path} is cut short inside its header.", _AGAIN)
        self.at += nbytes
        return begin

    def counted(self, count: int, least: int, what: str) -> int:
        """Believe a count only if that many things of `least` bytes fit into the rest of the file."""
        if count * least > self.size - self.at:
            raise VerificationError(f"{self.path} is damaged or cut short: it announces {count} {what}.", _AGAIN)
        return count

    def scalar(self, code: str) -> Any:
        return struct.unpack_from(f"<{code}", self.data, self.take(struct.calcsize(f"<{code}")))[0]

    def string(self) -> str:
        length = self.scalar("Q")
        begin = self.take(length)
        return self.data[begin : begin + length].decode("utf-8")

    def value(self, kind: int) -> Value:
        if kind == _STRING:
            return self.string()
        if kind != _ARRAY:
            value: Value = self.scalar(self.code(kind))
            return value
        inner, count = self.scalar("I"), self.scalar("Q")
        if inner == _STRING:
            return [self.string() for _ in range(self.counted(count, 8, "strings"))]
        layout = f"<{self.counted(count, 1, 'numbers')}{self.code(inner)}"
        return list(struct.unpack_from(layout, self.data, self.take(struct.calcsize(layout))))

    def code(self, kind: int) -> str:
        if kind not in _SCALARS:
            raise VerificationError(f"{self.path} is damaged: it holds a value of unknown type {kind}.", _AGAIN)
        return _SCALARS[kind]

    def tensor_info(self) -> tuple[str, int, tuple[int, ...], int]:
        """Name, number of the type, shape with rows first, offset from the first tensor."""
        name, rank = self.string(), self.scalar("I")
        if rank > _LARGEST_RANK:
            raise VerificationError(f"{self.path} is damaged: {name!r} has {rank} dimensions.", _AGAIN)
        shape = tuple(self.scalar("Q") for _ in range(rank))
        return name, self.scalar("I"), shape[::-1], self.scalar("Q")

    def placed(self, info: tuple[str, int, tuple[int, ...], int], begin: int) -> StoredTensor:
        """Put a tensor where it lies, and hold its end against the file's."""
        name, number, shape, offset = info
        if number not in _KINDS:
            raise VerificationError(f"{self.path} is damaged: {name!r} has the unknown type {number}.", _AGAIN)
        kind = Type(number)
        tensor = StoredTensor(name, kind, shape, begin + offset, stored_bytes(kind, shape))
        end = tensor.begin + tensor.nbytes
        if end > self.size:
            raise VerificationError(
                f"{self.path} is cut short: {name!r} ends at byte {end}, the file at {self.size}.", _AGAIN
            )
        return tensor
