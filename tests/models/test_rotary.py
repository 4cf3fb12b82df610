"""Rotary settings as transformers 5 writes them. Judge: mlx-lm on the same model with the older names."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from joco_mlx.errors import InputError
from joco_mlx.models.compute import mx
from joco_mlx.models.folder import open_folder
from joco_mlx.models.load import load_model
from joco_mlx.models.rotary import older_settings

TinyModel = Callable[..., Path]
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


def _older(model: Path, folder: Path, scaling: Mapping[str, Any] | None) -> Path:
    """A copy with a base that is nobody's default, under the older names."""
    shutil.copytree(model, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "rope_theta": 5e5, "rope_scaling": scaling}))
    return folder


def _saved_by_transformers(older: Path, folder: Path) -> Path:
    from transformers import AutoConfig

    shutil.copytree(older, folder)
    AutoConfig.from_pretrained(older).save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    assert "rope_theta" not in config
    assert config["rope_parameters"]["rope_theta"] == 5e5
    return folder


@pytest.mark.parametrize(
    ("kind", "scaling"),
    [("llama", None), ("llama", LLAMA3), ("llama", {"rope_type": "linear", "factor": 4.0}), ("qwen2", None)],
    ids=["llama", "llama3", "linear", "qwen2"],
)
def test_a_folder_of_transformers_5_computes_what_it_did_before(
    kind: str, scaling: Mapping[str, Any] | None, tiny_model: TinyModel, tmp_path: Path
) -> None:
    import mlx_lm.utils

    older = _older(tiny_model(kind, dtype="float32"), tmp_path / "older", scaling)
    newer = _saved_by_transformers(older, tmp_path / "newer")
    tokens = mx.array([list(range(3, 99))])
    judge, _ = mlx_lm.utils.load_model(older)
    assert mx.abs(load_model(open_folder(newer))(tokens) - judge(tokens)).max().item() < 1e-4
    default, _ = mlx_lm.utils.load_model(newer)
    assert mx.abs(default(tokens) - judge(tokens)).max().item() > 1e-2, "the settings must matter"


def test_a_scaling_that_mlx_lm_does_not_compute_is_refused_on_opening(tiny_model: TinyModel, tmp_path: Path) -> None:
    folder = _older(tiny_model("llama"), tmp_path / "model", None)
    config = json.loads((folder / "config.json").read_text())
    config["rope_parameters"] = {"rope_theta": 5e5, "rope_type": "spiral"}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"config\.json scales rotary positions by 'spiral'"):
        open_folder(folder)


def test_a_table_for_each_type_of_layer_is_refused_where_mlx_lm_does_not_read_it(
    tiny_model: TinyModel, tmp_path: Path
) -> None:
    folder = _older(tiny_model("llama"), tmp_path / "model", None)
    config = json.loads((folder / "config.json").read_text())
    config["rope_parameters"] = {"full_attention": {"rope_theta": 5e5}, "sliding_attention": {"rope_theta": 1e4}}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="rope_parameters for each type of layer, which mlx-lm's llama does not read"):
        load_model(open_folder(folder))


@pytest.mark.parametrize(
    ("config", "settings"),
    [
        ({"rope_theta": 1e4}, {}),
        ({"rope_theta": 1e4, "rope_parameters": None}, {}),
        (
            {"rope_theta": 1e4, "rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}},
            {"rope_theta": 5e5, "rope_scaling": None},
        ),
        (
            {"rope_scaling": {"type": "linear", "factor": 2}, "rope_parameters": {"rope_theta": 5e5, **LLAMA3}},
            {"rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 2}},
        ),
        (
            {"rope_parameters": {"rope_theta": 5e5, "partial_rotary_factor": 0.25}},
            {"rope_theta": 5e5, "rope_scaling": None, "partial_rotary_factor": 0.25},
        ),
    ],
    ids=["none", "null", "the table's base wins", "an older scaling wins", "part of a head"],
)
def test_precedence_is_that_of_transformers(config: dict[str, Any], settings: dict[str, Any]) -> None:
    assert older_settings(config, "config.json") == settings
