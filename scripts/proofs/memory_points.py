"""The steps whose peaks the proof of the memory plan measures, and how those of a CPU device are measured.

No point is one of those in tests/models/test_memory.py, to which the formula was fitted.
"""

import gc
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from joco_mlx.config import SEVEN_PROJECTIONS, TrainConfig
from joco_mlx.models.compute import mx

# The line above loads a fast BLAS, which must happen before anything imports mlx.
# isort: split
from mlx_lm.models import llama, qwen2

from joco_mlx.models import memory
from joco_mlx.models.memory import Checkpointing
from joco_mlx.models.registry import find
from joco_mlx.models.shape import Shape
from joco_mlx.train.batches import make_batch
from joco_mlx.train.examples import Example
from joco_mlx.train.mlx_lora import cpu_math
from joco_mlx.train.mlx_lora.lora import add_adapters
from joco_mlx.train.mlx_lora.step import Step, make_optimizer

ANSWER = 20
"""Tokens of an answer: 32 positions."""


@dataclass(frozen=True)
class Point:
    """One step whose peak is measured and planned."""

    name: str
    shape: Shape
    tokens: int
    rank: int
    form: Checkpointing
    batch_size: int = 1
    layers: int = -1
    answer: int = ANSWER
    modules: tuple[str, ...] = SEVEN_PROJECTIONS


SMALL = 512
NARROW = Shape("qwen2", 4, 128, 512, 4, 2, vocabulary=151_936, tied=True)
SMOLLM2 = Shape("llama", 30, 576, 1_536, 9, 3, vocabulary=49_152, tied=True)
QWEN_05B = Shape("qwen2", 4, 896, 4_864, 14, 2, vocabulary=SMALL, tied=True)
QWEN_15B = Shape("qwen2", 3, 1_536, 8_960, 12, 2, vocabulary=SMALL, tied=True)
QWEN_3B = Shape("qwen2", 3, 2_048, 11_008, 16, 2, vocabulary=SMALL, tied=True)
DEEPSEEK = Shape("llama", 3, 2_048, 5_504, 16, 16, vocabulary=SMALL, tied=False)
WIDE_KEYS = Shape("llama", 5, 512, 1_408, 8, 8, vocabulary=4_096, tied=True)


def cpu_points() -> Iterator[Point]:
    """Yield what is measured on a CPU device."""
    for form in memory.FORMS:
        yield Point("full vocabulary, narrow", NARROW, 384, 8, form)
        yield Point("the same, a long answer", NARROW, 512, 32, form, answer=60)
        yield Point("0.5B width", QWEN_05B, 192, 8, form)
        yield Point("0.5B width, 2 a batch", QWEN_05B, 128, 16, form, batch_size=2)
        yield Point("0.5B width, top half", QWEN_05B, 256, 16, form, layers=2)
        yield Point("0.5B width, q and v", QWEN_05B, 320, 32, form, modules=("q_proj", "v_proj"))
        yield Point("1.5B width", QWEN_15B, 256, 8, form)
        yield Point("3B width", QWEN_3B, 192, 16, form)
        yield Point("DeepSeek width", DEEPSEEK, 256, 32, form)
        yield Point("keys as wide as queries", WIDE_KEYS, 640, 64, form)
        yield Point("SmolLM2-135M", SMOLLM2, 192, 16, form)


def gpu_points() -> Iterator[Point]:
    """Yield what is measured with buffers for a GPU: whole models of the registry."""
    for form in ("segments", "layer"):
        for rank, tokens in product((8, 16), (512, 2_048)):
            yield Point("default", shape_of("default"), tokens, rank, form)
        yield Point("default", shape_of("default"), 1_024, 32, form)
        yield Point("qwen2.5-coder-0.5b", shape_of("qwen2.5-coder-0.5b"), 1_024, 16, form)
        yield Point("qwen2.5-coder-3b", shape_of("qwen2.5-coder-3b"), 512, 8, form)
    yield Point("qwen2.5-coder-0.5b", shape_of("qwen2.5-coder-0.5b"), 512, 8, "none")


def shape_of(name: str) -> Shape:
    """Return the shape of a registry entry."""
    entry = find(name)
    if entry is None:
        raise ValueError(name)
    return entry.shape


def real_peak(point: Point) -> int:
    """Return MLX's peak in bytes over a step of two batches on a random float32 model."""
    model = random_model(point)
    step = Step(model, make_optimizer(1e-4, 1, 4), form_of=lambda _: point.form)
    mx.eval(model.parameters(), step.optimizer.state)
    batch = make_batch([example(point, number) for number in range(point.batch_size)])
    cpu_math._future.cache_clear()  # the masks of other points
    gc.collect()
    mx.clear_cache()
    mx.reset_peak_memory()
    step.add(batch)
    step.add(batch)
    step.update()
    return int(mx.get_peak_memory())


def random_model(point: Point) -> Any:
    """Return a random float32 model of a shape with adapters."""
    mx.random.seed(0)
    shape = point.shape
    module: Any = {"qwen2": qwen2, "llama": llama}[shape.architecture]
    model = module.Model(
        module.ModelArgs(
            model_type=shape.architecture, hidden_size=shape.hidden, num_hidden_layers=shape.layers, rms_norm_eps=1e-6,
            intermediate_size=shape.intermediate, num_attention_heads=shape.heads, num_key_value_heads=shape.kv_heads,
            vocab_size=shape.vocabulary, tie_word_embeddings=shape.tied,
        )
    )  # fmt: skip
    settings = TrainConfig(rank=point.rank, alpha=float(point.rank), layers=point.layers, target_modules=point.modules)
    add_adapters(model, settings, {})
    model.train()
    return model


def example(point: Point, seed: int) -> Example:
    """Return a record that fills its length."""
    ids = np.random.default_rng(seed).integers(0, 500, point.tokens + 1).tolist()
    return Example("random", tuple(ids[: -point.answer]), tuple(ids[-point.answer :]), cut=False)


def planned(point: Point, device: memory.Device) -> memory.MemoryPlan:
    """Return the plan of a point."""
    return memory.plan(
        point.shape,
        point.tokens,
        point.rank,
        checkpointing=point.form,
        batch_size=point.batch_size,
        modules=point.modules,
        layers=point.layers,
        answer_tokens=-(-point.answer // 32) * 32,
        device=device,
    )
