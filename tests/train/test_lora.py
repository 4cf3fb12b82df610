"""Adapters go where the config says, start as nothing, and are mlx-lm's own files."""

import json
from dataclasses import replace

import mlx_lm
import pytest
from mlx_lm.utils import load_model

from joco_mlx.config import TrainConfig
from joco_mlx.errors import UsageError
from joco_mlx.models.compute import mx, trees
from joco_mlx.train.mlx_lora.lora import adapter_tensors, add_adapters, save_adapters

CONFIG = TrainConfig(rank=4, alpha=8.0)
BASE = {"name": "tiny", "digest": "0" * 64}


def adapted(folder, config=CONFIG):
    model = load_model(folder)[0]
    mx.random.seed(config.seed)
    return model, add_adapters(model, config, BASE)


def give_weight(model):
    """Move the second factors off zero, as training would."""
    for number, (name, array) in enumerate(sorted(adapter_tensors(model).items())):
        moved = mx.random.normal(array.shape, key=mx.random.key(number)) * 0.05
        model.load_weights([(name, moved)], strict=False)


def test_seven_modules_of_every_layer_get_float32_factors(tiny_model):
    model, description = adapted(tiny_model("qwen2", dtype="bfloat16"))
    tensors = adapter_tensors(model)
    assert len(tensors) == 2 * 7 * 2
    assert {array.dtype for array in tensors.values()} == {mx.float32}
    assert tensors["model.layers.1.mlp.up_proj.lora_a"].shape == (64, 4)
    assert tensors["model.layers.1.mlp.up_proj.lora_b"].shape == (4, 128)
    assert description["num_layers"] == 2
    assert description["lora_parameters"]["scale"] == 2.0
    assert description["base"] == BASE


def test_only_the_top_layers_and_named_modules(tiny_model):
    config = replace(CONFIG, layers=1, target_modules=("q_proj", "down_proj"))
    model, description = adapted(tiny_model("llama"), config)
    stems = {name.rsplit(".", 1)[0] for name in adapter_tensors(model)}
    assert stems == {"model.layers.1.self_attn.q_proj", "model.layers.1.mlp.down_proj"}
    assert description["lora_parameters"]["keys"] == ["mlp.down_proj", "self_attn.q_proj"]


def test_training_starts_at_the_base_model(tiny_model):
    folder = tiny_model("qwen2", dtype="float32")
    ids = mx.arange(20)[None]
    model, _ = adapted(folder)
    assert mx.array_equal(model(ids), load_model(folder)[0](ids))


def test_the_seed_decides_the_factors(tiny_model):
    first, again, other = (
        adapter_tensors(adapted(tiny_model("llama"), replace(CONFIG, seed=seed))[0]) for seed in (1, 1, 2)
    )
    name = "model.layers.0.self_attn.q_proj.lora_a"
    assert mx.array_equal(first[name], again[name])
    assert not mx.array_equal(first[name], other[name])


@pytest.mark.parametrize("kind", ["qwen2", "llama"])
@pytest.mark.parametrize("quantised", [None, {"group_size": 32, "bits": 4}], ids=["dense", "4-bit"])
def test_mlx_lm_loads_the_adapters_and_gives_the_same_logits(tiny_model, tmp_path, kind, quantised):
    folder = tiny_model(kind, dtype="float32", quantised=quantised)
    model, description = adapted(folder, replace(CONFIG, layers=1))
    give_weight(model)
    files = save_adapters(model, description, tmp_path / "adapters")
    assert sorted(path.name for path in files) == ["adapter_config.json", "adapters.safetensors"]
    theirs, _ = mlx_lm.load(str(folder), adapter_path=str(tmp_path / "adapters"))
    ids = mx.arange(40)[None]
    assert mx.array_equal(theirs(ids), model.eval()(ids))
    assert not mx.allclose(theirs(ids), load_model(folder)[0](ids))


def test_the_stored_configuration_is_complete(tiny_model, tmp_path):
    model, description = adapted(tiny_model("qwen2"))
    save_adapters(model, description, tmp_path)
    stored = json.loads((tmp_path / "adapter_config.json").read_text())
    assert stored["fine_tune_type"] == "lora"
    assert stored["lora_parameters"] == {
        "rank": 4,
        "scale": 2.0,
        "dropout": 0.0,
        "keys": [f"mlp.{name}_proj" for name in ("down", "gate", "up")]
        + [f"self_attn.{name}_proj" for name in ("k", "o", "q", "v")],
    }


def test_a_module_that_the_model_lacks_is_named_with_those_it_has(tiny_model):
    with pytest.raises(UsageError) as problem:
        adapted(tiny_model("qwen2"), replace(CONFIG, target_modules=("q_proj", "c_attn")))
    assert "'c_attn'" in problem.value.message
    assert "gate_proj" in problem.value.hint


def test_more_layers_than_there_are(tiny_model):
    with pytest.raises(UsageError, match="--layers is 5, but the model has 2"):
        adapted(tiny_model("qwen2"), replace(CONFIG, layers=5))


def test_nothing_but_the_factors_is_trainable(tiny_model):
    model, _ = adapted(tiny_model("llama", tied=False))
    names = [name for name, _ in trees.tree_flatten(model.trainable_parameters())]
    assert all(name.endswith((".lora_a", ".lora_b")) for name in names)


def test_rslora_is_scaled_by_the_root_of_the_rank():
    """As a plain LoRA adapter of that scale, so that everything that reads adapters reads it."""
    assert TrainConfig(rank=16, alpha=16.0).scale == 1.0
    assert TrainConfig(rank=16, alpha=16.0, adapter="rslora").scale == 4.0
    assert TrainConfig(rank=64, alpha=16.0, adapter="rslora").scale == 2.0
