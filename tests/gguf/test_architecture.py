"""config.json to the keys that llama.cpp reads, and what is refused because llama.cpp would compute it differently."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from models_fixture import tiny_config

from joco_mlx.errors import InputError
from joco_mlx.gguf.architecture import Architecture


def _folder(path: Path, kind: str = "qwen2", changed: Mapping[str, Any] | None = None, without: str = "") -> Path:
    config = tiny_config(kind, vocabulary=512) | dict(changed or {})
    config.pop(without, None)
    (path / "config.json").write_text(json.dumps(config))
    return path


def test_qwen2_keys(tmp_path: Path) -> None:
    assert Architecture.from_folder(_folder(tmp_path)).metadata() == {
        "general.architecture": "qwen2",
        "qwen2.block_count": 2,
        "qwen2.context_length": 4096,
        "qwen2.embedding_length": 64,
        "qwen2.feed_forward_length": 128,
        "qwen2.attention.head_count": 4,
        "qwen2.attention.head_count_kv": 2,
        "qwen2.attention.layer_norm_rms_epsilon": 1e-6,
        "qwen2.rope.freq_base": 1e6,
    }


@pytest.mark.parametrize("key", ["type", "rope_type"])
def test_llama_adds_rotary_size_vocabulary_and_linear_scaling(key: str, tmp_path: Path) -> None:
    changed = {"rope_scaling": {key: "linear", "factor": 4}, "head_dim": 16}
    found = Architecture.from_folder(_folder(tmp_path, "llama", changed)).metadata()
    assert {key: value for key, value in found.items() if "rope" in key or "length" in key or "vocab" in key} == {
        "llama.context_length": 4096,
        "llama.embedding_length": 64,
        "llama.feed_forward_length": 128,
        "llama.attention.key_length": 16,
        "llama.attention.value_length": 16,
        "llama.vocab_size": 512,
        "llama.rope.dimension_count": 16,
        "llama.rope.freq_base": 10_000.0,
        "llama.rope.scaling.type": "linear",
        "llama.rope.scaling.factor": 4.0,
    }


@pytest.mark.parametrize(("kind", "base"), [("qwen2", 1e6), ("llama", 1e4)])
def test_a_missing_rope_theta_is_mlx_lms_default(kind: str, base: float, tmp_path: Path) -> None:
    assert Architecture.from_folder(_folder(tmp_path, kind, without="rope_theta")).rope_base == base


def test_a_head_of_its_own_width_changes_four_shapes(tmp_path: Path) -> None:
    shape = Architecture.from_folder(_folder(tmp_path, "llama", {"head_dim": 32})).shape
    assert [shape.linear(module) for module in ("q_proj", "k_proj", "v_proj", "o_proj", "up_proj")] == [
        (64, 128), (64, 64), (64, 64), (128, 64), (64, 128),
    ]  # fmt: skip


def test_windows_are_refused_where_mlx_lm_has_them(tmp_path: Path) -> None:
    """Models without any window have `layer_types`, too, since transformers 5; mlx-lm's qwen2 does not read it."""
    windows = {"layer_types": ["full_attention", "sliding_attention"], "sliding_window": 8}
    with pytest.raises(InputError, match="sliding window, which cannot be exported"):
        Architecture.from_folder(_folder(tmp_path, "llama", windows))
    for kind, changed in (
        ("llama", {"layer_types": ["full_attention"] * 2, "sliding_window": None}),
        ("qwen2", windows),
    ):
        plain = Architecture.from_folder(_folder(tmp_path, kind)).metadata()
        assert Architecture.from_folder(_folder(tmp_path, kind, changed)).metadata() == plain


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"model_type": "gemma"}, "'gemma'"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4}}, "'yarn'"),
        ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 5e5}}, "'llama3', which cannot be exported"),
        ({"rope_scaling": {"type": "linear"}}, "factor"),
        ({"rope_traditional": True}, "rope_traditional"),
        ({"rms_norm_eps": "small"}, "rms_norm_eps"),
        ({"max_position_embeddings": None}, "max_position_embeddings"),
        ({"rope_theta": float("inf")}, "rope_theta"),
        ({"rope_theta": 1e308}, "rope_theta"),
        ({"max_position_embeddings": 10**30}, "max_position_embeddings"),
    ],
)
def test_what_cannot_be_expressed_is_named(changed: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        Architecture.from_folder(_folder(tmp_path, changed=changed))


@pytest.mark.parametrize("kind", ["qwen2", "llama"])
def test_rotary_settings_of_transformers_5_are_those_of_the_older_names(kind: str, tmp_path: Path) -> None:
    older = {"rope_theta": 5e5, "rope_scaling": {"rope_type": "linear", "factor": 4.0}}
    expected = Architecture.from_folder(_folder(tmp_path, kind, older)).metadata()
    newer = {"rope_parameters": {"rope_theta": 5e5, "rope_type": "linear", "factor": 4.0}}
    assert Architecture.from_folder(_folder(tmp_path, kind, newer, without="rope_theta")).metadata() == expected
