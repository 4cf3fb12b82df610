"""What `adapter_config.json` of an adapter in mlx-lm's layout says, checked."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joco_mlx.errors import InputError
from joco_mlx.merge.tensorfile import brief
from joco_mlx.merge.weights import read_object

CONFIG = "adapter_config.json"
TRAIN = "Train one for this base: joco-mlx train"
LAYER = re.compile(r"model\.layers\.([0-9]{1,6})\.(.+)")
_LARGEST_SCALE = 1e6


@dataclass(frozen=True)
class AdapterConfig:
    """How an adapter was laid over its base."""

    rank: int
    scale: float
    """What the low-rank product is multiplied by: alpha / rank."""
    layers: int
    """Adapted layers, counted from the top; all when not positive."""
    keys: frozenset[str] | None
    """Adapted modules, named from inside a layer or from the root; None restricts nothing."""
    dora: bool = False
    """Whether each row of an adapted matrix has a magnitude of its own."""

    def promises(self, module: str, layers: int) -> bool:
        """Whether `module` of a model with `layers` layers gets an adapter (mlx-lm, `linear_to_lora_layers`)."""
        keys = self.keys or frozenset()
        found = LAYER.fullmatch(module)
        bottom = layers - self.layers if self.layers > 0 else 0
        return module in keys or (found is not None and int(found[1]) >= bottom and found[2] in keys)


def read_adapter_config(path: Path) -> AdapterConfig:
    """Read and check the configuration of a LoRA or DoRA adapter.

    Raises:
        InputError: It cannot be read, is of another type, or a value is not usable.
    """
    config = read_object(path)
    kind = config.get("fine_tune_type", "lora")
    if kind not in ("lora", "dora"):
        raise InputError(f"{path} is an adapter of type {brief(kind)}, but only lora and dora can be merged.", TRAIN)
    table = config.get("lora_parameters")
    parameters: dict[str, Any] = table if isinstance(table, dict) else {}
    rank: Any = parameters.get("rank")
    scale: Any = parameters.get("scale")
    keys: Any = parameters.get("keys")
    layers: Any = config.get("num_layers", -1)
    for name, value, sound in (
        ("rank", rank, type(rank) is int and rank > 0),
        ("scale", scale, type(scale) in (int, float) and abs(scale) < _LARGEST_SCALE),
        ("num_layers", layers, type(layers) is int),
        ("keys", keys, keys is None or (isinstance(keys, list) and all(isinstance(key, str) for key in keys))),
    ):
        if not sound:
            raise InputError(f"{path} has {name} {brief(value)}, which cannot be.", TRAIN)
    return AdapterConfig(rank, float(scale), layers, None if keys is None else frozenset(keys), dora=kind == "dora")
