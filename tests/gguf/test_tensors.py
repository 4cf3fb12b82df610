"""The table of tensors, and the row order that llama.cpp's rotary embedding needs."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from models_fixture import tiny_config

from joco_mlx.errors import InputError
from joco_mlx.gguf.architecture import Architecture
from joco_mlx.gguf.tensors import permute, plan_tensors


class Named:
    """Weights that have shapes only."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.shapes = dict(shapes)

    def names(self) -> list[str]:
        return list(self.shapes)

    def shape(self, name: str) -> tuple[int, ...]:
        return self.shapes[name]

    def read(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        return np.zeros(self.shapes[name], np.float32)[start:stop]


def _model(folder: Path, kind: str, *, tied: bool) -> tuple[Architecture, Named]:
    (folder / "config.json").write_text(json.dumps(tiny_config(kind, vocabulary=128, tied=tied, layers=1)))
    layer = {
        "input_layernorm": (64,), "post_attention_layernorm": (64,), "self_attn.q_proj": (64, 64),
        "self_attn.k_proj": (32, 64), "self_attn.v_proj": (32, 64), "self_attn.o_proj": (64, 64),
        "mlp.gate_proj": (128, 64), "mlp.up_proj": (128, 64), "mlp.down_proj": (64, 128),
    }  # fmt: skip
    shapes: dict[str, tuple[int, ...]] = {f"model.layers.0.{name}.weight": shape for name, shape in layer.items()}
    if kind == "qwen2":
        shapes |= {f"model.layers.0.self_attn.{p}_proj.bias": (64 if p == "q" else 32,) for p in "qkv"}
    shapes |= {"model.embed_tokens.weight": (128, 64), "model.norm.weight": (64,)}
    if not tied:
        shapes["lm_head.weight"] = (128, 64)
    return Architecture.from_folder(folder), Named(shapes)


def test_qwen2_has_biases_and_its_rows_as_they_are(tmp_path: Path) -> None:
    model, source = _model(tmp_path, "qwen2", tied=True)
    planned = plan_tensors(source, model)
    assert [tensor.name for tensor in planned] == [
        "token_embd.weight", "blk.0.attn_norm.weight", "blk.0.ffn_norm.weight",
        "blk.0.attn_q.weight", "blk.0.attn_q.bias", "blk.0.attn_k.weight", "blk.0.attn_k.bias",
        "blk.0.attn_v.weight", "blk.0.attn_v.bias", "blk.0.attn_output.weight",
        "blk.0.ffn_gate.weight", "blk.0.ffn_up.weight", "blk.0.ffn_down.weight", "output_norm.weight",
    ]  # fmt: skip
    assert not any(tensor.heads for tensor in planned)


def test_llama_permutes_queries_and_keys_by_their_own_heads(tmp_path: Path) -> None:
    model, source = _model(tmp_path, "llama", tied=False)
    planned = {tensor.name: tensor for tensor in plan_tensors(source, model)}
    assert {name: tensor.heads for name, tensor in planned.items() if tensor.heads} == {
        "blk.0.attn_q.weight": 4, "blk.0.attn_k.weight": 2,
    }  # fmt: skip
    assert "output.weight" in planned


def test_a_permutation_interleaves_the_halves_of_each_head() -> None:
    rows = np.arange(12, dtype=np.float32)[:, None]
    assert permute(rows, 2)[:, 0].tolist() == [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]


@pytest.mark.parametrize(
    ("kind", "lost"),
    [("qwen2", "model.layers.0.self_attn.k_proj.bias"), ("llama", "model.layers.0.mlp.up_proj.weight")],
)
def test_a_missing_tensor_is_named(kind: str, lost: str, tmp_path: Path) -> None:
    model, source = _model(tmp_path, kind, tied=True)
    del source.shapes[lost]
    with pytest.raises(InputError, match=lost):
        plan_tensors(source, model)


@pytest.mark.parametrize(
    ("kind", "foreign"),
    [("qwen2", "model.layers.0.self_attn.q_norm.weight"), ("qwen2", "model.layers.0.mlp.up_proj.bias"),
     ("llama", "model.layers.1.mlp.up_proj.weight")],
)  # fmt: skip
def test_a_foreign_tensor_is_named(kind: str, foreign: str, tmp_path: Path) -> None:
    model, source = _model(tmp_path, kind, tied=True)
    source.shapes[foreign] = (64,)
    with pytest.raises(InputError, match=f"{foreign} has no place"):
        plan_tensors(source, model)


def test_a_bias_that_llama_cpp_reads_is_kept(tmp_path: Path) -> None:
    model, source = _model(tmp_path, "llama", tied=True)
    source.shapes["model.layers.0.self_attn.o_proj.bias"] = (64,)
    assert "blk.0.attn_output.bias" in {tensor.name for tensor in plan_tensors(source, model)}


def test_another_shape_than_the_configs_is_told(tmp_path: Path) -> None:
    model, source = _model(tmp_path, "llama", tied=True)
    source.shapes["model.norm.weight"] = (65,)
    with pytest.raises(InputError, match=r"model\.norm\.weight has the shape \[65\].*\[64\]"):
        plan_tensors(source, model)


def test_billions_of_layers_are_not_counted_out(tmp_path: Path) -> None:
    model, source = _model(tmp_path, "llama", tied=True)
    endless = replace(model, shape=replace(model.shape, layers=2**40))
    with pytest.raises(InputError, match=r"no tensor model\.layers\.1\."):
        plan_tensors(source, endless)
