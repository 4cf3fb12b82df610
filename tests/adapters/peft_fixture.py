"""Adapters as PEFT's save_pretrained writes them, without torch."""

import json
from pathlib import Path
from typing import Any

from joco_mlx.models.compute import mx

LAYERS, HIDDEN, KEYS = 3, 64, 32
"""Of the model that they fit."""
MODULES = ("self_attn.q_proj", "self_attn.k_proj")
_ROWS = {"self_attn.q_proj": HIDDEN, "self_attn.k_proj": KEYS}


def peft_adapter(
    folder: Path, *, rank: int = 4, layers: range = range(LAYERS), dtype: Any = mx.float32, **changes: Any
) -> Path:
    """An adapter as PEFT's save_pretrained writes it."""
    mx.random.seed(3)
    tensors = {}
    for layer in layers:
        for module in MODULES:
            name = f"base_model.model.model.layers.{layer}.{module}."
            tensors[f"{name}lora_A.weight"] = mx.random.normal((rank, HIDDEN))
            tensors[f"{name}lora_B.weight"] = 0.1 * mx.random.normal((_ROWS[module], rank))
            if changes.get("use_dora"):
                tensors[f"{name}lora_magnitude_vector"] = 1 + mx.random.uniform(shape=(_ROWS[module],))
    folder.mkdir()
    stored = {name: array.astype(dtype) for name, array in tensors.items()}
    mx.save_safetensors(str(folder / "adapter_model.safetensors"), stored, {"format": "pt"})
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": rank, "lora_alpha": 8, "bias": "none", **changes}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder
