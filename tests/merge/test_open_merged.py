"""Base and adapter as one model, with mlx-lm's own fusing and logits as judges."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from adapter_fixture import SEVEN, random_adapter

from joco_mlx.errors import InputError
from joco_mlx.merge import open_merged, open_weights
from joco_mlx.models.compute import mx

BASES: dict[str, tuple[str, dict[str, Any]]] = {
    "bf16": ("qwen2", {}),
    "4 bit": ("qwen2", {"quantised": {"group_size": 64, "bits": 4}}),
    "untied llama, 8 bit": ("llama", {"tied": False, "quantised": {"group_size": 32, "bits": 8}}),
}


def adapted(base: Path, adapters: Path) -> Any:
    """The model that was trained: mlx-lm's, in float32."""
    from mlx_lm.utils import dequantize_model, load_adapters, load_model

    model, _ = load_model(base)
    model.set_dtype(mx.float32)
    return load_adapters(dequantize_model(model), str(adapters))


def copy(adapters: Path, target: Path, **config: Any) -> Path:
    shutil.copytree(adapters, target)
    path = target / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **config}))
    return target


def change(adapters: Path, **tensors: Any) -> None:
    """Replace tensors by name (with __ for a dot); None removes one."""
    found = dict(mx.load(str(adapters / "adapters.safetensors")))
    mx.eval(list(found.values()))
    for name, array in tensors.items():
        found.pop(name.replace("__", "."), None)
        if array is not None:
            found[name.replace("__", ".")] = array
    mx.save_safetensors(str(adapters / "adapters.safetensors"), found)


@pytest.fixture
def base(tiny_model: Callable[..., Path]) -> Path:
    return tiny_model("qwen2")


@pytest.fixture
def adapters(base: Path, tmp_path: Path) -> Path:
    return random_adapter(base, tmp_path / "adapters")


@pytest.mark.parametrize(("kind", "options"), BASES.values(), ids=BASES.keys())
def test_merged_weights_are_mlx_lm_s_fused_ones(
    tiny_model: Callable[..., Path], tmp_path: Path, kind: str, options: dict[str, Any]
) -> None:
    from mlx.utils import tree_flatten, tree_unflatten

    base = tiny_model(kind, **options)
    adapters = random_adapter(base, tmp_path / "adapters")
    model = adapted(base, adapters)
    model.update_modules(
        tree_unflatten([(name, module.fuse()) for name, module in model.named_modules() if hasattr(module, "fuse")])
    )
    reference = dict(tree_flatten(model.parameters()))
    merged, plain = open_merged(base, adapters), open_weights(base)
    assert sorted(merged.names()) == sorted(reference)
    changed = 0
    for name in merged.names():
        found = merged.read(name)
        np.testing.assert_allclose(found, np.array(reference[name]), rtol=0, atol=1e-6)
        changed += not np.array_equal(found, plain.read(name))
        assert merged.shape(name) == found.shape
    assert changed == 2 * len(SEVEN)


@pytest.mark.parametrize(("kind", "options"), BASES.values(), ids=BASES.keys())
def test_logits_of_base_and_adapter_are_those_of_the_merged_model(
    tiny_model: Callable[..., Path], tmp_path: Path, kind: str, options: dict[str, Any]
) -> None:
    from mlx_lm.utils import dequantize_model, load_model

    base = tiny_model(kind, **options)
    adapters = random_adapter(base, tmp_path / "adapters", layers=1, keys=["self_attn.q_proj", "mlp.down_proj"])
    merged = open_merged(base, adapters)
    model, _ = load_model(base)
    model = dequantize_model(model)
    untuned = model(mx.array([[5, 300, 7]]))
    model.load_weights([(name, mx.array(merged.read(name))) for name in merged.names()])
    tokens = mx.array([[5, 300, 7, 42, 101, 9]])
    expected, found = adapted(base, adapters)(tokens), model(tokens)
    assert mx.abs(found[:, :3] - untuned).max().item() > 0.01
    assert mx.abs(found - expected).max().item() < 1e-4


def test_rows_of_a_merged_tensor_are_those_of_the_whole(base: Path, adapters: Path) -> None:
    merged = open_merged(base, adapters)
    name = "model.layers.1.mlp.gate_proj.weight"
    np.testing.assert_allclose(merged.read(name, 30, 77), merged.read(name)[30:77], rtol=0, atol=1e-7)


def test_an_adapter_on_the_top_layers_leaves_the_others_alone(base: Path, tmp_path: Path) -> None:
    merged = open_merged(base, random_adapter(base, tmp_path / "top", layers=1))
    assert {name.split(".")[2] for name in merged.deltas} == {"1"}


