"""A model folder as float32 tensors: the ones that mlx-lm loads."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from joco_mlx.errors import InputError
from joco_mlx.merge import open_weights
from joco_mlx.models.compute import mx, nn


def loaded(folder: Path) -> dict[str, Any]:
    """What mlx-lm loads, dequantised in float32."""
    from mlx.utils import tree_flatten
    from mlx_lm.utils import dequantize_model, load_model

    model, _ = load_model(folder)
    model.set_dtype(mx.float32)
    return dict(tree_flatten(dequantize_model(model).parameters()))


def copy(folder: Path, target: Path, **config: Any) -> Path:
    shutil.copytree(folder, target)
    path = target / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **config}))
    return target


def add(folder: Path, file: str, **tensors: Any) -> None:
    mx.save_safetensors(str(folder / file), {name.replace("__", "."): array for name, array in tensors.items()})


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("qwen2", {}),
        ("qwen2", {"tied": False, "dtype": "float16"}),
        ("llama", {"dtype": "float32"}),
        ("qwen2", {"quantised": {"group_size": 64, "bits": 4}}),
        ("llama", {"quantised": {"group_size": 32, "bits": 6}, "tied": False}),
    ],
    ids=str,
)
def test_names_and_values_are_those_of_mlx_lm(
    tiny_model: Callable[..., Path], kind: str, options: dict[str, Any]
) -> None:
    folder = tiny_model(kind, **options)
    weights, reference = open_weights(folder), loaded(folder)
    assert sorted(weights.names()) == sorted(reference)
    for name in weights.names():
        found = weights.read(name)
        assert found.dtype == np.float32
        assert weights.shape(name) == found.shape
        np.testing.assert_allclose(found, np.array(reference[name]), rtol=0, atol=1e-7)


def test_layers_come_in_their_numeric_order(tiny_model: Callable[..., Path]) -> None:
    names = open_weights(tiny_model("llama", layers=11)).names()
    order = [int(name.split(".")[2]) for name in names if ".layers." in name]
    assert order == sorted(order)
    assert order[-1] == 10


def test_each_layer_s_own_settings_are_used(tiny_model: Callable[..., Path], tmp_path: Path) -> None:
    from mlx_lm.utils import load_model, save_model

    def settings(path: str, module: nn.Module) -> bool | dict[str, int]:
        if path.endswith("o_proj"):
            return False
        return {"group_size": 32, "bits": 6} if path.endswith("down_proj") else hasattr(module, "to_quantized")

    model, config = load_model(tiny_model("qwen2"))
    nn.quantize(model, group_size=64, bits=4, class_predicate=settings)
    own = {
        path: {"group_size": 32, "bits": 6} if path.endswith("down_proj") else False
        for path, _ in model.named_modules()
        if path.endswith(("down_proj", "o_proj"))
    }
    save_model(tmp_path / "mixed", model)
    config["quantization"] = {"group_size": 64, "bits": 4, **own}
    (tmp_path / "mixed" / "config.json").write_text(json.dumps(config))
    weights, reference = open_weights(tmp_path / "mixed"), loaded(tmp_path / "mixed")
    for name in weights.names():
        np.testing.assert_allclose(weights.read(name), np.array(reference[name]), rtol=0, atol=1e-7)


def test_shards_are_one_model(tiny_model: Callable[..., Path], tmp_path: Path) -> None:
    whole = tiny_model("llama")
    folder = copy(whole, tmp_path / "sharded")
    tensors = mx.load(str(folder / "model.safetensors"))
    (folder / "model.safetensors").unlink()
    weight_map = {}
    for number, name in enumerate(tensors):
        file = f"model-{number:05d}-of-{len(tensors):05d}.safetensors"
        mx.save_safetensors(str(folder / file), {name: tensors[name]})
        weight_map[name] = file
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    one, many = open_weights(whole), open_weights(folder)
    assert one.names() == many.names()
    assert all(np.array_equal(one.read(name), many.read(name)) for name in one.names())
    (folder / file).unlink()
    with pytest.raises(InputError, match=f"lacks '{file}'"):
        open_weights(folder)


def test_what_mlx_lm_drops_is_dropped(tiny_model: Callable[..., Path], tmp_path: Path) -> None:
    folder = copy(tiny_model("llama"), tmp_path / "extra")
    add(folder, "model-extra.safetensors", lm_head__weight=mx.zeros((4, 4)))
    add(folder, "model-rotary.safetensors", model__layers__0__self_attn__rotary_emb__inv_freq=mx.zeros(4))
    assert open_weights(folder).names() == open_weights(tiny_model("llama")).names()


@pytest.mark.parametrize(
    ("config", "tensors", "message"),
    [
        ({"quantization_config": {"quant_method": "awq"}}, {}, "quantised by 'awq'"),
        ({}, {"x__weight": mx.zeros((2, 2), mx.int32)}, r"x\.weight in .* is stored as I32"),
        ({}, {"x__weight": mx.zeros((2, 2), mx.uint32), "x__scales": mx.zeros((2, 1))}, r"x\.weight is quantised in"),
        ({}, {"model__norm__weight": mx.zeros(64)}, r"model\.norm\.weight is in both"),
    ],
    ids=["another quantiser", "integers", "quantised without settings", "twice"],
)
def test_what_is_not_understood_is_named(
    tiny_model: Callable[..., Path], tmp_path: Path, config: dict[str, Any], tensors: dict[str, Any], message: str
) -> None:
    folder = copy(tiny_model("qwen2"), tmp_path / "bad", **config)
    if tensors:
        add(folder, "model-more.safetensors", **tensors)
    with pytest.raises(InputError, match=message):
        open_weights(folder)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"[" * 100_000], ids=["empty", "list", "bytes", "deep"])
def test_a_broken_config_is_an_input_error(tiny_model: Callable[..., Path], tmp_path: Path, content: bytes) -> None:
    folder = copy(tiny_model("qwen2"), tmp_path / "bad")
    (folder / "config.json").write_bytes(content)
    with pytest.raises(InputError, match=r"config\.json"):
        open_weights(folder)


def test_a_folder_without_weights_says_so(tiny_model: Callable[..., Path], tmp_path: Path) -> None:
    folder = copy(tiny_model("qwen2"), tmp_path / "empty")
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match="holds no weights"):
        open_weights(folder)
    with pytest.raises(InputError, match=r"config\.json cannot be read"):
        open_weights(tmp_path / "nowhere")
