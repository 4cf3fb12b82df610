"""The gated activation for MLX's CPU device.

MLX computes exponentials on x86 one by one: 15 ns each. Multiplications and additions it vectorises. Here 2^x is a
polynomial in those, a quarter of the time at float32's own rounding.
Decides nothing about the model: `swiglu` computes what mlx-lm computes.
"""

import math
from typing import Any

from joco_mlx.models.compute import mx

_LOG2_E = math.log2(math.e)
_LEAST_EXPONENT = -126.0  # below it float32 has no normal numbers
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
