"""Peaks of a training step with the true shapes of a large model, measured on any machine.

The real graph of the real step is evaluated, but each matmul is replaced by an operation that reads the same inputs,
allocates the same outputs and keeps the same arrays for its gradient. So MLX's own scheduling and memory decide the peak,
in seconds where the arithmetic would take hours. The base's weights are never made; they are added by arithmetic.
What a kernel allocates for itself inside is not seen: `real_over_buffers` tells how much that is.
"""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache, partial
from typing import Any, Literal
from unittest.mock import patch

import numpy as np

from joco_mlx.config import TrainConfig
from joco_mlx.models.compute import mx, nn, optimizers

# The line above loads a fast BLAS, which must happen before anything imports mlx.
# isort: split
from mlx_lm.models import qwen2
from mlx_lm.tuner.lora import LoRALinear
from mlx_lm.tuner.trainer import default_loss, grad_checkpoint

from joco_mlx.models.memory import Checkpointing
from joco_mlx.models.registry import find
from joco_mlx.models.shape import Shape
from joco_mlx.train.batches import make_batch
from joco_mlx.train.examples import Example
from joco_mlx.train.mlx_lora import forward
from joco_mlx.train.mlx_lora.lora import add_adapters
from joco_mlx.train.mlx_lora.step import answer_loss

Attention = Literal["fused", "unfused"]
"""`fused` keeps no matrix of scores (CUDA); `unfused` is what MLX does in training on Metal and on a CPU."""
Design = Literal["mlx-lm", "mlx-lm --grad-checkpoint"] | Checkpointing
PEER: Design = "mlx-lm --grad-checkpoint"
_GROUP = 64
_ANSWER = 20


def true_peaks(lengths: Sequence[int]) -> dict[str, dict[str, int]]:
    """Measure the 1.5B with 28 LoRA layers, print a table, and return design -> tokens -> peak bytes.

    Rank 8, and our own forms also at rank 16.
    """
    entry = find("default")
    assert entry is not None
    peaks: dict[str, dict[str, int]] = {}
    for design, rank, attention in _designs():
        name = f"{design}, rank {rank}, {attention} attention"
        peaks[name] = {str(length): peak(entry.shape, design, length, rank, attention) for length in lengths}
        figures = ", ".join(f"{length}: {found / 1e9:.3f} GB" for length, found in peaks[name].items())
        print(f"  {name:<52} {figures}", flush=True)
    return peaks


def _designs() -> Iterator[tuple[Design, int, Attention]]:
    attentions: tuple[Attention, ...] = ("fused", "unfused")
    for attention in attentions:
        yield "mlx-lm --grad-checkpoint", 8, attention
        for rank in (8, 16):
            yield "segments", rank, attention
            yield "layer", rank, attention


def peak(shape: Shape, design: Design, tokens: int, rank: int, attention: Attention, *, real: bool = False) -> int:
    """Return the peak of one step in bytes: weights, adapters, optimizer, activations.

    Args:
        shape: Of a qwen2 model.
        design: Whose step.
        tokens: Inputs of the one record; 20 of them are trained on.
        rank: Of the adapters, on all linear layers.
        attention: With which attention; real kernels are unfused on a CPU.
        real: Run the real kernels on random weights.
    """
    model = _model(shape, rank)
    if real:
        mx.eval(model.parameters())
    optimizer = optimizers.AdamW(learning_rate=1e-4)
    optimizer.init(model.trainable_parameters())
    mx.eval(model.trainable_parameters(), optimizer.state)
    with ExitStack() as stack:
        if not real:
            stack.enter_context(_buffers(attention))
        step = stack.enter_context(_loss(model, design, tokens))
        gc.collect()
        mx.clear_cache()
        mx.reset_peak_memory()
        loss, gradients = step()
        optimizer.update(model, gradients)
        del gradients
        mx.eval(loss, model.trainable_parameters(), optimizer.state)
        found = int(mx.get_peak_memory())
    return found if real else found + shape.weight_bytes


