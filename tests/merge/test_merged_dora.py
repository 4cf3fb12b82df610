"""Base and DoRA adapter as one model, with mlx-lm's own fusing as judge, and what a GGUF makes of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from adapter_fixture import SEVEN, random_adapter
from mlx_lm.utils import dequantize_model, load_adapters, load_model

from joco_mlx.config import Mode, Quantization
from joco_mlx.errors import InputError
from joco_mlx.gguf.card import Card
from joco_mlx.gguf.export import export
from joco_mlx.gguf.verify import verify
from joco_mlx.merge import open_merged, open_weights
from joco_mlx.models.compute import mx

BASES: dict[str, tuple[str, dict[str, Any]]] = {
    "bf16": ("qwen2", {}),
    "4 bit": ("qwen2", {"quantised": {"group_size": 64, "bits": 4}}),
    "untied llama, 8 bit": ("llama", {"tied": False, "quantised": {"group_size": 32, "bits": 8}}),
}
GATE = "model.layers.0.mlp.gate_proj"


def dora_adapter(base: Path, folder: Path) -> Path:
    """An adapter whose magnitudes have left the lengths of the base's rows."""
    random_adapter(base, folder, dora=True)
    tensors = dict(mx.load(str(folder / "adapters.safetensors")))
    for number, name in enumerate(sorted(tensors)):
        if name.endswith(".m"):
            noise = mx.random.uniform(0.8, 1.2, tensors[name].shape, key=mx.random.key(number))
            tensors[name] = tensors[name] * noise
    return rewritten(folder, tensors)


def rewritten(folder: Path, tensors: dict[str, Any]) -> Path:
    mx.eval(list(tensors.values()))
    mx.save_safetensors(str(folder / "adapters.safetensors"), tensors)
    return folder


@pytest.fixture
def base(tiny_model: Callable[..., Path]) -> Path:
    return tiny_model("qwen2", quantised={"group_size": 64, "bits": 4})


@pytest.fixture
def adapters(base: Path, tmp_path: Path) -> Path:
    return dora_adapter(base, tmp_path / "dora")


@pytest.mark.parametrize(("kind", "options"), BASES.values(), ids=BASES.keys())
def test_merged_weights_are_mlx_lm_s_fused_ones(
    tiny_model: Callable[..., Path], tmp_path: Path, kind: str, options: dict[str, Any]
) -> None:
    base = tiny_model(kind, **options)
    adapters = dora_adapter(base, tmp_path / "dora")
    model, _ = load_model(base)
    model.set_dtype(mx.float32)
    adapted = load_adapters(dequantize_model(model), str(adapters))
    fused = {name: module.fuse() for name, module in adapted.named_modules() if hasattr(module, "fuse")}
    merged, plain = open_merged(base, adapters), open_weights(base)
    assert len(fused) == len(merged.deltas) == 2 * len(SEVEN)
    for name, module in fused.items():
        found = merged.read(f"{name}.weight")
        np.testing.assert_allclose(found, np.array(module.weight), rtol=0, atol=1e-6)
        assert np.abs(found - plain.read(f"{name}.weight")).max() > 1e-3


def test_what_training_added_is_the_difference_to_the_base_for_any_rows(base: Path, adapters: Path) -> None:
    merged, plain, name = open_merged(base, adapters), open_weights(base), f"{GATE}.weight"
    np.testing.assert_allclose(merged.read(name, 30, 77), merged.read(name)[30:77], rtol=0, atol=1e-7)
    change = merged.change(name, 30, 77)
    assert change is not None
    np.testing.assert_allclose(change.floats(), (merged.read(name) - plain.read(name))[30:77], rtol=0, atol=1e-6)
    np.testing.assert_allclose(change.rows(np.array([3, 1])).floats(), change.floats()[[3, 1]], rtol=0, atol=1e-7)


@pytest.mark.parametrize(("quantization", "mode"), [("f16", "seeded"), ("q8_0", "seeded"), ("q4_k_m", "balanced")])
def test_a_gguf_says_what_the_merged_model_says(
    base: Path, adapters: Path, tmp_path: Path, quantization: Quantization, mode: Mode
) -> None:
    source = open_merged(base, adapters)
    card, out = Card("joco", "<|im_end|>"), tmp_path / "joco.gguf"
    export(source, base, out, quantization=quantization, mode=mode, card=card)
    assert verify(out, base, source=source, card=card).problems == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({f"{GATE}.m": None}, r"gate_proj\.m .* is missing, but must be a vector of floats \[128\]"),
        ({f"{GATE}.m": mx.zeros(64)}, r"gate_proj\.m .* is F32 \[64\], but must be a vector of floats \[128\]"),
        ({f"{GATE}.n": mx.zeros(64)}, r"gate_proj\.n', which is no part of a DoRA adapter"),
    ],
    ids=["missing", "another length", "unknown"],
)
def test_magnitudes_that_do_not_fit_are_named(base: Path, adapters: Path, change: dict[str, Any], message: str) -> None:
    tensors = {**mx.load(str(adapters / "adapters.safetensors")), **change}
    rewritten(adapters, {name: array for name, array in tensors.items() if array is not None})
    with pytest.raises(InputError, match=message):
        open_merged(base, adapters)


def test_a_diverged_magnitude_is_told(base: Path, adapters: Path) -> None:
    tensors = dict(mx.load(str(adapters / "adapters.safetensors")))
    rewritten(adapters, {**tensors, f"{GATE}.m": mx.full((128,), float("inf"))})
    with pytest.raises(InputError, match="not finite: its training diverged"):
        open_merged(base, adapters).read(f"{GATE}.weight")


def test_an_adapted_row_of_zeros_stays_one(base: Path, adapters: Path) -> None:
    """Where mlx-lm divides zero by zero."""
    delta = open_merged(base, adapters).deltas[f"{GATE}.weight"]
    product = (delta.b.floats().T * np.float32(delta.scale)) @ delta.a.floats().T
    change = delta.change(lambda: -product)
    assert np.isfinite(change.floats()).all()
