"""The table of base models: complete, consistent with what it was copied from, and cheap to read."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from joco_mlx.config import DEFAULT_MODEL, TrainConfig, resolve
from joco_mlx.errors import InputError
from joco_mlx.models import registry
from joco_mlx.models.shape import Shape, read_config


@pytest.mark.parametrize(
    ("name", "millions", "quality"),
    [
        ("qwen2.5-coder-0.5b", 494.0, "Basic"),
        ("qwen2.5-coder-1.5b", 1_543.7, "Good"),
        ("qwen2.5-coder-3b", 3_085.9, "Better"),
        ("deepseek-coder-1.3b", 1_346.5, "Good"),
        ("smollm2-135m", 134.5, "Pilot"),
    ],
)
def test_the_shapes_give_the_published_parameter_counts(name: str, millions: float, quality: str) -> None:
    entry = registry.find(name)
    assert entry is not None
    assert entry.shape.parameters / 1e6 == pytest.approx(millions, abs=0.1)
    assert entry.quality == quality


def test_the_guides_four_models_have_a_base_and_an_instruct_entry() -> None:
    names = {entry.name for entry in registry.MODELS}
    for stem in ("qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b", "qwen2.5-coder-3b", "deepseek-coder-1.3b"):
        assert {stem, f"{stem}-instruct"} <= names


def test_the_default_is_the_pinned_15b() -> None:
    entry = registry.default()
    assert entry == registry.find("default")
    assert entry.name == DEFAULT_MODEL
    assert entry.repository == "mlx-community/Qwen2.5-Coder-1.5B-Instruct-4bit"
    assert entry.revision == "b3252a2f97102b1fb1571fec2c9b27219a8536be"
    assert entry.shape.weight_bytes == pytest.approx(868_628_559, rel=1e-3)
    assert entry.licence == "Apache-2.0"


def test_only_the_3b_is_for_research_only() -> None:
    research = {entry.name for entry in registry.MODELS if entry.research_only}
    assert research == {"qwen2.5-coder-3b", "qwen2.5-coder-3b-instruct"}


def test_a_base_model_is_spoken_to_in_the_guides_form() -> None:
    for entry in registry.MODELS:
        chat = entry.name.endswith("-instruct") or entry.source == "embedded"
        assert (entry.template == "alpaca") != chat, entry.name


def test_better_defaults_fit_the_training_options() -> None:
    for entry in registry.MODELS:
        made = resolve(TrainConfig, {}, environment={}, better_defaults=entry.training)
        assert made.max_seq_length <= 2_048


def test_names_are_found_in_any_case_and_by_repository() -> None:
    assert registry.find("SmolLM2-135M-Instruct") == registry.find("smollm2-135m")
    assert registry.find("nothing") is None
    found = registry.find_repository("Qwen/Qwen2.5-Coder-1.5B")
    assert found is not None
    assert found.name == "qwen2.5-coder-1.5b"
    assert registry.find_repository("someone/else") is None


def test_a_misspelt_name_has_near_ones() -> None:
    assert registry.nearest("qwen2.5-coder-1.5b-instuct")[0] == "qwen2.5-coder-1.5b-instruct"
    assert len(registry.nearest("zzz")) == len(registry.MODELS)


def test_reading_the_table_loads_no_array_library() -> None:
    code = (
        "import sys, joco_mlx.models.registry; print([m for m in ('mlx', 'numpy', 'tokenizers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_config_gives_the_same_shape_arithmetic(tiny_model: Callable[..., Path]) -> None:
    folder = tiny_model("qwen2", tied=False, quantised={"group_size": 64, "bits": 4})
    shape = Shape.from_config(read_config(folder), "tiny")
    assert shape.bits_per_weight == 4.5
    assert (shape.layers, shape.kv_hidden, shape.tied) == (2, 32, False)
    dense = tiny_model("llama", dtype="bfloat16")
    stored = (dense / "model.safetensors").stat().st_size
    assert Shape.from_config(read_config(dense), "tiny").weight_bytes == pytest.approx(stored, rel=0.05)


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({"model_type": "mamba"}, "num_attention_heads"),
        ({}, "model_type is None"),
        ({"model_type": "llama"}, "num_attention_heads"),
        ({"model_type": "llama", "num_attention_heads": "many"}, "many"),
    ],
)
def test_an_unusable_config_says_why(config: dict[str, object], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        Shape.from_config(config, "folder")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(None, "no config.json"), ("{", "JSON"), ("[" * 100_000, "JSON"), ("[]", "no JSON object")],
    ids=["none", "cut", "deep", "list"],
)
def test_a_missing_or_broken_config_is_named(tmp_path: Path, content: str | None, complaint: str) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(InputError, match=complaint):
        read_config(tmp_path)
