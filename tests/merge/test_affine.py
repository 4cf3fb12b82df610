"""Widening MLX's codes, with MLX as judge in float32."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from joco_mlx.errors import InputError
from joco_mlx.merge.affine import AffineTensor, affine_tensor, unpack
from joco_mlx.merge.tensorfile import Entry, read_header
from joco_mlx.models.compute import mx


def quantised(path: Path, bits: int, group_size: int, rows: int = 6, columns: int = 384) -> dict[str, Entry]:
    mx.random.seed(bits)
    parts = mx.quantize(mx.random.normal((rows, columns)).astype(mx.bfloat16), group_size=group_size, bits=bits)
    mx.save_safetensors(str(path), dict(zip(("codes", "scales", "biases"), parts, strict=True)))
    return read_header(path)


def opened(entries: dict[str, Entry], **settings: Any) -> AffineTensor:
    return affine_tensor("w.weight", (entries["codes"], entries["scales"], entries.get("biases")), settings)


@pytest.mark.parametrize("group_size", [32, 64, 128])
@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 8])
def test_the_weights_are_mlx_s_own_in_float32(tmp_path: Path, bits: int, group_size: int) -> None:
    entries = quantised(tmp_path / "q.safetensors", bits, group_size)
    tensor = opened(entries, bits=bits, group_size=group_size)
    parts = mx.load(str(tmp_path / "q.safetensors"))
    codes, scales, biases = (parts[name] for name in ("codes", "scales", "biases"))
    wide = mx.dequantize(codes, scales.astype(mx.float32), biases.astype(mx.float32), group_size=group_size, bits=bits)
    assert tensor.shape == (6, 384)
    np.testing.assert_array_equal(tensor.floats(), np.array(wide))
    np.testing.assert_array_equal(tensor.floats(2, 5), np.array(wide)[2:5])


def test_float32_keeps_what_mlx_s_bfloat16_rounds_away(tmp_path: Path) -> None:
    tensor = opened(quantised(tmp_path / "q.safetensors", 4, 64), bits=4, group_size=64)
    parts = mx.load(str(tmp_path / "q.safetensors"))
    rounded = mx.dequantize(parts["codes"], parts["scales"], parts["biases"], group_size=64, bits=4)
    exact = tensor.floats()
    error = np.array(rounded.astype(mx.float32)) - exact
    assert 1e-4 < np.sqrt(np.mean(error**2) / np.mean(exact**2)) < 1e-2


def test_chunks_join_without_a_seam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tensor = opened(quantised(tmp_path / "q.safetensors", 3, 32, rows=11), bits=3, group_size=32)
    whole = tensor.floats()
    monkeypatch.setattr("joco_mlx.merge.affine._CHUNK_ITEMS", 2 * 384)
    np.testing.assert_array_equal(tensor.floats(), whole)


def test_eight_bits_are_the_bytes_themselves() -> None:
    words = np.array([[0x04030201, 0x08070605]], np.uint32)
    assert unpack(words, 8).tolist() == [[1, 2, 3, 4, 5, 6, 7, 8]]
    assert words.tolist() == [[0x04030201, 0x08070605]]


@pytest.mark.parametrize(
    "settings",
    [
        {"bits": 7, "group_size": 64},
        {"bits": 4, "group_size": 48},
        {"bits": 4.0, "group_size": 64},
        {"bits": True, "group_size": 64},
        {"bits": [4], "group_size": 64},
        {"bits": 4, "group_size": 32, "mode": "mxfp4"},
        {},
    ],
    ids=str,
)
def test_settings_that_mlx_does_not_have_are_named(tmp_path: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"w\.weight is quantised in mode") as caught:
        opened(quantised(tmp_path / "q.safetensors", 4, 64), **settings)
    assert "2, 3, 4, 5, 6 or 8 bits" in caught.value.hint


def test_codes_that_do_not_fit_the_settings_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not quantised to 8 bits in groups of 64"):
        opened(quantised(tmp_path / "q.safetensors", 4, 64), bits=8, group_size=64)


def test_missing_biases_are_named(tmp_path: Path) -> None:
    entries = quantised(tmp_path / "q.safetensors", 4, 64)
    del entries["biases"]
    with pytest.raises(InputError, match="has scales but no biases"):
        opened(entries, bits=4, group_size=64)
