"""What `adapter_config.json` of a PEFT adapter says, checked.

Decides which of PEFT's features an adapter for MLX can have: LoRA, rsLoRA and DoRA with one rank and one scale on linear
layers. Everything else is refused by its name, also what a later PEFT adds: a feature that is ignored gives a model that
nobody trained. The fields are those of PEFT 0.21 (`peft/tuners/lora/config.py`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joco_mlx.errors import InputError
from joco_mlx.merge.tensorfile import brief
from joco_mlx.merge.weights import read_object

CONFIG = "adapter_config.json"
_MERGE_FIRST = "Train without it, or merge it with PEFT's merge_and_unload and use the merged model."
_READ = frozenset(
    ("peft_type", "task_type", "base_model_name_or_path", "r", "lora_alpha", "lora_dropout", "bias", "use_rslora",
     "use_dora", "init_lora_weights")
)  # fmt: skip
# What says how training began or where the adapter lies; where it lies, the names of its tensors say too.
_HARMLESS = frozenset(
    ("auto_mapping", "peft_version", "revision", "inference_mode", "target_modules", "exclude_modules",
     "layers_to_transform", "layers_pattern", "megatron_core", "runtime_config", "qalora_group_size", "eva_config")
)  # fmt: skip
_INITIALISATIONS = (True, False, "gaussian", "eva", "orthogonal")
"""Those that leave the base's weights alone; PiSSA, OLoRA, CorDA and LoftQ train on a changed base."""


@dataclass(frozen=True)
class PeftConfig:
    """How a PEFT adapter was laid over its base."""

    base: str | None
    """Folder or Hub name."""
    rank: int
    alpha: float
    dropout: float
    rslora: bool
    dora: bool
    chooses_layers: bool
    """Whether it names the layers that it adapts; without, they are all of the model's."""

    @property
    def scale(self) -> float:
        """What the low-rank product is multiplied by."""
        return self.alpha / (math.sqrt(self.rank) if self.rslora else self.rank)


def read_peft_config(path: Path) -> PeftConfig:
    """Read and check the configuration of a PEFT adapter.

    Raises:
        InputError: It cannot be read, is of another kind than LoRA, or uses a feature that MLX's adapters do not have.
    """
    config = read_object(path)
    if config.get("peft_type") != "LORA":
        raise InputError(f"{path} is of type {brief(config.get('peft_type'))}, but only LORA is known.", _MERGE_FIRST)
    refused = sorted(_unsupported(config))
    if refused:
        raise InputError(f"{path} uses {', '.join(refused)}, which an adapter for MLX cannot have.", _MERGE_FIRST)
    base = config.get("base_model_name_or_path")
    rank: Any = config.get("r")
    alpha: Any = config.get("lora_alpha")
    dropout: Any = config.get("lora_dropout", 0.0)
    for name, value, sound in (
        ("r", rank, type(rank) is int and rank > 0),
        ("lora_alpha", alpha, type(alpha) in (int, float) and math.isfinite(alpha)),
        ("lora_dropout", dropout, type(dropout) in (int, float) and 0 <= dropout < 1),
        ("base_model_name_or_path", base, base is None or isinstance(base, str)),
    ):
        if not sound:
            raise InputError(f"{path} has {name} {brief(value)}, which cannot be.", "Save the adapter again with PEFT.")
    return PeftConfig(
        base,
        rank,
        alpha,
        dropout,
        rslora=config.get("use_rslora") is True,
        dora=config.get("use_dora") is True,
        chooses_layers=config.get("layers_to_transform") is not None,
    )


def _unsupported(config: Mapping[str, Any]) -> list[str]:
    """Return the features in use that are not known, each as a reader finds it in the file."""
    found = [name for name, value in config.items() if name not in _READ | _HARMLESS and _is_on(value)]
    if config.get("task_type") not in ("CAUSAL_LM", None):
        found.append(f"task_type {brief(config['task_type'])}")
    if config.get("bias", "none") != "none":
        found.append(f"bias {brief(config['bias'])}")
    if config.get("init_lora_weights", True) not in _INITIALISATIONS:
        found.append(f"init_lora_weights {brief(config['init_lora_weights'])}")
    return found


def _is_on(value: Any) -> bool:
    """Whether a field of an unknown meaning is set: PEFT's switches are off when false, empty or absent."""
    return bool(value)


def peft_config(
    *,
    base: str | None,
    rank: int,
    scale: float,
    dropout: float,
    modules: list[str],
    layers: list[int] | None,
    dora: bool,
) -> dict[str, Any]:
    """Return what PEFT reads as `adapter_config.json`.

    Args:
        base: Folder or Hub name of the base model, or None.
        rank: Of the low-rank product.
        scale: What it is multiplied by; written as the alpha that gives it back when divided by the rank.
        dropout: Of the adapter's input.
        modules: Ends of the adapted modules' names.
        layers: The adapted layers, or None for all.
        dora: Whether there are magnitudes.
    """
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "inference_mode": True,
        "r": rank,
        "lora_alpha": _alpha(scale, rank),
        "lora_dropout": dropout,
        "bias": "none",
        "use_rslora": False,
        "use_dora": dora,
        "target_modules": modules,
        **({} if layers is None else {"layers_to_transform": layers}),
    }


def _alpha(scale: float, rank: int) -> float:
    """Return what is `scale` when it is divided by `rank`, where there is such a number, else the product."""
    product = scale * rank
    near = (product, math.nextafter(product, math.inf), math.nextafter(product, -math.inf))
    found = next((alpha for alpha in near if alpha / rank == scale), product)
    return int(found) if found.is_integer() else found
