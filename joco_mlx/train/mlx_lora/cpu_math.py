"""Attention and the gated activation for MLX's CPU device, where they would take most of a training step.

MLX computes exponentials on x86 one by one: 15 ns each, so that softmax and SwiGLU outweigh the matmuls. Multiplications
and additions it vectorises. Here 2^x is a polynomial in those, a quarter of the time at float32's own rounding, and
causal attention goes block by block over the queries and skips the keys that are in the future, which is half of them.
Decides nothing about the model: both functions compute what mlx-lm computes.
"""

import math
from functools import lru_cache
from typing import Any

from joco_mlx.models.compute import mx

QUERY_BLOCK = 64
_LOG2_E = math.log2(math.e)
_LEAST_EXPONENT = -126.0  # below it float32 has no normal numbers
_NEVER = -1e30  # far below any score, and finite
# 2^f for f in [-1/2, 1/2], highest power first; S. Moshier, Cephes, exp2f.c. Relative error below 1.2e-7.
_POWERS = (1.535336188e-4, 1.339887440e-3, 9.618437357e-3, 5.550332471e-2, 2.402264791e-1, 6.931472028e-1, 1.0)


def _power_of_two(exponent: Any) -> Any:
    exponent = mx.maximum(exponent, _LEAST_EXPONENT)
    whole = mx.round(exponent)
    part = exponent - whole
    power = part * _POWERS[0] + _POWERS[1]
    for coefficient in _POWERS[2:]:
        power = power * part + coefficient
    return power * mx.left_shift(whole.astype(mx.int32) + 127, 23).view(mx.float32)


exp2: Any = mx.custom_function(_power_of_two)
"""2^x in float32, for x of at most 127; what would be smaller than 2^-126 becomes 2^-126."""


@exp2.vjp  # type: ignore[untyped-decorator]
def _exp2_vjp(_x: Any, cotangent: Any, output: Any) -> Any:
    return cotangent * output * math.log(2)


_sigmoid: Any = mx.custom_function(lambda x: 1.0 / (1.0 + exp2(mx.minimum(x * -_LOG2_E, -_LEAST_EXPONENT))))


@_sigmoid.vjp  # type: ignore[untyped-decorator]
def _sigmoid_vjp(_x: Any, cotangent: Any, output: Any) -> Any:
    return cotangent * (output - output * output)


def swiglu(gate: Any, up: Any) -> Any:
    """Return silu(gate) * up, as `mlx_lm.models.activations.swiglu` does."""
    return gate * _sigmoid(gate) * up


def causal_attention(queries: Any, keys: Any, values: Any, scale: float) -> Any:
    """Return softmax(queries keys^T * scale, causal) values.

    Args:
        queries: [batch, heads, length, size].
        keys: [batch, key heads, length, size]; heads is a multiple of key heads.
        values: Like `keys`.
        scale: Usually 1 / sqrt(size).
    """
    batch, heads, length, size = queries.shape
    groups = keys.shape[1]
    shared = heads // groups
    queries = (queries * (scale * _LOG2_E)).reshape(batch, groups, shared, length, size)
    done = []
    for start in range(0, length, QUERY_BLOCK):
        stop = min(start + QUERY_BLOCK, length)
        block = queries[:, :, :, start:stop].reshape(batch, groups, shared * (stop - start), size)
        out = _block_attention(block, keys[:, :, :stop], values[:, :, :stop], _future(start, stop, shared))
        done.append(out.reshape(batch, groups, shared, stop - start, size))
    return mx.concatenate(done, axis=3).reshape(batch, heads, length, size)


def _block_attention(queries: Any, keys: Any, values: Any, future: Any) -> Any:
    """Attention of some queries over all keys up to the last of them; `future` is added to the scores."""
    scores = queries @ keys.swapaxes(-1, -2) + future
    weights = exp2(scores - mx.stop_gradient(scores.max(axis=-1, keepdims=True)))
    return (weights @ values) / weights.sum(axis=-1, keepdims=True)


@lru_cache(maxsize=256)
def _future(start: int, stop: int, shared: int) -> Any:
    """Return [shared * (stop - start), stop]: below any score where a key comes after its query, else 0."""
    rows = mx.arange(start, stop)[:, None]
    mask = mx.where(rows >= mx.arange(stop)[None], 0.0, _NEVER)
    made = mx.tile(mask, (shared, 1))
    mx.eval(made)
    return made
