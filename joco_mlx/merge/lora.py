"""A base model plus its LoRA or DoRA adapter, merged tensor by tensor.

Decides what an adapter in mlx-lm's layout (`adapter_config.json`, `adapters.safetensors`) adds to which tensor, and
refuses one that does not fit the base. A merged weight is W' = W + scale * (a @ b)^T with a [in, rank] and b [rank, out]
(Hu et al. 2021, section 4.1; mlx-lm, `tuner/lora.py`); with DoRA's magnitudes m [out] each row of W' gets the length that
m says (Liu et al. 2024, section 4; mlx-lm, `tuner/dora.py`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from joco_mlx.errors import InputError
from joco_mlx.merge.adapter_config import CONFIG, LAYER, TRAIN, AdapterConfig, read_adapter_config
from joco_mlx.merge.affine import AffineGrid
from joco_mlx.merge.tensorfile import FLOATS, Entry, brief, read_header
from joco_mlx.merge.weights import Change, Weights, open_weights

TENSORS = "adapters.safetensors"
Rows = Callable[[], NDArray[np.float32]]
"""Gives rows of the base, float32 [rows, in]."""


@dataclass(frozen=True)
class LowRank:
    """What an adapter does to one matrix."""

    a: Entry
    """[in, rank]."""
    b: Entry
    """[rank, out]."""
    scale: float
    magnitudes: Entry | None = None
    """[out], DoRA's; None for LoRA."""

    def change(self, base: Rows, start: int = 0, stop: int | None = None) -> Change:
        """Return what is added to rows `start` to `stop`, in float32.

        Args:
            base: Gives those rows of the base; LoRA does not ask for them.
            start: First row.
            stop: Row after the last.

        Raises:
            InputError: The training diverged: a number of the adapter is not finite.
        """
        a, b = self._finite(self.a), self._finite(self.b)
        scaled: NDArray[np.float32] = b[:, start:stop] * np.float32(self.scale)
        added = Change(scaled.T, a.T)
        if self.magnitudes is None:
            return added
        rows = base()
        lengths = np.linalg.norm(rows + added.floats(), axis=1)
        wanted = self._finite(self.magnitudes)[start:stop]
        gains = np.divide(wanted, lengths, out=np.ones_like(wanted), where=lengths > 0)[:, None]
        return Change(gains * added.left, added.right, (gains - np.float32(1)) * rows)

    def _finite(self, entry: Entry) -> NDArray[np.float32]:
        found = entry.floats()
        if not np.isfinite(found).all():
            raise InputError(
                f"{self.a.file} holds numbers that are not finite: its training diverged.",
                "Train again with a lower rate: joco-mlx train --learning-rate 1e-4",
            )
        return found


class MergedWeights:
    """The `Weights` of a base with an adapter added."""

    def __init__(self, base: Weights, deltas: Mapping[str, LowRank]) -> None:
        self.base = base
        self.deltas = deltas

    def names(self) -> list[str]:
        """Every tensor of the base."""
        return self.base.names()

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor."""
        return self.base.shape(name)

    def read(self, name: str, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Return a merged tensor, or rows of it."""
        weight = self.base.read(name, start, stop)
        if name in self.deltas:
            weight += self.deltas[name].change(weight.copy, start, stop).floats()
        return weight

    def grid(self, name: str, start: int = 0, stop: int | None = None) -> AffineGrid | None:
        """Return the base's grids: an adapter moves the weights off them, but seldom far."""
        return self.base.grid(name, start, stop)

    def change(self, name: str, start: int = 0, stop: int | None = None) -> Change | None:
        """Return what the adapter adds to a tensor's rows."""
        if name not in self.deltas:
            return None
        return self.deltas[name].change(lambda: self.base.read(name, start, stop), start, stop)


def open_merged(base: Path, adapters: Path) -> MergedWeights:
    """Open a base model folder with the adapter in folder `adapters` added to it.

    Raises:
        InputError: One of them cannot be read, the adapter uses a feature that is not supported, or it was made for
            another base.
    """
    weights = open_weights(base)
    config = read_adapter_config(adapters / CONFIG)
    entries = read_header(adapters / TENSORS)
    shapes = {name: weights.shape(name) for name in weights.names()}
    deltas = {}
    for module in dict.fromkeys(_module(name, adapters, dora=config.dora) for name in entries):
        a, b = (_part(f"{module}.{kind}", 2, entries, adapters) for kind in ("lora_a", "lora_b"))
        _check_fit(module, a, b, config.rank, shapes)
        magnitudes = _part(f"{module}.m", 1, entries, adapters, b.shape[1:]) if config.dora else None
        deltas[f"{module}.weight"] = LowRank(a, b, config.scale, magnitudes)
    _check_complete(config, deltas, shapes, adapters)
    return MergedWeights(weights, deltas)


def _module(name: str, adapters: Path, *, dora: bool) -> str:
    module, _, kind = name.rpartition(".")
    if kind not in (("lora_a", "lora_b", "m") if dora else ("lora_a", "lora_b")):
        sort = "DoRA" if dora else "LoRA"
        raise InputError(f"{adapters / TENSORS} holds {brief(name)}, which is no part of a {sort} adapter.", TRAIN)
    return module


def _part(
    name: str, dimensions: int, entries: Mapping[str, Entry], adapters: Path, shape: tuple[int, ...] | None = None
) -> Entry:
    entry = entries.get(name)
    sound = entry is not None and entry.dtype in FLOATS and len(entry.shape) == dimensions
    if entry is None or not sound or shape not in (None, entry.shape):
        found = "missing" if entry is None else f"{entry.dtype} {list(entry.shape)}"
        wanted = f"a {'matrix' if dimensions == 2 else 'vector'} of floats{f' {list(shape)}' if shape else ''}"
        raise InputError(f"{name} in {adapters / TENSORS} is {found}, but must be {wanted}.", TRAIN)
    return entry


def _check_fit(module: str, a: Entry, b: Entry, rank: int, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """The adapter must have been made for a linear layer of the base's shape."""
    shape = shapes.get(f"{module}.weight")
    if shape is None:
        raise InputError(f"{a.file} adapts {brief(module)}, which the base model does not have.", TRAIN)
    if module.endswith("embed_tokens"):
        raise InputError(f"{a.file} adapts the embedding {module}, which cannot be merged.", TRAIN)
    if len(shape) != 2 or (a.shape, b.shape) != ((shape[1], rank), (rank, shape[0])):
        raise InputError(
            f"{module} in {a.file} has lora_a {list(a.shape)} and lora_b {list(b.shape)}, which does not fit the "
            f"base's weight {list(shape)} at rank {rank}: the adapter is for another base.",
            TRAIN,
        )


def _check_complete(
    config: AdapterConfig, deltas: Mapping[str, LowRank], shapes: Mapping[str, tuple[int, ...]], adapters: Path
) -> None:
    """Exactly the modules that the configuration promises must be there; mlx-lm refuses or ignores others."""
    if config.keys is None:
        return
    layers = 1 + max((int(found[1]) for found in map(LAYER.match, shapes) if found), default=-1)
    for name in shapes:
        module = name.removesuffix(".weight")
        promised = module != name and config.promises(module, layers)
        if promised != (name in deltas):
            found = "lacks" if promised else "has"
            raise InputError(f"{adapters / TENSORS} {found} {module}, against its {CONFIG}.", TRAIN)
