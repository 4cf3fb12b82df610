"""The mix of types: llama.cpp's table, and what becomes of rows that do not fit."""

import pytest
from gguf import GGMLQuantizationType as Type

from joco_mlx.config import Quantization
from joco_mlx.gguf.recipe import FILE_TYPES, keeps_six_bits, stored_bytes, tensor_type


def test_fourteen_of_twenty_eight_layers_are_sensitive() -> None:
    assert [layer for layer in range(28) if keeps_six_bits(layer, 28)] == [
        0,
        1,
        2,
        5,
        8,
        11,
        14,
        17,
        20,
        23,
        24,
        25,
        26,
        27,
    ]


@pytest.mark.parametrize(
    ("name", "columns", "tied", "expected"),
    [
        ("token_embd.weight", 1536, True, Type.Q6_K),
        ("token_embd.weight", 1536, False, Type.Q4_K),
        ("token_embd.weight", 896, True, Type.Q8_0),
        ("token_embd.weight", 896, False, Type.Q5_0),
        ("output.weight", 2048, False, Type.Q6_K),
        ("output.weight", 576, False, Type.Q8_0),
        ("blk.0.attn_v.weight", 1536, True, Type.Q6_K),
        ("blk.3.attn_v.weight", 1536, True, Type.Q4_K),
        ("blk.0.ffn_down.weight", 8960, True, Type.Q6_K),
        ("blk.3.ffn_down.weight", 8960, True, Type.Q4_K),
        ("blk.0.ffn_down.weight", 5504, False, Type.Q8_0),
        ("blk.3.ffn_down.weight", 5504, False, Type.Q5_0),
        ("blk.0.attn_q.weight", 1536, True, Type.Q4_K),
        ("blk.0.attn_k.weight", 896, True, Type.Q5_0),
        ("blk.0.ffn_up.weight", 80, True, Type.F16),
        ("blk.0.ffn_down.weight", 80, True, Type.F16),
        ("output.weight", 80, False, Type.F16),
    ],
)
def test_q4_k_m_takes_llama_cpps_type(name: str, columns: int, tied: bool, expected: Type) -> None:
    assert tensor_type(name, (512, columns), "q4_k_m", layers=28, tied=tied) is expected


@pytest.mark.parametrize(
    ("quantization", "name", "columns", "expected"),
    [
        ("q4_k_s", "blk.3.attn_v.weight", 1536, Type.Q5_K),
        ("q4_k_s", "blk.4.attn_v.weight", 1536, Type.Q4_K),
        ("q4_k_s", "blk.2.ffn_down.weight", 8960, Type.Q5_K),
        ("q4_k_s", "blk.3.ffn_down.weight", 8960, Type.Q4_K),
        ("q4_k_s", "blk.0.attn_v.weight", 896, Type.Q5_1),
        ("q4_k_s", "token_embd.weight", 1536, Type.Q6_K),
        ("q5_k_m", "blk.0.attn_v.weight", 1536, Type.Q6_K),
        ("q5_k_m", "blk.3.ffn_down.weight", 8960, Type.Q5_K),
        ("q5_k_m", "blk.0.attn_q.weight", 896, Type.Q5_1),
        ("q5_k_m", "token_embd.weight", 896, Type.Q8_0),
        ("q6_k", "blk.0.attn_q.weight", 1536, Type.Q6_K),
        ("q6_k", "blk.0.ffn_down.weight", 5504, Type.Q8_0),
        ("q6_k", "blk.0.ffn_down.weight", 80, Type.F16),
    ],
)
def test_the_other_mixes_take_llama_cpps_types(
    quantization: Quantization, name: str, columns: int, expected: Type
) -> None:
    assert tensor_type(name, (512, columns), quantization, layers=28, tied=True) is expected


@pytest.mark.parametrize("quantization", FILE_TYPES)
@pytest.mark.parametrize("name", ["blk.0.attn_norm.weight", "output_norm.weight", "blk.0.attn_q.bias"])
def test_vectors_stay_exact(name: str, quantization: Quantization) -> None:
    assert tensor_type(name, (1536,), quantization, layers=28, tied=True) is Type.F32


@pytest.mark.parametrize(
    ("quantization", "columns", "expected"),
    [("q8_0", 1536, Type.Q8_0), ("q8_0", 80, Type.F16), ("f16", 1536, Type.F16), ("f16", 80, Type.F16)],
)
def test_the_plain_mixes_have_one_type(quantization: Quantization, columns: int, expected: Type) -> None:
    for name in ("token_embd.weight", "output.weight", "blk.0.ffn_down.weight"):
        assert tensor_type(name, (512, columns), quantization, layers=28, tied=True) is expected


@pytest.mark.parametrize(
    ("kind", "shape", "expected"),
    [(Type.Q4_K, (3, 512), 864), (Type.Q6_K, (1, 256), 210), (Type.Q5_0, (2, 96), 132), (Type.Q8_0, (1, 32), 34),
     (Type.F16, (5, 7), 70), (Type.F32, (7,), 28)],
)  # fmt: skip
def test_sizes_follow_the_blocks(kind: Type, shape: tuple[int, ...], expected: int) -> None:
    assert stored_bytes(kind, shape) == expected
