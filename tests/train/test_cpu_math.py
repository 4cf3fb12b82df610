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


@pytest.mark.parametrize("length", [1, 63, 64, 65, 200])
@pytest.mark.parametrize(("heads", "groups"), [(4, 4), (6, 2), (4, 1)], ids=["own", "shared", "one"])
def test_causal_attention_is_mlxs(length, heads, groups):
    queries, direction = (mx.random.normal((2, heads, length, 16), key=mx.random.key(n)) for n in range(2))
    keys, values = (mx.random.normal((2, groups, length, 16), key=mx.random.key(n)) for n in (2, 3))

    def total(attend):
        return lambda q, k, v: (attend(q, k, v) * direction).sum()

    def ours(q, k, v):
        return cpu_math.causal_attention(q, k, v, 0.25)

    def theirs(q, k, v):
        return mx.fast.scaled_dot_product_attention(q, k, v, scale=0.25, mask="causal")

    assert largest_difference(ours(queries, keys, values), theirs(queries, keys, values)) < 2e-6
    own = mx.grad(total(ours), argnums=(0, 1, 2))(queries, keys, values)
    reference = mx.grad(total(theirs), argnums=(0, 1, 2))(queries, keys, values)
    if length == 1:  # one key: the weights are constant, and only the values have a gradient
        own, reference = own[2:], reference[2:]
    assert max(map(largest_difference, own, reference)) < 5e-6


@pytest.mark.parametrize("nats", [100.0, 200.0, 1e4, 1e20])
def test_no_score_in_the_future_is_high_enough_to_be_seen(nats):
    """The first query's own key scores 0, the second's `nats`."""
    queries, keys = mx.zeros((1, 1, 2, 2)), mx.zeros((1, 1, 2, 2))
    queries[0, 0, 0, 0], keys[0, 0, 1, 0] = nats, 1.0
    values = mx.array([[[[1.0, 2.0], [5.0, 6.0]]]])
    assert cpu_math.causal_attention(queries, keys, values, 1.0)[0, 0, 0].tolist() == [1.0, 2.0]
    seen = mx.grad(lambda values: cpu_math.causal_attention(queries, keys, values, 1.0)[0, 0, 0].sum())(values)
    assert seen[0, 0, 0].tolist() == [1.0, 1.0]
    assert mx.abs(seen[0, 0, 1]).max().item() < 1e-30


def test_attention_looks_at_nothing_in_the_future():
    queries, keys, values = (mx.random.normal((1, 2, 100, 16), key=mx.random.key(n)) for n in range(3))
    before = cpu_math.causal_attention(queries, keys, values, 0.25)[:, :, :70]
    keys[:, :, 70:] = 50.0
    values[:, :, 70:] = 1e6
    assert mx.array_equal(cpu_math.causal_attention(queries, keys, values, 0.25)[:, :, :70], before)
