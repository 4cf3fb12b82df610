"""Random models of architectures that mlx-lm has, small enough for tests."""

import importlib

from tiny_training import SHAPE, adapted

from joco_mlx.models.compute import mx

NORMED = {"rms_norm_eps": 1e-6, "max_position_embeddings": 512, "rope_theta": 10_000.0}
ARCHITECTURES = {
    "qwen3": {**SHAPE, **NORMED, "head_dim": 24, "tie_word_embeddings": True},
    "gemma2": {**SHAPE, "head_dim": 16, "query_pre_attn_scalar": 16.0, "final_logit_softcapping": 3.0},
    "gemma": {**SHAPE, "head_dim": 16},
    "phi3": {**SHAPE, **NORMED},
    "granite": {
        **SHAPE, **NORMED, "logits_scaling": 2.0, "attention_multiplier": 0.25, "embedding_multiplier": 3.0,
        "residual_multiplier": 0.5, "attention_bias": False, "mlp_bias": False,
    },
    "olmo2": {**SHAPE, **NORMED},
}  # fmt: skip


def tiny_of(kind, *, adapter="lora", bits=None, dtype=mx.float32, **more):
    """A random model of an architecture, with adapters on all its linear layers."""
    module = importlib.import_module(f"mlx_lm.models.{kind}")
    mx.random.seed(3)
    model = module.Model(module.ModelArgs.from_dict({"model_type": kind, **ARCHITECTURES.get(kind, {}), **more}))
    return adapted(model, adapter=adapter, bits=bits, dtype=dtype)
