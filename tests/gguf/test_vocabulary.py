"""tokenizer.json to metadata: types, padding, parts, and tokenizers that llama.cpp could not follow."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from models_fixture import save_tokenizer, tiny_tokenizer
from tokenizers import AddedToken, processors

from joco_mlx.errors import InputError
from joco_mlx.gguf.pretokenizer import KNOWN
from joco_mlx.gguf.vocabulary import vocabulary_metadata

END = "<|im_end|>"
Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tokenizer of 483 tokens beside a minimal config.json."""
    save_tokenizer(tiny_tokenizer("qwen2"), tmp_path, "qwen2")
    (tmp_path / "config.json").write_text(json.dumps({"bos_token_id": 480, "pad_token_id": 3}))
    return tmp_path


def _changed(folder: Path, change: Change, name: str = "tokenizer.json") -> Path:
    content = json.loads((folder / name).read_text())
    change(content)
    (folder / name).write_text(json.dumps(content))
    return folder


def test_every_row_of_the_embedding_has_a_token(folder: Path) -> None:
    found = vocabulary_metadata(folder, 512, END, "{{ messages }}")
    tokens, types = found["tokenizer.ggml.tokens"], found["tokenizer.ggml.token_type"]
    assert isinstance(tokens, list)
    assert isinstance(types, list)
    assert tokens[480:484] == ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "[PAD483]"]
    assert (types[0], types[480:484], types[-1], len(types)) == (1, [3, 3, 3, 5], 5, 512)


def test_parts_come_from_where_they_are_said(folder: Path) -> None:
    found = vocabulary_metadata(folder, 512, "<|endoftext|>", "{{ messages }}")
    assert {key: value for key, value in found.items() if not isinstance(value, list)} == {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "qwen2",
        "tokenizer.ggml.bos_token_id": 480,  # config.json: tokenizer_config.json names none
        "tokenizer.ggml.padding_token_id": 480,  # tokenizer_config.json wins over config.json
        "tokenizer.ggml.eos_token_id": 480,
        "tokenizer.ggml.eot_token_id": 480,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": "{{ messages }}",
    }


def test_a_start_token_of_the_tokenizer_is_added_by_llama_cpp_too(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer("llama")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|im_start|> $A", special_tokens=[("<|im_start|>", tokenizer.token_to_id("<|im_start|>"))]
    )
    save_tokenizer(tokenizer, tmp_path, "llama")
    (tmp_path / "config.json").write_text("{}")
    found = vocabulary_metadata(tmp_path, 512, END, None)
    assert found["tokenizer.ggml.add_bos_token"] is True
    assert found["tokenizer.ggml.bos_token_id"] == tokenizer.token_to_id("<|im_start|>")
    assert "tokenizer.chat_template" not in found


def test_tokens_that_look_like_control_are_control(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer("qwen2")
    tokenizer.add_tokens([AddedToken(text, special=False) for text in ("<|fim_prefix|>", "<tool_call>")])
    save_tokenizer(tokenizer, tmp_path, "qwen2")
    (tmp_path / "config.json").write_text("{}")
    types = vocabulary_metadata(tmp_path, 512, END, None)["tokenizer.ggml.token_type"]
    assert isinstance(types, list)
    assert types[482:486] == [3, 3, 4, 5]


def test_a_padding_token_that_the_vocabulary_lacks_yields_to_the_configs_number(folder: Path) -> None:
    _changed(folder, lambda content: content.update(pad_token={"content": "<pad>"}), "tokenizer_config.json")
    assert vocabulary_metadata(folder, 512, END, None)["tokenizer.ggml.padding_token_id"] == 3


@pytest.mark.parametrize("merges", ["pairs", "texts"])
def test_both_forms_of_merges_are_read(merges: str, folder: Path) -> None:
    content = json.loads((folder / "tokenizer.json").read_text())
    pairs = content["model"]["merges"]
    content["model"]["merges"] = pairs if merges == "pairs" else [" ".join(pair) for pair in pairs]
    (folder / "tokenizer.json").write_text(json.dumps(content))
    found = vocabulary_metadata(folder, 512, END, None)["tokenizer.ggml.merges"]
    assert found == [" ".join(pair) for pair in pairs]


BROKEN: dict[str, tuple[Change, str]] = {
    "unknown-splitting": (lambda c: c.update(pre_tokenizer={"type": "Whitespace"}), "Whitespace"),
    "no-splitting": (lambda c: c.update(pre_tokenizer=None), "no pre_tokenizer"),
    "lower-cases": (lambda c: c.update(normalizer={"type": "Lowercase"}), "'Lowercase'"),
    "no-merges": (lambda c: c["model"].update(merges=[]), "no merges"),
    "byte-fallback": (lambda c: c["model"].update(byte_fallback=True), "only byte-level BPE"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_tokenizers_that_llama_cpp_cannot_follow_are_refused(case: str, folder: Path) -> None:
    change, words = BROKEN[case]
    with pytest.raises(InputError, match=words):
        vocabulary_metadata(_changed(folder, change), 512, END, None)


def test_an_unknown_splitting_names_the_known_ones(folder: Path) -> None:
    _changed(folder, lambda content: content.update(pre_tokenizer={"type": "Whitespace"}))
    with pytest.raises(InputError) as caught:
        vocabulary_metadata(folder, 512, END, None)
    assert all(name in caught.value.hint for name in KNOWN)


def test_a_tokenizer_larger_than_the_embedding_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="token 482, but its model only 480 rows"):
        vocabulary_metadata(folder, 480, END, None)


def test_an_end_token_that_is_none_is_named(folder: Path) -> None:
    with pytest.raises(InputError, match=r"<\|EOT\|>"):
        vocabulary_metadata(folder, 512, "<|EOT|>", None)
