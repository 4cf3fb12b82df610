"""A llama GGUF with simple 4-bit blocks becomes a Hugging Face folder, its codes untouched.

Decides how ggml's names, row order and tokenizer metadata are turned back. MLX reads Q4_1 and Q8_0 blocks as affine
codes (weight = scale * code + bias, groups of 32), so nothing is quantised twice. Source of the layout: the GGUF
specification (ggml, docs/gguf.md) and llama.cpp's convert_hf_to_gguf.py (`LlamaModel.permute`).
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from tokenizers import AddedToken, decoders, models, pre_tokenizers
from tokenizers import Tokenizer as Fast

from joco_mlx.errors import InputError
from joco_mlx.models.compute import mx

GROUP_SIZE = 32
_CONTROL = 3  # LLAMA_TOKEN_TYPE_CONTROL
_LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_OTHER_NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


def unpack(gguf: Path, folder: Path) -> None:
    """Write config.json, model.safetensors and the tokenizer of `gguf` into an existing `folder`.

    Raises:
        InputError: The file is of another architecture or tokenizer than the embedded model's.
    """
    tensors, metadata = cast(tuple[dict[str, Any], dict[str, Any]], mx.load(str(gguf), return_metadata=True))
    _check_kind(gguf, metadata)
    heads = _number(metadata, "llama.attention.head_count")
    kv_heads = _number(metadata, "llama.attention.head_count_kv")
    weights = {hugging_face_name(name): unpermuted(name, array, heads, kv_heads) for name, array in tensors.items()}
    mx.save_safetensors(str(folder / "model.safetensors"), weights, {"format": "mlx"})
    _write(folder / "config.json", model_config(metadata, weights))
    _write_tokenizer(folder, metadata)


def hugging_face_name(name: str) -> str:
    """Return the Hugging Face name of a ggml tensor: `blk.0.attn_q.scales` -> `model.layers.0.self_attn.q_proj.scales`."""
    stem, _, part = name.rpartition(".")
    layer = re.fullmatch(r"blk\.(\d+)\.(\w+)", stem)
    if layer:
        return f"model.layers.{layer[1]}.{_LAYER_NAMES[layer[2]]}.{part}"
    return f"{_OTHER_NAMES[stem]}.{part}"


def unpermuted(name: str, array: Any, heads: int, kv_heads: int) -> Any:
    """Return `array` with the rows of q and k in Hugging Face's order.

    ggml rotates neighbouring pairs of a head, Hugging Face its two halves. Codes, scales and biases are permuted
    alike, because each row has its own.
    """
    count = {"attn_q": heads, "attn_k": kv_heads}.get(name.split(".")[-2])
    if count is None:
        return array
    rows = array.shape[0]
    pairs = array.reshape(count, rows // count // 2, 2, *array.shape[1:])
    return mx.contiguous(pairs.swapaxes(1, 2).reshape(array.shape))


def model_config(metadata: Mapping[str, Any], weights: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config.json of the unpacked model, with mlx-lm's `quantization` table.

    Tensors that have other than 4 bits (the embedding has 8) get an entry of their own.
    """
    quantization: dict[str, Any] = {"group_size": GROUP_SIZE, "bits": 4}
    for name, array in weights.items():
        stem = name.removesuffix(".scales")
        if stem != name and (bits := weights[f"{stem}.weight"].shape[-1] * 32 // (array.shape[-1] * GROUP_SIZE)) != 4:
            quantization[stem] = {"group_size": GROUP_SIZE, "bits": bits}
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": _number(metadata, "llama.embedding_length"),
        "num_hidden_layers": _number(metadata, "llama.block_count"),
        "intermediate_size": _number(metadata, "llama.feed_forward_length"),
        "num_attention_heads": _number(metadata, "llama.attention.head_count"),
        "num_key_value_heads": _number(metadata, "llama.attention.head_count_kv"),
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "rms_norm_eps": float(f"{metadata['llama.attention.layer_norm_rms_epsilon'].item():.6g}"),
        "rope_theta": float(metadata["llama.rope.freq_base"].item()),
        "rope_scaling": None,
        "max_position_embeddings": _number(metadata, "llama.context_length"),
        "vocab_size": _number(metadata, "llama.vocab_size"),
        "tie_word_embeddings": "lm_head.weight" not in weights,
        "bos_token_id": _number(metadata, "tokenizer.ggml.bos_token_id"),
        "eos_token_id": _number(metadata, "tokenizer.ggml.eos_token_id"),
        "pad_token_id": _number(metadata, "tokenizer.ggml.padding_token_id"),
        "torch_dtype": "bfloat16",
        "quantization": quantization,
        "quantization_config": quantization,
    }


def _check_kind(gguf: Path, metadata: Mapping[str, Any]) -> None:
    found = (
        metadata.get("general.architecture"),
        metadata.get("tokenizer.ggml.model"),
        metadata.get("tokenizer.ggml.pre"),
    )
    if found != ("llama", "gpt2", "smollm"):
        raise InputError(
            f"{gguf} is a {'/'.join(map(str, found))} model, but only llama/gpt2/smollm is read.",
            "Give the model as a Hugging Face folder with --model DIR.",
        )


def _write_tokenizer(folder: Path, metadata: Mapping[str, Any]) -> None:
    tokens = metadata["tokenizer.ggml.tokens"]
    types = metadata["tokenizer.ggml.token_type"].tolist()
    merges = [tuple(merge.split(" ")) for merge in metadata["tokenizer.ggml.merges"]]
    tokenizer = Fast(models.BPE(vocab={token: number for number, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control = [token for token, kind in zip(tokens, types, strict=True) if kind == _CONTROL]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
    tokenizer.save(str(folder / "tokenizer.json"))
    _write(folder / "tokenizer_config.json", _tokenizer_config(metadata))


def _tokenizer_config(metadata: Mapping[str, Any]) -> dict[str, Any]:
    def token(role: str) -> str:
        return str(metadata["tokenizer.ggml.tokens"][_number(metadata, f"tokenizer.ggml.{role}_token_id")])

    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": token("bos"),
        "eos_token": token("eos"),
        "unk_token": token("unknown"),
        "pad_token": token("padding"),
        "add_bos_token": False,
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": _number(metadata, "llama.context_length"),
        "chat_template": metadata["tokenizer.chat_template"],
    }


def _number(metadata: Mapping[str, Any], key: str) -> int:
    return int(metadata[key].item())


def _write(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")
