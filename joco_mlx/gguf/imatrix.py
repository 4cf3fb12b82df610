"""llama.cpp's importance matrix: for every matrix of a model, how large the numbers are that its columns meet.

Decides both file forms. The GGUF one holds `NAME.in_sum2` (sums of squares, [1, columns]) and `NAME.counts` for every
tensor NAME, and is told apart by `general.type = imatrix`. The older one is a run of records (length, name, count of
calls, count of values, float32 values), then the number of chunks and the name of the data (llama.cpp,
`tools/imatrix/imatrix.cpp`, `save_imatrix` and `save_imatrix_legacy`). Reads both, writes the GGUF one.
"""

import struct
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import GGUFWriter

from joco_mlx import artifacts
from joco_mlx.errors import InputError
from joco_mlx.gguf.container import MAGIC, GgufFile, open_gguf
from joco_mlx.gguf.rounding import Floats

_SUMS, _COUNTS = ".in_sum2", ".counts"
_LONGEST_NAME, _MOST_VALUES = 1_024, 1 << 24
_MAKE = "Make one: joco-mlx gguf imatrix RUN"


@dataclass(frozen=True)
class Imatrix:
    """An importance matrix."""

    means: Mapping[str, Floats]
    """GGUF name of a tensor -> float32 [columns]: mean square of what each column is multiplied by."""
    chunks: int
    """Texts that it was collected on."""
    path: Path
    """Where it was read from."""

    def check(self, columns: Mapping[str, int]) -> None:
        """Refuse a matrix of another model.

        Args:
            columns: GGUF name -> columns of each matrix of the model.

        Raises:
            InputError: It fits no tensor, or one of them has other columns.
        """
        known = {name: found for name, found in self.means.items() if name in columns}
        if not known:
            raise InputError(f"{self.path} knows no tensor of this model.", _MAKE)
        for name, found in known.items():
            if len(found) != columns[name]:
                raise InputError(
                    f"{self.path} has {len(found)} columns for {name}, which has {columns[name]} in this model.", _MAKE
                )


def read_imatrix(path: Path) -> Imatrix:
    """Read a file of either form.

    Raises:
        InputError: It is none, or holds numbers that no importance can have.
        VerificationError: It is a GGUF that is cut short or damaged.
    """
    try:
        with path.open("rb") as file:
            begin = file.read(len(MAGIC))
    except OSError as problem:
        raise InputError(f"{path} cannot be read: {problem.strerror}.", _MAKE) from problem
    found = _from_gguf(open_gguf(path)) if begin == MAGIC else _from_records(path)
    for name, means in found.means.items():
        if not (np.isfinite(means).all() and (means >= 0).all()):
            raise InputError(f"{path} holds importance below 0, or none at all, for {name!r}.", _MAKE)
    return found


def write_imatrix(path: Path, sums: Mapping[str, Floats], counts: Mapping[str, int], *, chunks: int, data: str) -> None:
    """Write the GGUF form, whole or not at all.

    Args:
        path: Where.
        sums: GGUF name -> float32 [columns]: sums of squares.
        counts: GGUF name -> how many tokens they are sums over.
        chunks: Number of texts.
        data: What they were.
    """
    with artifacts.whole_path(path) as temporary, closing(GGUFWriter(temporary, "")) as writer:
        writer.kv_data[0].clear()  # llama.cpp's own has no architecture
        writer.add_type("imatrix")
        writer.add_array("imatrix.datasets", [data])
        writer.add_uint32("imatrix.chunk_count", chunks)
        writer.add_uint32("imatrix.chunk_size", 1)
        for name, values in sums.items():
            writer.add_tensor(name + _SUMS, np.ascontiguousarray(values.reshape(1, -1), np.float32))
            writer.add_tensor(name + _COUNTS, np.full((1, 1), counts[name], np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()


def _from_gguf(file: GgufFile) -> Imatrix:
    if file.metadata.get("general.type") != "imatrix":
        raise InputError(f"{file.path} is a GGUF, but no importance matrix.", _MAKE)
    means = {}
    for name, tensor in file.tensors.items():
        if not name.endswith(_SUMS):
            continue
        counts = file.tensors.get(name.removesuffix(_SUMS) + _COUNTS)
        if counts is None or {tensor.kind, counts.kind} != {Type.F32} or counts.weights != 1:
            raise InputError(f"{file.path} has no count of its own for {name!r}, which is not supported.", _MAKE)
        sums, total = (file.read(part, 0, part.nbytes).view(np.float32) for part in (tensor, counts))
        # llama.cpp takes 1 for a tensor that met nothing.
        means[name.removesuffix(_SUMS)] = sums / total if total > 0 else np.ones_like(sums)
    chunks = file.metadata.get("imatrix.chunk_count", 0)
    return Imatrix(means, chunks if isinstance(chunks, int) else 0, file.path)


def _from_records(path: Path) -> Imatrix:
    raw, at = path.read_bytes(), 0

    def number(most: int) -> int:
        nonlocal at
        if at + 4 > len(raw):
            raise InputError(f"{path} is no importance matrix, or is cut short.", _MAKE)
        (found,) = struct.unpack_from("<i", raw, at)
        at += 4
        if not 0 <= found <= most:
            raise InputError(f"{path} is no importance matrix: it holds {found} where at most {most} can be.", _MAKE)
        return int(found)

    means = {}
    for _ in range(number(1 << 20)):
        length = number(_LONGEST_NAME)
        name, at = raw[at : at + length].decode("utf-8", "replace"), at + length
        calls, values = number(1 << 30), number(_MOST_VALUES)
        sums, at = raw[at : at + 4 * values], at + 4 * values
        if len(sums) != 4 * values:
            raise InputError(f"{path} is cut short inside {name!r}.", _MAKE)
        means[name] = np.frombuffer(sums, np.float32) / np.float32(max(calls, 1))
    return Imatrix(means, number(1 << 30) if at < len(raw) else 0, path)
