"""A random model in memory with adapters on it, and examples for it: for tests of the steps, without any file."""

import numpy as np
from mlx_lm.models import llama, qwen2

from joco_mlx.config import SEVEN_PROJECTIONS, TrainConfig
from joco_mlx.models.compute import mx, nn, trees
from joco_mlx.train.examples import Example
from joco_mlx.train.mlx_lora.lora import adapter_tensors, add_adapters

VOCABULARY = 160
SHAPE = {
    "hidden_size": 64, "num_hidden_layers": 3, "intermediate_size": 96, "num_attention_heads": 4, "rms_norm_eps": 1e-6,
    "vocab_size": VOCABULARY, "num_key_value_heads": 2,
}  # fmt: skip


def tiny(
    kind="qwen2", *, tied=True, bits=None, dtype=mx.float32, layers=-1, dropout=0.0, only=SEVEN_PROJECTIONS,
    adapter="lora", **more,
):  # fmt: skip
    """A random model with adapters whose second factors are not zero, so that every gradient is there."""
    mx.random.seed(7)
    module = {"qwen2": qwen2, "llama": llama}[kind]
    model = module.Model(module.ModelArgs(model_type=kind, tie_word_embeddings=tied, **{**SHAPE, **more}))
    return adapted(model, bits=bits, dtype=dtype, layers=layers, dropout=dropout, only=only, adapter=adapter)


def adapted(
    model, *, bits=None, dtype=mx.float32, layers=-1, dropout=0.0, only=SEVEN_PROJECTIONS, adapter="lora"
):  # fmt: skip
    """A model with random weights and adapters, on all linear layers of those names that it has."""
    model.update(trees.tree_map(lambda array: mx.random.normal(array.shape) * 0.15, model.parameters()))
    model.set_dtype(dtype)
    if bits:
        nn.quantize(model, group_size=32, bits=bits)
    names = {name.rsplit(".", 1)[-1] for name, _ in model.layers[-1].named_modules()}
    only = tuple(name for name in (*only, "qkv_proj", "gate_up_proj") if name in names)
    config = TrainConfig(rank=4, alpha=8.0, dropout=dropout, layers=layers, target_modules=only, adapter=adapter)
    add_adapters(model, config, {"name": "tiny", "digest": ""})
    for name, array in sorted(adapter_tensors(model).items()):
        noise = mx.random.normal(array.shape) * 0.1
        model.load_weights([(name, array * (1 + noise) if name.endswith(".m") else noise)], strict=False)
    model.train()
    return model


def example(prompt: int, answer: int, seed: int) -> Example:
    ids = np.random.default_rng(seed).integers(1, VOCABULARY, prompt + answer).tolist()
    return Example(f"record-{seed}", tuple(ids[:prompt]), tuple(ids[prompt:]), cut=False)


EXAMPLES = [example(70, 9, 1), example(40, 35, 2)]
