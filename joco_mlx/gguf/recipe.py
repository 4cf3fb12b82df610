"""Which tensor is stored in which type: llama.cpp's mixes, so that a file is what its name promises everywhere.

Follows `llama_tensor_get_type` and `tensor_type_fallback` of llama.cpp's `src/llama-quant.cpp` for dense qwen2 and
llama models. Leaves the encoding to `encoders`, and what the tensors are called to `tensors`.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from gguf import GGML_QUANT_SIZES, LlamaFileType
from gguf import GGMLQuantizationType as Type

from joco_mlx.config import Quantization

FILE_TYPES: Mapping[Quantization, int] = MappingProxyType(
    {
        "q4_k_m": int(LlamaFileType.MOSTLY_Q4_K_M),
        "q4_k_s": int(LlamaFileType.MOSTLY_Q4_K_S),
        "q5_k_m": int(LlamaFileType.MOSTLY_Q5_K_M),
        "q6_k": int(LlamaFileType.MOSTLY_Q6_K),
        "q8_0": int(LlamaFileType.MOSTLY_Q8_0),
        "f16": int(LlamaFileType.MOSTLY_F16),
    }
)
"""Quantization -> llama.cpp's number for the whole file, `general.file_type`."""

_MAIN: Mapping[Quantization, Type] = {
    "q4_k_m": Type.Q4_K,
    "q4_k_s": Type.Q4_K,
    "q5_k_m": Type.Q5_K,
    "q6_k": Type.Q6_K,
    "q8_0": Type.Q8_0,
    "f16": Type.F16,
}
_K_QUANTS = (Type.Q4_K, Type.Q5_K, Type.Q6_K)
_NARROWER = {Type.Q4_K: Type.Q5_0, Type.Q5_K: Type.Q5_1, Type.Q6_K: Type.Q8_0}
"""What llama.cpp takes for rows that are no whole number of super-blocks of 256."""
_FIRST_VALUES = 4
"""Layers whose values get a bit more in q4_k_s, however many layers there are."""
_SENSITIVE = re.compile(r"blk\.(\d+)\.(attn_v|ffn_down)\.weight")


def tensor_type(name: str, shape: tuple[int, ...], quantization: Quantization, *, layers: int, tied: bool) -> Type:
    """Return the type of one tensor.

    Args:
        name: GGUF name (`blk.0.attn_q.weight`).
        shape: Rows first.
        quantization: The mix.
        layers: Number of blocks of the model.
        tied: Whether the embedding is also the output layer.
    """
    if len(shape) < 2 or not name.endswith(".weight"):
        return Type.F32
    wanted = _MAIN[quantization]
    if wanted in _K_QUANTS:
        wanted = Type.Q6_K if _is_output(name, tied=tied) else _in_block(name, quantization, wanted, layers)
    return _fitting(wanted, shape[-1])


def keeps_six_bits(layer: int, layers: int) -> bool:
    """Whether `layer` is one that llama.cpp treats as sensitive to rounding (its `use_more_bits`).

    The first and last eighth, and every third layer between: 14 of 28.
    """
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2


def stored_bytes(kind: Type, shape: tuple[int, ...]) -> int:
    """Return what a tensor takes in the file, without padding."""
    weights, block_bytes = GGML_QUANT_SIZES[kind]
    count = 1
    for length in shape:
        count *= length
    return count // int(weights) * int(block_bytes)


def _is_output(name: str, *, tied: bool) -> bool:
    return name == "output.weight" or (tied and name == "token_embd.weight")


def _in_block(name: str, quantization: Quantization, main: Type, layers: int) -> Type:
    """The values and the way out of the feed-forward network get more bits in some layers."""
    found = _SENSITIVE.fullmatch(name)
    if found is None:
        return main
    layer = int(found[1])
    if quantization == "q4_k_s":
        return Type.Q5_K if layer < (_FIRST_VALUES if found[2] == "attn_v" else layers // 8) else main
    return Type.Q6_K if quantization.endswith("_m") and keeps_six_bits(layer, layers) else main


def _fitting(wanted: Type, columns: int) -> Type:
    """The nearest type whose blocks fill a row; F16 has no blocks.

    llama.cpp refuses a Q8_0 whose rows are no multiple of 32; its converter takes F16 there, and so do we.
    """
    for kind in (wanted, _NARROWER.get(wanted, wanted)):
        if columns % int(GGML_QUANT_SIZES[kind][0]) == 0:
            return kind
    return Type.F16
