"""The weights of a model folder under their Hugging Face names, one float32 tensor at a time.

Decides which files and tensors of a folder belong to the model, dense or quantised by MLX. It follows what mlx-lm
loads (`model*.safetensors`, no precomputed rotary tables, no head beside tied embeddings), because that is the model
that was trained.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from joco_mlx.errors import InputError
from joco_mlx.merge.affine import AffineGrid, AffineTensor, affine_tensor
from joco_mlx.merge.tensorfile import FLOATS, Entry, brief, read_header, unreadable

ANOTHER_MODEL = "Download the model again, or give another --model."
_SINGLE_THREADED = 1 << 18
"""Multiplications up to which OpenBLAS keeps to one thread. Its own threads spin while they wait, and merging already
runs on all cores: larger products took 2.3 times the CPU time of a whole export."""
_ROTARY_TABLE = "rotary_emb.inv_freq"


class Stored(Protocol):
    """A tensor on disk, whatever its type."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows first."""

    def floats(self, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Return rows `start` to `stop` in float32."""


@dataclass(frozen=True)
class Change:
    """What training added to rows of a matrix: left @ right, and for DoRA the rows' growth."""

    left: NDArray[np.float32]
    """[rows, rank]."""
    right: NDArray[np.float32]
    """[rank, columns]."""
    growth: NDArray[np.float32] | None = None
    """[rows, columns]: the base's own rows by how much longer training made them; None for LoRA."""

    def floats(self) -> NDArray[np.float32]:
        """Return it as float32 [rows, columns]."""
        product = self._product()
        return product if self.growth is None else product + self.growth

    def _product(self) -> NDArray[np.float32]:
        rank, columns = self.right.shape
        found = np.empty((len(self.left), columns), np.float32)
        step = max(1, _SINGLE_THREADED // max(1, rank * columns))
        for start in range(0, len(found), step):
            np.matmul(self.left[start : start + step], self.right, out=found[start : start + step])
        return found

    def rows(self, order: Any) -> "Change":
        """Return the rows that the index `order` names."""
        return Change(self.left[order], self.right, None if self.growth is None else self.growth[order])


class Weights(Protocol):
    """A model's tensors under their Hugging Face names (`model.layers.0.mlp.up_proj.weight`)."""

    def names(self) -> list[str]:
        """Every tensor, in an order that depends on the names alone. Tied embeddings have no `lm_head`."""

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, output features first."""

    def read(self, name: str, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Return a tensor, or rows `start` to `stop` of it, as a new float32 array that nobody else keeps."""

    def grid(self, name: str, start: int = 0, stop: int | None = None) -> AffineGrid | None:
        """Return the grids that MLX quantised these rows of the base to; None for a tensor that is not quantised."""

    def change(self, name: str, start: int = 0, stop: int | None = None) -> Change | None:
        """Return what training added to these rows; None for a tensor that it left alone."""


class FolderWeights:
    """The `Weights` of a folder."""

    def __init__(self, tensors: Mapping[str, Stored]) -> None:
        self.tensors = tensors

    def names(self) -> list[str]:
        """Every tensor, layers in their numeric order."""
        return sorted(self.tensors, key=lambda name: re.sub(r"\d+", lambda number: number[0].zfill(6), name))

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor."""
        return self.tensors[name].shape

    def read(self, name: str, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Return a tensor, or rows of it."""
        return self.tensors[name].floats(start, stop)

    def grid(self, name: str, start: int = 0, stop: int | None = None) -> AffineGrid | None:
        """Return the grids of a quantised tensor's rows."""
        stored = self.tensors[name]
        return stored.grid(start, stop) if isinstance(stored, AffineTensor) else None

    def change(self, name: str, start: int = 0, stop: int | None = None) -> Change | None:
        """Return None: a folder does not say what training added."""


def open_weights(folder: Path) -> FolderWeights:
    """Open the weights of a model folder in Hugging Face or MLX form.

    Raises:
        InputError: A file is missing or damaged, or a tensor is stored in a way that is not known.
    """
    config = read_object(folder / "config.json")
    entries = _entries(folder)
    settings = _quantization(folder, config)
    tied = config.get("tie_word_embeddings", True)
    tensors: dict[str, Stored] = {}
    for name, entry in entries.items():
        module, _, kind = name.rpartition(".")
        if kind in ("scales", "biases") or name.endswith(_ROTARY_TABLE) or (tied and module == "lm_head"):
            continue
        if f"{module}.scales" in entries and kind == "weight":
            tensors[name] = _quantised(name, module, entries, settings)
        else:
            tensors[name] = _dense(name, entry)
        if 0 in tensors[name].shape:
            raise InputError(f"{brief(name)} in {entry.file} is empty.", ANOTHER_MODEL)
    return FolderWeights(tensors)


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in `path`, or raise InputError."""
    try:
        found = json.loads(path.read_bytes())
    except OSError as problem:
        raise unreadable(path, problem) from problem
    except (ValueError, RecursionError) as problem:
        raise InputError(f"{path} is no JSON: {problem}.", ANOTHER_MODEL) from problem
    if not isinstance(found, dict):
        raise InputError(f"{path} holds no JSON object.", ANOTHER_MODEL)
    return found


def _entries(folder: Path) -> dict[str, Entry]:
    """Return what all shards of a folder hold together."""
    files = sorted(folder.glob("model*.safetensors"))
    _check_index(folder, {file.name for file in files})
    if not files:
        raise InputError(f"{folder} holds no weights: there is no model*.safetensors.", ANOTHER_MODEL)
    entries: dict[str, Entry] = {}
    for file in files:
        for name, entry in read_header(file).items():
            if name in entries:
                raise InputError(f"{name} is in both {entries[name].file} and {file}.", ANOTHER_MODEL)
            entries[name] = entry
    return entries


def _check_index(folder: Path, present: set[str]) -> None:
    """Name the shard that a half-finished download lacks."""
    path = folder / "model.safetensors.index.json"
    if not path.is_file():
        return
    listed = read_object(path).get("weight_map")
    if not isinstance(listed, dict):
        raise InputError(f"{path} has no weight_map.", ANOTHER_MODEL)
    for file in listed.values():
        if not isinstance(file, str) or file not in present:
            raise InputError(f"{folder} lacks {brief(file)}, which its index lists.", ANOTHER_MODEL)


def _quantization(folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return MLX's quantisation settings; empty for a dense folder."""
    legacy = config.get("quantization_config")
    method = legacy.get("quant_method") if isinstance(legacy, dict) else None
    if "quantization" not in config and method is not None:
        raise InputError(
            f"{folder} is quantised by {method!r}, which is not known.",
            "Give a model quantised by MLX, or a 16-bit one.",
        )
    settings = config.get("quantization", legacy)
    return settings if isinstance(settings, dict) else {}


def _quantised(name: str, module: str, entries: Mapping[str, Entry], settings: Mapping[str, Any]) -> Stored:
    own = settings.get(module)
    parts = (entries[name], entries[f"{module}.scales"], entries.get(f"{module}.biases"))
    return affine_tensor(name, parts, own if isinstance(own, dict) else settings)


def _dense(name: str, entry: Entry) -> Entry:
    if entry.dtype not in FLOATS:
        raise InputError(
            f"{name} in {entry.file} is stored as {entry.dtype}, which is not known.",
            f"Give a model in {', '.join(FLOATS)}, or one quantised by MLX.",
        )
    return entry
