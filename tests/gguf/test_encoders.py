"""Every type's encoder: ggml's bytes, the decoder's weights, and weights that do not fit."""

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from judges.ggml_oracle import Ggml

from joco_mlx.gguf.encoders import decode, encoder, fits

SIMPLE = {Type.Q5_0: 22, Type.Q5_1: 24, Type.Q8_0: 34}
ERRORS = {
    Type.F32: 0,
    Type.F16: 4e-4,
    Type.Q8_0: 0.01,
    Type.Q6_K: 0.03,
    Type.Q5_K: 0.05,
    Type.Q5_1: 0.06,
    Type.Q5_0: 0.06,
    Type.Q4_K: 0.09,
}


def _weights(count: int = 256 * 12) -> np.ndarray:
    return np.random.default_rng(3).standard_t(4, count).astype(np.float32) * np.float32(0.02)


@pytest.mark.judge("ggml")
@pytest.mark.parametrize("kind", SIMPLE)
def test_simple_types_have_ggmls_bytes(kind: Type, ggml: Ggml) -> None:
    weights = np.concatenate([_weights(), np.zeros(64, np.float32), np.full(64, -0.3, np.float32)])
    expected = ggml.encode(weights.reshape(1, -1), kind, SIMPLE[kind], 32)
    np.testing.assert_array_equal(encoder(kind)(weights), expected[0])


@pytest.mark.parametrize("kind", ERRORS)
def test_decoding_gives_the_weights_back(kind: Type) -> None:
    weights = _weights()
    error = decode(kind, encoder(kind)(weights)) - weights
    assert np.sqrt(np.square(error).mean() / np.square(weights).mean()) <= ERRORS[kind]


@pytest.mark.parametrize("strange", [np.nan, np.inf, -np.inf, 65_536.0, -1e35])
@pytest.mark.parametrize("kind", ERRORS)
def test_weights_that_do_not_fit_are_noticed(kind: Type, strange: float) -> None:
    weights = _weights()
    assert fits(kind, weights)
    weights[300] = strange
    assert fits(kind, weights) == (kind is Type.F32 and bool(np.isfinite(strange)))
