"""From MLX's codes to ggml's blocks: how near to what was trained, and whether the tune survives."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type

from joco_mlx.gguf.encoders import decode, encoder
from joco_mlx.gguf.requantize import KINDS, Trained, requantize
from joco_mlx.merge import AffineGrid, Change
from joco_mlx.models.compute import mx

SHAPE = (128, 768)
RANK = 16
Maker = Callable[[np.random.Generator], np.ndarray]
DISTRIBUTIONS: dict[str, Maker] = {
    "normal": lambda r: r.normal(0, 0.03, SHAPE),
    "student-t": lambda r: r.standard_t(4, SHAPE) * 0.02,
    "scaled-laplace": lambda r: (
        r.laplace(0, 0.02, SHAPE) * r.lognormal(0, 0.3, (SHAPE[0], 1)) * r.lognormal(0, 0.3, (1, SHAPE[1]))
    ),
}
GOALS = {0.0: 0.28, 0.01: 0.35, 0.03: 0.65}
"""Size of the change, in units of the weights -> RMSE in units of that of ggml's bytes."""


def trained(distribution: str, delta: float, *, bits: int = 4, group_size: int = 64) -> Trained:
    """A base that MLX quantised, and a low-rank change of the given size."""
    random = np.random.default_rng(5)
    parts = mx.quantize(
        mx.array(DISTRIBUTIONS[distribution](random).astype(np.float32)).astype(mx.bfloat16),
        group_size=group_size,
        bits=bits,
    )
    scales, biases = (np.array(part.astype(mx.float32)) for part in parts[1:])
    exact = mx.dequantize(parts[0], *(mx.array(part) for part in (scales, biases)), group_size=group_size, bits=bits)
    base = np.array(exact)
    change = Change(
        random.normal(0, 1, (SHAPE[0], RANK)).astype(np.float32),
        random.normal(0, 1, (RANK, SHAPE[1])).astype(np.float32),
    )
    size = np.float32(delta * rms(base) / rms(change.floats()))
    change = Change(change.left * size, change.right)
    return Trained(base + change.floats(), AffineGrid(scales, biases, bits, group_size), change)


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.square(values, dtype=np.float64).mean()))


def error(kind: Type, encoded: np.ndarray, rows: Trained) -> np.ndarray:
    return decode(kind, encoded).reshape(SHAPE) - rows.weights


def seeded(rows: Trained) -> Trained:
    return Trained(rows.weights, rows.grid)


@pytest.mark.parametrize("delta", GOALS)
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("kind", [Type.Q4_K, Type.Q5_0])
def test_seeded_blocks_are_nearer_to_what_was_trained(kind: Type, distribution: str, delta: float) -> None:
    rows = trained(distribution, delta)
    theirs = rms(error(kind, encoder(kind)(rows.weights.reshape(-1)), rows))
    ours = rms(error(kind, requantize(kind, seeded(rows)), rows))
    assert ours <= (GOALS[delta] if kind is Type.Q4_K else 0.8) * theirs


@pytest.mark.parametrize(("bits", "group_size"), [(2, 64), (3, 64), (4, 32), (4, 64), (4, 128), (5, 64), (8, 64)])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_seeds_hardly_ever_make_a_block_worse(kind: Type, bits: int, group_size: int) -> None:
    rows = trained("student-t", 0.1, bits=bits, group_size=group_size)
    plain = rms(error(kind, requantize(kind, Trained(rows.weights)), rows))
    assert rms(error(kind, requantize(kind, seeded(rows)), rows)) <= 1.01 * plain


@pytest.mark.parametrize(
    ("kind", "most"), [(Type.Q4_K, 0.985), (Type.Q5_K, 0.96), (Type.Q6_K, 0.95), (Type.Q5_0, 0.97), (Type.Q8_0, 0.95)]
)
def test_searched_blocks_of_16_bit_weights_are_nearer_than_ggmls(kind: Type, most: float) -> None:
    weights = DISTRIBUTIONS["student-t"](np.random.default_rng(5)).astype(np.float32)
    rows = Trained(weights)
    theirs = rms(error(kind, encoder(kind)(weights.reshape(-1)), rows))
    assert rms(error(kind, requantize(kind, rows), rows)) < most * theirs


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("delta", [0.007, 0.02])
def test_balanced_blocks_keep_what_was_trained(delta: float, kind: Type) -> None:
    """The nearest codes lose a small change as a whole; balanced ones lose nothing along it, and are near as well."""
    rows = trained("normal", delta)
    assert rows.change is not None
    moved = rows.change.floats()
    whole = np.square(moved).sum()
    if kind in (Type.Q4_K, Type.Q5_0):
        nearest = error(kind, requantize(kind, seeded(rows)), rows)
        assert (nearest * moved).sum() < -0.7 * whole
    balanced = error(kind, requantize(kind, rows), rows)
    assert abs((balanced * moved).sum()) < 0.15 * whole
    assert rms(balanced) < 1.25 * rms(error(kind, encoder(kind)(rows.weights.reshape(-1)), rows))


