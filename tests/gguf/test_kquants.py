"""K-quants against ggml's own encoders: the same bytes, also where weights are strange."""

import platform
from collections.abc import Callable

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from gguf import quants
from judges.ggml_oracle import Ggml

from joco_mlx.gguf.q4_k import encode_q4_k
from joco_mlx.gguf.q5_k import encode_q5_k
from joco_mlx.gguf.q6_k import encode_q6_k

ROWS = 96
SHAPE = (ROWS, 256)
Maker = Callable[[np.random.Generator], np.ndarray]


def _by_sub_block(random: np.random.Generator, lowest: float, highest: float, size: int) -> np.ndarray:
    """Normal weights with a magnitude of its own for every sub-block of `size`, from 10**lowest to 10**highest."""
    scales = 10.0 ** random.uniform(lowest, highest, (ROWS, 256 // size, 1))
    return (random.normal(0, 1, (ROWS, 256 // size, size)) * scales).reshape(SHAPE)


CASES: dict[str, Maker] = {
    "normal": lambda r: r.normal(0, 0.03, SHAPE),
    "student-t": lambda r: r.standard_t(2, SHAPE) * 0.02,
    "cauchy": lambda r: r.standard_t(1, SHAPE),
    "laplace": lambda r: r.laplace(0, 0.02, SHAPE),
    "zero": lambda r: np.zeros(SHAPE),
    "positive-constant": lambda r: np.full(SHAPE, 0.3),
    "negative-constant": lambda r: np.full(SHAPE, -0.3),
    "nearly-constant-negative": lambda r: -1000 - r.normal(0, 1e-4, SHAPE),
    "nearly-constant-positive": lambda r: 1 + r.normal(0, 1e-6, SHAPE),
    "all-positive": lambda r: np.abs(r.normal(0, 1, SHAPE)) + 5,
    "all-negative": lambda r: -np.abs(r.normal(0, 1, SHAPE)) - 1,
    "two-values": lambda r: np.where(r.random(SHAPE) < 0.5, 1.0, -1.0),
    "small-integers": lambda r: r.integers(-3, 4, SHAPE),
    "sparse": lambda r: r.normal(0, 1, SHAPE) * (r.random(SHAPE) < 0.02),
    "one-outlier": lambda r: np.where(np.arange(256) == 7, 1e4, r.normal(0, 1, SHAPE)),
    "some-sub-blocks-zero": lambda r: (r.normal(0, 1, (ROWS, 8, 32)) * (r.random((ROWS, 8, 1)) < 0.4)).reshape(SHAPE),
    "mixed-magnitudes-16": lambda r: _by_sub_block(r, -12, 3, 16),
    "mixed-magnitudes-32": lambda r: _by_sub_block(r, -12, 3, 32),
    "whole-range": lambda r: _by_sub_block(r, -38, 37, 16),
    "tiny": lambda r: r.normal(0, 1e-20, SHAPE),
    "below-half-precision": lambda r: r.normal(0, 3e-7, SHAPE),
    "denormal": lambda r: r.normal(0, 1e-40, SHAPE),
    "squares-underflow": lambda r: r.normal(0, 1e-38, SHAPE),
    "squares-overflow": lambda r: r.normal(0, 3e19, SHAPE),
    "huge": lambda r: r.normal(0, 1e37, SHAPE),
}
ENCODERS = {
    "q4_k": (encode_q4_k, Type.Q4_K, 144),
    "q5_k": (encode_q5_k, Type.Q5_K, 176),
    "q6_k": (encode_q6_k, Type.Q6_K, 210),
}


@pytest.mark.judge("ggml")
@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("case", CASES)
def test_bytes_equal_ggml(case: str, encoder: str, ggml: Ggml) -> None:
    encode, kind, block_bytes = ENCODERS[encoder]
    values = CASES[case](np.random.default_rng(7)).astype(np.float32)
    theirs = ggml.encode(values, kind, block_bytes, 256)
    if platform.machine() in ("x86_64", "AMD64"):
        np.testing.assert_array_equal(encode(values), theirs)
    else:  # elsewhere ggml may be built with fused multiply-add, which rounds once where the format's reference rounds twice
        np.testing.assert_allclose(_error(encode(values), values, kind), _error(theirs, values, kind), rtol=1e-3)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_decoding_gives_the_weights_back(encoder: str) -> None:
    encode, kind, _ = ENCODERS[encoder]
    values = np.random.default_rng(7).normal(0, 0.03, SHAPE).astype(np.float32)
    assert _error(encode(values), values, kind) < {"q4_k": 0.08, "q5_k": 0.04, "q6_k": 0.02}[encoder]


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_block_does_not_depend_on_its_neighbours(encoder: str) -> None:
    encode, _, _ = ENCODERS[encoder]
    values = _by_sub_block(np.random.default_rng(7), -12, 3, 16).astype(np.float32)
    np.testing.assert_array_equal(encode(values), np.concatenate([encode(values[:1]), encode(values[1:])]))


def _error(blocks: np.ndarray, values: np.ndarray, kind: Type) -> float:
    """RMSE in units of the weights' own RMS."""
    with np.errstate(all="ignore"):
        decoded = quants.dequantize(blocks, kind).astype(np.float64)
    wide = values.astype(np.float64)
    return float(np.sqrt(np.square(decoded - wide).mean() / max(np.square(wide).mean(), 1e-300)))
