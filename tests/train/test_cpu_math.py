"""The CPU's own attention and activation agree with MLX's, values and gradients."""

import numpy as np
import pytest
from mlx_lm.models import activations

from joco_mlx.models.compute import mx
from joco_mlx.train.mlx_lora import cpu_math


def largest_difference(ours, theirs) -> float:
    """The largest difference as a share of the largest entry."""
    return float(mx.abs(ours - theirs).max() / mx.abs(theirs).max())


def test_powers_of_two_are_right_to_float32_rounding():
    exponents = mx.array(np.linspace(-125.9, 0, 10_001, dtype=np.float32))
    exact = np.exp2(np.array(exponents, np.float64))
    assert np.max(np.abs(np.array(cpu_math.exp2(exponents), np.float64) / exact - 1)) < 2e-7


def test_small_powers_end_at_the_smallest_normal_number():
    assert cpu_math.exp2(mx.array([-127.0, -1e30])).tolist() == [2.0**-126, 2.0**-126]


def test_the_gradient_of_a_power_of_two():
    assert mx.grad(cpu_math.exp2)(mx.array(3.0)).item() == pytest.approx(8 * np.log(2), rel=1e-6)


@pytest.mark.parametrize("size", [1.0, 30.0, 200.0], ids=["small", "large", "saturated"])
def test_swiglu_is_mlx_lms(size):
    gate, up, direction = (mx.random.normal((2, 5, 33), key=mx.random.key(n)) for n in range(3))
    gate = gate * size

    def total(function):
        return lambda gate, up: (function(gate, up) * direction).sum()

    assert largest_difference(cpu_math.swiglu(gate, up), activations.swiglu(gate, up)) < 1e-6
    ours = mx.grad(total(cpu_math.swiglu), argnums=(0, 1))(gate, up)
    theirs = mx.grad(total(activations.swiglu), argnums=(0, 1))(gate, up)
    assert max(map(largest_difference, ours, theirs)) < 1e-6
