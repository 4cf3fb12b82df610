"""Loading for the device, adapters that fit and adapters that do not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from models_fixture import save_adapter

from joco_mlx.errors import InputError
from joco_mlx.models import load
from joco_mlx.models.compute import mx, nn
from joco_mlx.models.folder import ModelFolder, open_folder

TinyModel = Callable[..., Path]
TOKENS = [[1, 5, 9, 200, 33, 7]]


@pytest.fixture
def quantised(tiny_model: TinyModel) -> ModelFolder:
    return open_folder(tiny_model("qwen2", quantised={"group_size": 64, "bits": 4}))


@pytest.mark.skipif(load.device_kind() != "cpu", reason="a GPU keeps the weights as stored")
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", ["qwen2", "llama"])
def test_on_a_cpu_everything_is_float32_with_the_stored_values(tiny_model: TinyModel, kind: str, tied: bool) -> None:
    """Judge: mlx-lm's own 4-bit model with its scales in float32, which computes the same products."""
    import mlx_lm.utils

    folder = open_folder(tiny_model(kind, tied=tied, quantised={"group_size": 32, "bits": 4}, dtype="float32"))
    ours = load.load_model(folder)
    assert {array.dtype for array in _leaves(ours)} == {mx.float32}
    assert not [layer for layer in ours.modules() if isinstance(layer, nn.QuantizedLinear | nn.QuantizedEmbedding)]
    judge, _ = mlx_lm.utils.load_model(folder.path)
    difference = mx.abs(ours(mx.array(TOKENS)) - judge(mx.array(TOKENS))).max().item()
    assert difference < 1e-4


@pytest.mark.skipif(load.device_kind() != "cpu", reason="a GPU keeps the weights as stored")
def test_codes_are_widened_in_float32_and_not_in_the_type_of_their_scales(tiny_model: TinyModel) -> None:
    folder = open_folder(tiny_model("qwen2", quantised={"group_size": 64, "bits": 4}, dtype="bfloat16"))
    stored = mx.load(str(folder.path / "model.safetensors"))
    name = "model.layers.1.mlp.up_proj"
    scales, biases = (stored[f"{name}.{part}"].astype(mx.float32) for part in ("scales", "biases"))
    expected = mx.dequantize(stored[f"{name}.weight"], scales, biases, 64, 4)
    assert mx.array_equal(load.load_model(folder).model.layers[1].mlp.up_proj.weight, expected)


def test_an_adapter_gives_mlx_lms_logits(tiny_model: TinyModel, tmp_path: Path) -> None:
    import mlx_lm

    folder = open_folder(tiny_model("qwen2", dtype="float32"))
    adapter = save_adapter(tmp_path / "adapter", folder.path)
    judge, _ = mlx_lm.load(str(folder.path), adapter_path=str(adapter))
    ours = load.load_model(folder, adapter=adapter)
    tokens = mx.array(TOKENS)
    assert mx.allclose(ours(tokens), judge(tokens), atol=1e-5)
    assert not mx.allclose(ours(tokens), load.load_model(folder)(tokens), atol=1e-2), "the adapter must matter"


def test_the_recorded_digest_decides_whose_adapter_it_is(
    quantised: ModelFolder, tiny_model: TinyModel, tmp_path: Path
) -> None:
    base = {"name": "renamed since", "digest": quantised.digest}
    adapter = save_adapter(tmp_path / "adapter", quantised.path, base=base)
    load.load_model(quantised, adapter=adapter)
    other = open_folder(tiny_model("qwen2", quantised={"group_size": 64, "bits": 4}, seed=9))
    with pytest.raises(InputError, match="was trained on renamed since, not on") as caught:
        load.load_model(other, adapter=adapter)
    assert "joco-mlx train --model" in caught.value.hint


def test_mlx_lms_own_record_names_the_base(quantised: ModelFolder, tmp_path: Path) -> None:
    load.load_model(quantised, adapter=save_adapter(tmp_path / "own", quantised.path, model=str(quantised.path)))
    foreign = save_adapter(tmp_path / "foreign", quantised.path, model="mlx-community/Other-4bit")
    with pytest.raises(InputError, match="trained on mlx-community/Other-4bit"):
        load.load_model(quantised, adapter=foreign)


@pytest.mark.parametrize("other", [{"hidden": 128}, {"layers": 1}], ids=["wider", "fewer layers"])
def test_an_adapter_of_another_shape_is_refused(tiny_model: TinyModel, tmp_path: Path, other: dict[str, int]) -> None:
    adapter = save_adapter(tmp_path / "adapter", tiny_model("qwen2"))
    with pytest.raises(InputError, match="does not fit"):
        load.load_model(open_folder(tiny_model("qwen2", **other)), adapter=adapter)


def test_an_adapter_that_is_cut_short_is_not_told_as_one_of_another_base(
    quantised: ModelFolder, tmp_path: Path
) -> None:
    adapter = save_adapter(tmp_path / "adapter", quantised.path)
    weights = adapter / "adapters.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-100])
    with pytest.raises(InputError, match=rf"has {len(whole) - 100} bytes instead of {len(whole)}\.") as caught:
        load.load_model(quantised, adapter=adapter)
    assert caught.value.hint.endswith("joco-mlx train")


def test_an_adapter_with_tensors_missing_is_refused(quantised: ModelFolder, tmp_path: Path) -> None:
    adapter = save_adapter(tmp_path / "adapter", quantised.path)
    weights = mx.load(str(adapter / "adapters.safetensors"))
    weights.pop("model.layers.0.mlp.up_proj.lora_a")
    mx.save_safetensors(str(adapter / "adapters.safetensors"), weights)
    with pytest.raises(InputError, match="it holds 27 tensors where its configuration promises 28"):
        load.load_model(quantised, adapter=adapter)


@pytest.mark.parametrize("content", [None, "{", "[]", "{}"], ids=["missing", "broken", "a list", "empty"])
def test_a_folder_that_is_no_adapter_is_named(quantised: ModelFolder, tmp_path: Path, content: str | None) -> None:
    adapter = save_adapter(tmp_path / "adapter", quantised.path)
    (adapter / "adapter_config.json").unlink()
    if content is not None:
        (adapter / "adapter_config.json").write_text(content)
    with pytest.raises(InputError, match=r"adapter"):
        load.load_model(quantised, adapter=adapter)


def test_weights_that_contradict_the_configuration_are_refused(tiny_model: TinyModel, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(tiny_model("qwen2"), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(InputError, match="could not be loaded"):
        load.load_model(open_folder(folder))


def _leaves(model: nn.Module) -> list[Any]:
    from mlx.utils import tree_flatten

    return [array for _, array in tree_flatten(model.parameters())]


@pytest.mark.parametrize("quantised", [True, False], ids=["quantised", "float32"])
def test_an_adapter_is_merged_where_nothing_is_rounded(
    tiny_model: TinyModel, tmp_path: Path, quantised: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if quantised:
        monkeypatch.setattr(load, "device_kind", lambda: "metal")  # keeps the weights as stored
    options: dict[str, Any] = {"quantised": {"group_size": 64, "bits": 4}} if quantised else {"dtype": "float32"}
    folder = open_folder(tiny_model("qwen2", **options))
    model: Any = load.load_model(folder, adapter=save_adapter(tmp_path / "adapter", folder.path))
    before = model(mx.array(TOKENS))
    mx.eval(before)
    load.merge_exact(model)
    assert any(isinstance(layer, load.LoRALinear) for layer in model.modules()) == quantised
    assert mx.abs(model(mx.array(TOKENS)) - before).max().item() < 1e-4