def test_an_adapter_for_another_shape_names_the_tensor(
    base: Path, tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    other = random_adapter(tiny_model("qwen2", hidden=128), tmp_path / "other")
    with pytest.raises(InputError, match=r"model\.layers\.\d\..*does not fit the base's weight .*another base"):
        open_merged(base, other)


def test_an_adapter_for_a_deeper_model_names_the_tensor(
    base: Path, tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    other = random_adapter(tiny_model("qwen2", layers=3), tmp_path / "other")
    with pytest.raises(InputError, match=r"adapts 'model\.layers\.2.*which the base model does not have"):
        open_merged(base, other)


def test_an_adapter_for_a_shallower_model_is_incomplete(
    base: Path, tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    other = random_adapter(tiny_model("qwen2", layers=1), tmp_path / "other")
    with pytest.raises(InputError, match=r"lacks model\.layers\.1"):
        open_merged(base, other)


GATE = "model__layers__0__mlp__gate_proj__"
BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "half a pair": ({f"{GATE}lora_b": None}, r"gate_proj\.lora_b .* is missing"),
    "integers": ({f"{GATE}lora_a": mx.zeros((64, 4), mx.int32)}, r"gate_proj\.lora_a .* is I32 \[64, 4\]"),
    "a vector": ({f"{GATE}lora_a": mx.zeros(64)}, r"gate_proj\.lora_a .* is F32 \[64\]"),
    "another rank": (
        {f"{GATE}lora_a": mx.zeros((64, 8)), f"{GATE}lora_b": mx.zeros((8, 128))},
        r"gate_proj .*does not fit .* at rank 4",
    ),
    "a bias": ({f"{GATE}bias": mx.zeros(128)}, r"gate_proj\.bias', which is no part of a LoRA"),
    "a norm": (
        {"model__norm__lora_a": mx.zeros((64, 4)), "model__norm__lora_b": mx.zeros((4, 64))},
        r"model\.norm .*does not fit the base's weight \[64\]",
    ),
    "an embedding": (
        {"model__embed_tokens__lora_a": mx.zeros((64, 4)), "model__embed_tokens__lora_b": mx.zeros((4, 64))},
        r"adapts the embedding model\.embed_tokens",
    ),
}


@pytest.mark.parametrize(("tensors", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_tensors_that_are_no_adapter_are_named(
    base: Path, adapters: Path, tensors: dict[str, Any], message: str
) -> None:
    change(adapters, **tensors)
    with pytest.raises(InputError, match=message) as caught:
        open_merged(base, adapters)
    assert "joco-mlx train" in caught.value.hint


def test_more_than_the_configuration_promises_is_refused(base: Path, adapters: Path, tmp_path: Path) -> None:
    keys = {"rank": 4, "scale": 2.0, "keys": ["mlp.gate_proj"]}
    with pytest.raises(InputError, match=r"has model\.layers\.0\.mlp\.down_proj, against its adapter_config"):
        open_merged(base, copy(adapters, tmp_path / "more", lora_parameters=keys))
    free = copy(adapters, tmp_path / "free", lora_parameters={"rank": 4, "scale": 2.0})
    assert len(open_merged(base, free).deltas) == 2 * len(SEVEN)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"fine_tune_type": "full"}, "type 'full', but only lora and dora"),
        ({"lora_parameters": None}, "rank None"),
        ({"lora_parameters": {"rank": 0, "scale": 1.0}}, "rank 0"),
        ({"lora_parameters": {"rank": 4, "scale": float("nan")}}, "scale nan"),
        ({"lora_parameters": {"rank": 4, "scale": 10**400}}, "scale 1000"),
        ({"lora_parameters": {"rank": 4, "alpha": 16}}, "scale None"),
        ({"lora_parameters": {"rank": 4, "scale": 1, "keys": "q_proj"}}, "keys 'q_proj'"),
        ({"num_layers": "all"}, "num_layers 'all'"),
    ],
    ids=str,
)
def test_a_configuration_that_cannot_be_merged_is_named(
    base: Path, adapters: Path, tmp_path: Path, config: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        open_merged(base, copy(adapters, tmp_path / "bad", **config))


def test_an_adapter_that_says_it_is_dora_must_have_magnitudes(base: Path, adapters: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.m in .* is missing"):
        open_merged(base, copy(adapters, tmp_path / "dora", fine_tune_type="dora"))


def test_a_diverged_training_is_told_when_its_tensor_is_read(base: Path, adapters: Path) -> None:
    change(adapters, **{f"{GATE}lora_b": mx.full((4, 128), float("nan"))})
    merged = open_merged(base, adapters)
    with pytest.raises(InputError, match="not finite: its training diverged"):
        merged.read("model.layers.0.mlp.gate_proj.weight")


def test_an_empty_or_absent_adapter_is_an_input_error(base: Path, adapters: Path, tmp_path: Path) -> None:
    (adapters / "adapters.safetensors").unlink()
    with pytest.raises(InputError, match=r"adapters\.safetensors cannot be read"):
        open_merged(base, adapters)
    with pytest.raises(InputError, match=r"adapter_config\.json cannot be read"):
        open_merged(base, tmp_path / "nowhere")
