"""Base and adapter as one model, with mlx-lm's own fusing and logits as judges."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from adapter_fixture import SEVEN, random_adapter

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