def test_rows_that_training_left_alone_are_rounded_to_the_nearest() -> None:
    rows = trained("normal", 0.0)
    assert rows.change is not None
    still = Change(np.zeros_like(rows.change.left), rows.change.right)
    np.testing.assert_array_equal(
        requantize(Type.Q4_K, Trained(rows.weights, rows.grid, still)), requantize(Type.Q4_K, seeded(rows))
    )


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("case", ["zero", "constant", "positive", "negative", "tiny", "large", "sparse"])
def test_strange_weights_are_held(case: str, kind: Type) -> None:
    random = np.random.default_rng(5)
    weights = {
        "zero": np.zeros(SHAPE),
        "constant": np.full(SHAPE, -0.3),
        "positive": np.abs(random.normal(0, 1, SHAPE)) + 5,
        "negative": -np.abs(random.normal(0, 1, SHAPE)) - 1,
        "tiny": random.normal(0, 1e-20, SHAPE),
        "large": random.normal(0, 1e4, SHAPE),
        "sparse": random.normal(0, 1, SHAPE) * (random.random(SHAPE) < 0.02),
    }[case].astype(np.float32)
    rows = Trained(weights)
    ours = rms(error(kind, requantize(kind, rows), rows))
    theirs = rms(error(kind, encoder(kind)(weights.reshape(-1)), rows))
    assert ours <= 1.05 * theirs + 1e-12


def test_a_negative_scale_counts_down_from_the_highest_weight() -> None:
    rows = trained("normal", 0.0)
    assert rows.grid is not None
    grid = AffineGrid(-rows.grid.scales, rows.grid.biases + 15 * rows.grid.scales, 4, 64)
    np.testing.assert_allclose(
        decode(Type.Q4_K, requantize(Type.Q4_K, Trained(rows.weights, grid))),
        decode(Type.Q4_K, requantize(Type.Q4_K, seeded(rows))),
        atol=1e-3,
    )


def test_rows_do_not_depend_on_their_neighbours() -> None:
    rows = seeded(trained("student-t", 0.03))
    assert rows.grid is not None
    half = SHAPE[0] // 2
    parts = [
        requantize(Type.Q4_K, Trained(rows.weights[part], rows.grid.rows(part)))
        for part in (slice(0, half), slice(half, None))
    ]
    np.testing.assert_array_equal(requantize(Type.Q4_K, rows), np.concatenate(parts))


@pytest.mark.parametrize("kept", [False, True], ids=["knowing nothing", "balanced"])
@pytest.mark.parametrize(
    ("kind", "most"), [(Type.Q4_K, 0.8), (Type.Q5_K, 0.8), (Type.Q6_K, 0.9), (Type.Q5_0, 0.7), (Type.Q8_0, 0.9)]
)
def test_importance_lowers_the_error_where_it_matters(kind: Type, most: float, kept: bool) -> None:
    rows = trained("normal", 0.05)
    importance = np.random.default_rng(8).lognormal(0, 2, SHAPE[1]).astype(np.float32)
    plain = Trained(rows.weights, None, rows.change if kept else None)

    def lost(given: Trained) -> float:
        return float((importance * np.square(error(kind, requantize(kind, given), rows))).sum(dtype=np.float64))

    assert lost(replace(plain, importance=importance)) < most * lost(plain)


@pytest.mark.parametrize("importance", [np.zeros(SHAPE[1]), np.eye(1, SHAPE[1])[0] * 1e30, np.full(SHAPE[1], 1e-30)])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_strange_importance_ruins_no_column(kind: Type, importance: np.ndarray) -> None:
    rows = replace(trained("normal", 0.01), importance=importance.astype(np.float32))
    assert rms(error(kind, requantize(kind, rows), rows)) < 0.15 * rms(rows.weights)