def real_over_buffers(shape: Shape, design: Design, tokens: int, rank: int) -> float:
    """Return how much higher the peak of the real kernels is than that of the buffers."""
    real, buffers = (peak(shape, design, tokens, rank, "unfused", real=real) for real in (True, False))
    return real / buffers


def _model(shape: Shape, rank: int) -> Any:
    """A 4-bit bfloat16 qwen2 with adapters; its weights are only promised, not computed."""
    mx.random.seed(0)
    arguments = qwen2.ModelArgs(
        model_type="qwen2", hidden_size=shape.hidden, num_hidden_layers=shape.layers, rms_norm_eps=1e-6,
        intermediate_size=shape.intermediate, num_attention_heads=shape.heads, num_key_value_heads=shape.kv_heads,
        vocab_size=shape.vocabulary, tie_word_embeddings=True,
    )  # fmt: skip
    model = qwen2.Model(arguments)
    model.set_dtype(mx.bfloat16)
    nn.quantize(model, group_size=_GROUP, bits=4)
    add_adapters(model, TrainConfig(rank=rank, alpha=float(rank)), {})
    model.train()
    return model


@contextmanager
def _loss(model: Any, design: Design, tokens: int) -> Iterator[Callable[[], Any]]:
    """What computes loss and gradients in a design."""
    ids = np.random.default_rng(0).integers(0, 500, tokens + 1).tolist()
    if design != "mlx-lm" and design != "mlx-lm --grad-checkpoint":  # noqa: PLR1714  (mypy narrows by this form only)
        batch = make_batch([Example("random", tuple(ids[:-_ANSWER]), tuple(ids[-_ANSWER:]), cut=False)])
        arrays = [mx.array(part) for part in (batch.ids, batch.rows, batch.targets, batch.weights)]
        yield lambda: nn.value_and_grad(model, partial(answer_loss, checkpointing=design))(model, *arrays)
        return
    given = mx.array([ids]), mx.array([[tokens + 1 - _ANSWER, tokens]])
    plain = qwen2.TransformerBlock.__call__
    if design == "mlx-lm --grad-checkpoint":
        grad_checkpoint(model.layers[0])
    try:
        yield lambda: nn.value_and_grad(model, default_loss)(model, *given)
    finally:
        qwen2.TransformerBlock.__call__ = plain


@contextmanager
def _buffers(attention: Attention) -> Iterator[None]:
    """Put buffers in the place of every matmul of both trainers."""
    mixed: Callable[..., Any] = _fused if attention == "fused" else _unfused
    with ExitStack() as stack:
        for place, name, put in (
            (nn.QuantizedLinear, "__call__", _linear),
            (nn.QuantizedEmbedding, "__call__", _embedded),
            (nn.QuantizedEmbedding, "as_linear", lambda self, inputs: _product(self.weight.shape[0])(inputs)),
            (LoRALinear, "__call__", _peer_adapted),
            (qwen2, "scaled_dot_product_attention", lambda q, k, v, scale, **_: mixed(q, k, v, scale)),
            (forward, "linear", _our_adapted),
            (forward, "_attention", lambda q, k, v, scale, rows: (mixed if rows is None else _unfused)(q, k, v, scale)),
        ):
            stack.enter_context(patch.object(place, name, put))
        yield


def _filled(first: Any, shape: Sequence[int]) -> Any:
    """A buffer of its own of some shape, filled with what stands first in each row."""
    return mx.contiguous(mx.broadcast_to(first, tuple(shape)))


@lru_cache(maxsize=64)
def _product(outputs: int) -> Any:
    """[..., inputs] -> [..., outputs] as a frozen matmul does; its gradient needs neither inputs nor outputs."""
    function: Any = mx.custom_function(lambda inputs: _filled(inputs[..., :1], (*inputs.shape[:-1], outputs)))

    @function.vjp  # type: ignore[untyped-decorator]
    def _(inputs: Any, cotangent: Any, _output: Any) -> Any:
        return _filled(cotangent[..., :1], inputs.shape)

    return function


