"""Adapters for tests, made by mlx-lm's own layers in mlx-lm's own layout."""

import json
from collections.abc import Sequence
from pathlib import Path

from joco_mlx.models.compute import mx

SEVEN = (
    *(f"self_attn.{name}_proj" for name in "qkvo"),
    *(f"mlp.{name}_proj" for name in ("gate", "up", "down")),
)


def random_adapter(
    base: Path,
    folder: Path,
    *,
    rank: int = 4,
    scale: float = 2.0,
    layers: int = -1,
    keys: Sequence[str] = SEVEN,
    dora: bool = False,
    size: float = 0.05,
) -> Path:
    """Write an adapter for `base` whose second factor is random instead of zero, so that it changes the model."""
    from mlx.utils import tree_flatten
    from mlx_lm.tuner.utils import linear_to_lora_layers
    from mlx_lm.utils import load_model

    model, _ = load_model(base)
    model.freeze()
    parameters = {"rank": rank, "scale": scale, "dropout": 0.0, "keys": list(keys)}
    mx.random.seed(1)
    linear_to_lora_layers(model, layers, parameters, use_dora=dora)
    tensors = {
        name: size * mx.random.normal(array.shape) if name.endswith("lora_b") else array
        for name, array in tree_flatten(model.trainable_parameters())
    }
    folder.mkdir(parents=True)
    mx.save_safetensors(str(folder / "adapters.safetensors"), tensors)
    config = {
        "fine_tune_type": "dora" if dora else "lora",
        "num_layers": layers,
        "lora_parameters": parameters,
    }
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder
