"""Every metadata key beside what llama.cpp's own converter writes, recorded by reading it; each difference has its reason.

Source: llama.cpp's `conversion/base.py` (`TextModel.set_gguf_parameters`, `prepare_metadata`, `get_vocab_base`),
`conversion/qwen.py` and `conversion/llama.py`, and `Metadata.set_gguf_meta_model` and `SpecialVocab` of its `gguf` package,
as of 2026. The last two are installed: the special tokens are compared with what they say, not with a record.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gguf
import pytest
from gguf import GGUFValueType as Stored

from joco_mlx.gguf.card import Card
from joco_mlx.gguf.export import export
from joco_mlx.merge import open_weights
from joco_mlx.models.folder import open_folder

CARD = Card("joco", "<|im_end|>", None, "Apache-2.0", "https://example.com/licence", "Qwen/Qwen2.5-Coder-1.5B-Instruct")
LINEAR = {"type": "linear", "factor": 4.0}
Table = Mapping[str, tuple[Stored, ...]]

CONVERTER: Table = {
    "general.architecture": (Stored.STRING,),
    "general.type": (Stored.STRING,),
    "general.name": (Stored.STRING,),
    "general.size_label": (Stored.STRING,),
    "general.license": (Stored.STRING,),
    "general.license.link": (Stored.STRING,),
    "general.base_model.count": (Stored.UINT32,),
    "general.base_model.0.name": (Stored.STRING,),
    "general.base_model.0.organization": (Stored.STRING,),
    "general.base_model.0.repo_url": (Stored.STRING,),
    "general.file_type": (Stored.UINT32,),
    "general.quantization_version": (Stored.UINT32,),
    "{arch}.block_count": (Stored.UINT32,),
    "{arch}.context_length": (Stored.UINT32,),
    "{arch}.embedding_length": (Stored.UINT32,),
    "{arch}.feed_forward_length": (Stored.UINT32,),
    "{arch}.attention.head_count": (Stored.UINT32,),
    "{arch}.attention.head_count_kv": (Stored.UINT32,),
    "{arch}.attention.layer_norm_rms_epsilon": (Stored.FLOAT32,),
    "{arch}.rope.freq_base": (Stored.FLOAT32,),
    "tokenizer.ggml.model": (Stored.STRING,),
    "tokenizer.ggml.pre": (Stored.STRING,),
    "tokenizer.ggml.tokens": (Stored.ARRAY, Stored.STRING),
    "tokenizer.ggml.token_type": (Stored.ARRAY, Stored.INT32),
    "tokenizer.ggml.merges": (Stored.ARRAY, Stored.STRING),
    "tokenizer.ggml.eos_token_id": (Stored.UINT32,),
    "tokenizer.ggml.padding_token_id": (Stored.UINT32,),
    "tokenizer.chat_template": (Stored.STRING,),
}
"""What it writes for Qwen2.5 and Llama alike, of a folder whose model card names licence and base."""
LLAMA: Table = {
    "llama.vocab_size": (Stored.UINT32,),
    "llama.rope.dimension_count": (Stored.UINT32,),
    "tokenizer.ggml.bos_token_id": (Stored.UINT32,),
}
SCALED: Table = {"llama.rope.scaling.type": (Stored.STRING,), "llama.rope.scaling.factor": (Stored.FLOAT32,)}

ONLY_THEIRS: Mapping[str, str] = {
    "general.basename": "guessed from the folder's name; general.base_model names the base itself",
    "general.finetune": "guessed from the folder's name",
    "general.organization": "guessed from the folder's name",
    "general.tags": "copied from the base's model card, which does not describe the tuned model",
    "general.languages": "copied from the base's model card, which does not describe the tuned model",
    "tokenizer.ggml.add_space_prefix": "llama.cpp reads it for SentencePiece alone; every tokenizer here is byte-level",
}
ONLY_OURS: Table = {
    # Ollama shows it; without it the sizes of the tensors are added up.
    "general.parameter_count": (Stored.UINT64,),
    # llama.cpp otherwise takes the first token that looks like an end; training may have used another.
    "tokenizer.ggml.eot_token_id": (Stored.UINT32,),
    # The converter leaves it out where tokenizer.json has no template; llama.cpp's default then depends on `pre`.
    "tokenizer.ggml.add_bos_token": (Stored.BOOL,),
}


def _written(folder: Path, out: Path) -> gguf.GGUFReader:
    card = Card(**vars(CARD) | {"chat_template": Card.of(open_folder(folder)).chat_template})
    export(open_weights(folder), folder, out, quantization="q4_k_m", card=card)
    return gguf.GGUFReader(out)


def _types(reader: gguf.GGUFReader) -> dict[str, tuple[Stored, ...]]:
    return {key: tuple(field.types) for key, field in reader.fields.items() if not key.startswith("GGUF.")}


def _model(tiny_model: Callable[..., Path], kind: str) -> Path:
    return tiny_model("llama", rope_scaling=LINEAR) if kind == "llama" else tiny_model("qwen2")


@pytest.mark.parametrize("kind", ["qwen2", "llama"])
def test_keys_and_their_types_are_the_converters(kind: str, tiny_model: Callable[..., Path], tmp_path: Path) -> None:
    found = _types(_written(_model(tiny_model, kind), tmp_path / "joco.gguf"))
    recorded = {key.format(arch=kind): types for key, types in CONVERTER.items()}
    recorded |= {**LLAMA, **SCALED} if kind == "llama" else {}
    assert found == recorded | ONLY_OURS
    assert not found.keys() & ONLY_THEIRS.keys()


@pytest.mark.parametrize("kind", ["qwen2", "llama"])
def test_values_are_those_of_the_config(kind: str, tiny_model: Callable[..., Path], tmp_path: Path) -> None:
    folder = _model(tiny_model, kind)
    config = json.loads((folder / "config.json").read_text())
    reader = _written(folder, tmp_path / "joco.gguf")
    names = {
        "block_count": "num_hidden_layers",
        "context_length": "max_position_embeddings",
        "embedding_length": "hidden_size",
        "feed_forward_length": "intermediate_size",
        "attention.head_count": "num_attention_heads",
        "attention.head_count_kv": "num_key_value_heads",
        "attention.layer_norm_rms_epsilon": "rms_norm_eps",
        "rope.freq_base": "rope_theta",
    }
    expected: dict[str, Any] = {f"{kind}.{key}": config[name] for key, name in names.items()}
    if kind == "llama":
        expected |= {
            "llama.vocab_size": config["vocab_size"],
            "llama.rope.dimension_count": config["hidden_size"] // config["num_attention_heads"],
            "llama.rope.scaling.type": gguf.RopeScalingType.LINEAR.value,
            "llama.rope.scaling.factor": LINEAR["factor"],
        }
    found = {key: reader.fields[key].contents() for key in expected}
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["qwen2", "llama"])
def test_special_tokens_are_those_of_the_gguf_package(
    kind: str, tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    folder = _model(tiny_model, kind)
    theirs = gguf.SpecialVocab(folder, load_merges=True)
    fields = _written(folder, tmp_path / "joco.gguf").fields
    names = {"bos": "bos", "eos": "eos", "pad": "padding", "unk": "unknown"}
    found = {
        name: fields[key].contents()
        for name, word in names.items()
        if (key := f"tokenizer.ggml.{word}_token_id") in fields
    }
    assert found == theirs.special_token_ids
    assert fields["tokenizer.ggml.merges"].contents() == theirs.merges
    assert fields["tokenizer.chat_template"].contents() == theirs.chat_template