_matmul: Any = mx.custom_function(
    lambda left, right: _filled(left[..., :1] * right[..., :1, :1], (*left.shape[:-1], right.shape[-1]))
)


@_matmul.vjp  # type: ignore[untyped-decorator]
def _matmul_vjp(operands: Any, cotangent: Any, _output: Any) -> Any:
    left, right = operands
    one = (left.reshape(-1)[:1] * cotangent.reshape(-1)[:1]).reshape((1,) * right.ndim)
    return _filled(cotangent[..., :1] * right[..., :1, :1], left.shape), _filled(one, right.shape)


_flash: Any = mx.custom_function(
    lambda queries, keys, values: (
        _filled(queries[..., :1] * keys[0, 0, 0, 0] * values[0, 0, 0, 0], queries.shape),
        _filled(queries[..., :1].astype(mx.float32), (*queries.shape[:-1], 1)),
    )
)


@_flash.vjp  # type: ignore[untyped-decorator]
def _flash_vjp(operands: Any, cotangents: Any, outputs: Any) -> Any:
    queries, keys, values = operands
    first = cotangents[0][..., :1].astype(mx.float32) * outputs[0][..., :1] + outputs[1]
    return (
        _filled((first * queries[..., :1]).astype(queries.dtype), queries.shape),
        _filled((first[:, :1, :1] * keys[..., :1]).astype(keys.dtype), keys.shape),
        _filled((first[:, :1, :1] * values[..., :1]).astype(values.dtype), values.shape),
    )


def _fused(queries: Any, keys: Any, values: Any, _scale: float) -> Any:
    return _flash(queries, keys, values)[0]


def _unfused(queries: Any, keys: Any, values: Any, scale: float) -> Any:
    """MLX's fallback (mlx/fast.cpp), its two matmuls replaced."""
    batch, heads, positions, size = queries.shape
    groups, length = keys.shape[1], keys.shape[2]
    queries = (mx.array(scale, queries.dtype) * queries).reshape(batch, groups, heads // groups, positions, size)
    shared = (batch, groups, heads // groups)
    across = mx.broadcast_to(keys[:, :, None].swapaxes(-1, -2), (*shared, size, length))
    scores = _matmul(queries, across)
    seen = mx.arange(length - positions, length)[:, None] >= mx.arange(length)[None]
    scores = mx.where(seen, scores, mx.array(mx.finfo(scores.dtype).min, scores.dtype))
    weights = mx.softmax(scores, axis=-1, precise=True)
    mixed = _matmul(weights, mx.broadcast_to(values[:, :, None], (*shared, length, size)))
    return mixed.reshape(batch, heads, positions, size)


def _linear(module: Any, inputs: Any) -> Any:
    made = _product(module.weight.shape[0])(inputs)
    return made + module.bias if "bias" in module else made


def _embedded(module: Any, ids: Any) -> Any:
    width = module.scales.shape[-1] * module.group_size
    return _filled((ids[..., None] * 0).astype(module.scales.dtype), (*ids.shape, width))


def _peer_adapted(module: Any, inputs: Any) -> Any:
    wide = inputs.astype(mx.float32)  # what a matmul with float32 factors makes of its inputs
    small = _matmul(_matmul(wide, module.lora_a), module.lora_b)
    return module.linear(inputs) + (module.scale * small).astype(inputs.dtype)


def _our_adapted(module: Any, inputs: Any) -> Any:
    if not isinstance(module, LoRALinear):
        return module(inputs)
    small = _matmul(inputs, module.lora_a.astype(inputs.dtype)) * module.scale
    return module.linear(inputs) + _matmul(small, module.lora_b.astype(inputs.dtype))
