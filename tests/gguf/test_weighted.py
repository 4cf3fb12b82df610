"""Encoders with an importance matrix against ggml's own: the same bytes."""

import platform
from collections.abc import Callable

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from judges.ggml_oracle import Ggml

from joco_mlx.gguf.encoders import decode, encoder
from joco_mlx.gguf.weighted import KINDS, encode_weighted

SHAPE = (48, 512)
BLOCKS = {Type.Q4_K: (144, 256), Type.Q5_K: (176, 256), Type.Q6_K: (210, 256), Type.Q5_0: (22, 32)}
WEIGHTS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "normal": lambda r: r.normal(0, 0.03, SHAPE),
    "student-t": lambda r: r.standard_t(2, SHAPE) * 0.02,
    "zero": lambda r: np.zeros(SHAPE),
    "constant": lambda r: np.full(SHAPE, -0.3),
    "all-positive": lambda r: np.abs(r.normal(0, 1, SHAPE)) + 5,
    "sparse": lambda r: r.normal(0, 1, SHAPE) * (r.random(SHAPE) < 0.02),
    "some-rows-zero": lambda r: r.normal(0, 1, SHAPE) * (np.arange(SHAPE[0]) % 3 > 0)[:, None],
    "mixed-magnitudes": lambda r: r.normal(0, 1, SHAPE) * np.repeat(10 ** r.uniform(-6, 1, (48, 32)), 16, axis=1),
}
IMPORTANCE: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "even": lambda _: np.ones(SHAPE[1]),
    "heavy-tailed": lambda r: r.lognormal(0, 2, SHAPE[1]),
    "some-dead": lambda r: r.lognormal(0, 2, SHAPE[1]) * (r.random(SHAPE[1]) < 0.7),
}


def _made(weights: str, importance: str) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(9)
    return WEIGHTS[weights](random).astype(np.float32), IMPORTANCE[importance](random).astype(np.float32)


@pytest.mark.judge("ggml")
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="elsewhere ggml rounds multiply-add once")
@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("importance", IMPORTANCE)
@pytest.mark.parametrize("weights", WEIGHTS)
def test_bytes_equal_ggml_with_the_same_importance(weights: str, importance: str, kind: Type, ggml: Ggml) -> None:
    values, weighed = _made(weights, importance)
    theirs = ggml.encode(values, kind, *BLOCKS[kind], weighed)
    ours = encode_weighted(kind, values, weighed).reshape(theirs.shape)
    differ = np.flatnonzero((ours != theirs).any(axis=1))
    np.testing.assert_array_equal(ours, theirs, err_msg=f"{len(differ)} of {len(ours)} rows")


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_importance_lowers_the_error_where_it_matters(kind: Type) -> None:
    values, weighed = _made("normal", "heavy-tailed")

    def lost(encoded: np.ndarray) -> float:
        return float((weighed * np.square(decode(kind, encoded).reshape(SHAPE) - values)).sum())

    assert lost(encode_weighted(kind, values, weighed)) < 0.95 * lost(encoder(kind)(values.reshape(-1)))
