"""The sizes that config.json gives. Judge: the parameters of mlx-lm's own models, and of its adapters."""

import importlib
from typing import Any

import pytest

from joco_mlx.config import SEVEN_PROJECTIONS
from joco_mlx.models.compute import mx, trees
from joco_mlx.models.memory import adapter_parameters
from joco_mlx.models.shape import Shape

# The line above loads a fast BLAS, which must happen before anything imports mlx.
# isort: split
from mlx_lm.tuner.utils import linear_to_lora_layers

SIZES = {
    "hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 96, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 128, "rms_norm_eps": 1e-6, "tie_word_embeddings": True,
    "max_position_embeddings": 64, "rope_theta": 1e4,
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "head"),
    [("qwen2", None), ("llama", None), ("llama", 16), ("llama", 32), ("mistral", 8), ("qwen3", 16), ("qwen3", 48)],
)
def test_parameters_are_those_of_mlx_lm(kind: str, head: int | None) -> None:
    config: dict[str, Any] = {"model_type": kind, "head_dim": head, **SIZES}
    shape = Shape.from_config(config, "config.json")
    module: Any = importlib.import_module(f"mlx_lm.models.{'llama' if kind == 'mistral' else kind}")
    model = module.Model(module.ModelArgs.from_dict(config))
    assert _count(model.parameters()) == shape.parameters
    model.freeze()
    linear_to_lora_layers(model, 2, {"rank": 4, "scale": 1.0, "dropout": 0.0})  # all linear layers
    assert _count(model.trainable_parameters()) == adapter_parameters(shape, 4, SEVEN_PROJECTIONS, 2)


@pytest.mark.parametrize(
    ("stored", "width"),
    [
        ({}, 2),
        ({"torch_dtype": "float32"}, 4),
        ({"dtype": "float32"}, 4),
        ({"dtype": "bfloat16", "torch_dtype": None}, 2),
        ({"dtype": "float32", "torch_dtype": "bfloat16"}, 4),
    ],
    ids=["unsaid", "earlier transformers", "transformers 5", "16 bits", "both"],
)
def test_the_width_of_dense_weights_is_read_under_both_names(stored: dict[str, Any], width: int) -> None:
    shape = Shape.from_config({"model_type": "llama", **SIZES, **stored}, "config.json")
    assert shape.weight_bytes == width * shape.parameters


def _count(tree: Any) -> int:
    return sum(array.size for _, array in trees.tree_flatten(tree) if isinstance(array, mx.array))
