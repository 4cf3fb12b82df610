"""Where the adapters go, and how they are stored.

Decides which linear layers are adapted, how the factors begin (a random, b zero, and DoRA's magnitudes the lengths
of the base's rows, so that training starts at the base model), and the files: mlx-lm's own layout, `adapters.safetensors` beside `adapter_config.json`, which
`mlx_lm.load(..., adapter_path=)` reads.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

from joco_mlx.models.compute import mx, nn, trees

# The line above loads a fast BLAS, which must happen before anything imports mlx.
# isort: split
from mlx_lm.tuner.utils import linear_to_lora_layers

from joco_mlx.artifacts import whole_file, write_json
from joco_mlx.config import TrainConfig
from joco_mlx.errors import UsageError
from joco_mlx.train.mlx_lora.adapted import remember_lengths

CONFIG_FILE = "adapter_config.json"
TENSOR_FILE = "adapters.safetensors"


def add_adapters(model: Any, config: TrainConfig, base: Mapping[str, Any]) -> dict[str, Any]:
    """Freeze `model`, put adapters into it, and return what `adapter_config.json` says of them.

    rsLoRA is stored as the LoRA of another scale that it is; DoRA as mlx-lm's own kind.

    Draws from MLX's random state: seed it first.

    Args:
        model: Any model of mlx-lm with `layers`.
        config: Kind, rank, scale, dropout, modules and layers.
        base: Name, digest and quantisation of the model, so that the adapters are never put on another unasked.

    Raises:
        UsageError: The model has no such modules, or fewer layers.
    """
    layers = _layer_count(model, config)
    keys = _keys(model, config)
    parameters = {"rank": config.rank, "scale": config.scale, "dropout": config.dropout, "keys": keys}
    model.freeze()
    dora = config.adapter == "dora"
    linear_to_lora_layers(model, layers, parameters, use_dora=dora)
    if dora:
        remember_lengths(model)
    return {
        "fine_tune_type": "dora" if dora else "lora",
        "num_layers": layers,
        "lora_parameters": parameters,
        "base": dict(base),
    }


def adapter_tensors(model: Any) -> dict[str, Any]:
    """Return name -> array of every adapter factor, all float32."""
    return dict(trees.tree_flatten(model.trainable_parameters()))


def save_adapters(model: Any, description: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write the adapters of `model` into `folder`, each file whole or not at all, and return the files."""
    tensors, config = folder / TENSOR_FILE, folder / CONFIG_FILE
    save_tensors(tensors, adapter_tensors(model))
    write_json(config, dict(description))
    return [config, tensors]


def save_tensors(path: Path, tensors: dict[str, Any]) -> None:
    """Write arrays as safetensors, whole or not at all."""
    with whole_file(path) as file:
        mx.save_safetensors(cast(BinaryIO, file), tensors, {"format": "mlx"})


def _layer_count(model: Any, config: TrainConfig) -> int:
    available = len(model.layers)
    if config.layers > available:
        raise UsageError(
            f"--layers is {config.layers}, but the model has {available}.", f"Give --layers at most {available}."
        )
    return available if config.layers == -1 else config.layers


def _keys(model: Any, config: TrainConfig) -> list[str]:
    """Return the paths below a layer (`self_attn.q_proj`) of the modules to adapt."""
    linears = [
        name for name, module in model.layers[-1].named_modules() if isinstance(module, nn.Linear | nn.QuantizedLinear)
    ]
    known = {name.rsplit(".", 1)[-1] for name in linears}
    for wanted in config.target_modules:
        if wanted not in known:
            raise UsageError(
                f"--target-modules names {wanted!r}, which this model does not have.",
                f"Use some of: {', '.join(sorted(known))}.",
            )
    return sorted(name for name in linears if name.rsplit(".", 1)[-1] in config.target_modules)
