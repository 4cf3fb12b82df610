"""Importance matrices: both of llama.cpp's file forms, and whole files with one, to the bytes of llama.cpp's own."""

import platform
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from judges import llama_oracle

from joco_mlx.config import Quantization
from joco_mlx.errors import InputError, JocoError
from joco_mlx.gguf.activations import activation_squares
from joco_mlx.gguf.card import Card
from joco_mlx.gguf.container import open_gguf
from joco_mlx.gguf.export import export
from joco_mlx.gguf.imatrix import Imatrix, read_imatrix, write_imatrix
from joco_mlx.gguf.plan import make_plan
from joco_mlx.gguf.stream import write_gguf
from joco_mlx.merge import open_weights
from joco_mlx.models.compute import mx
from joco_mlx.models.folder import open_folder
from joco_mlx.models.load import load_model
from joco_mlx.progress import Silent

CARD = Card("joco", "<|im_end|>")
NAME = "blk.0.attn_q.weight"


def _records(entries: dict[str, tuple[int, list[float]]], tail: bytes = b"") -> bytes:
    """The older form, as llama.cpp's `save_imatrix_legacy` lays it out."""
    raw = struct.pack("<i", len(entries))
    for name, (calls, values) in entries.items():
        raw += struct.pack("<i", len(name)) + name.encode() + struct.pack("<ii", calls, len(values))
        raw += struct.pack(f"<{len(values)}f", *values)
    return raw + tail


def test_the_gguf_form_is_read_back(tmp_path: Path) -> None:
    sums = {NAME: np.array([4.0, 0.0, 2.0], np.float32), "output.weight": np.zeros(2, np.float32)}
    write_imatrix(tmp_path / "i.gguf", sums, {NAME: 8, "output.weight": 0}, chunks=3, data="commits")
    found = read_imatrix(tmp_path / "i.gguf")
    assert found.chunks == 3
    assert found.means[NAME].tolist() == [0.5, 0.0, 0.25]
    assert found.means["output.weight"].tolist() == [1.0, 1.0]  # it met nothing
    stored = open_gguf(tmp_path / "i.gguf")
    assert stored.metadata["general.type"] == "imatrix"
    assert stored.metadata["imatrix.datasets"] == ["commits"]
    assert "general.architecture" not in stored.metadata
    assert {name: tensor.shape for name, tensor in stored.tensors.items()} == {
        f"{NAME}.in_sum2": (1, 3), f"{NAME}.counts": (1, 1),
        "output.weight.in_sum2": (1, 2), "output.weight.counts": (1, 1),
    }  # fmt: skip


def test_the_older_form_is_read(tmp_path: Path) -> None:
    tail = struct.pack("<i", 7) + struct.pack("<i", 4) + b"wiki"
    (tmp_path / "i.dat").write_bytes(_records({NAME: (2, [1.0, 3.0])}, tail))
    found = read_imatrix(tmp_path / "i.dat")
    assert found.chunks == 7
    assert found.means[NAME].tolist() == [0.5, 1.5]


BROKEN = {
    "nothing": b"",
    "text": b"no importance matrix at all",
    "endless": struct.pack("<i", -1),
    "cut inside a record": _records({NAME: (2, [1.0, 3.0])})[:-2],
    "below zero": _records({NAME: (1, [-1.0])}),
    "no number": _records({NAME: (1, [float("nan")])}),
    "a GGUF that is cut": b"GGUF" + bytes(40),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_told(name: str, tmp_path: Path) -> None:
    (tmp_path / "i.dat").write_bytes(BROKEN[name])
    with pytest.raises(JocoError, match=r"i\.dat"):
        read_imatrix(tmp_path / "i.dat")


@pytest.mark.parametrize(
    ("means", "told"), [({"elsewhere": [1.0]}, "knows no tensor"), ({NAME: [1.0]}, "has 1 columns for")]
)
def test_the_matrix_of_another_model_is_told(
    means: dict[str, list[float]], told: str, tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    matrix = Imatrix({name: np.array(values, np.float32) for name, values in means.items()}, 1, tmp_path / "i.dat")
    folder = tiny_model("qwen2")
    with pytest.raises(InputError, match=told):
        export(open_weights(folder), folder, tmp_path / "x.gguf", quantization="q4_k_m", card=CARD, imatrix=matrix)
    assert list(tmp_path.iterdir()) == []


SHAPES: dict[str, dict[str, Any]] = {
    "qwen2": {"kind": "qwen2", "layers": 8, "hidden": 256, "intermediate": 512},
    "rows-of-64": {"kind": "llama", "layers": 2, "hidden": 192, "heads": 3, "kv_heads": 1, "intermediate": 512},
}


@pytest.mark.judge("llama.cpp")
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="elsewhere ggml rounds multiply-add once")
@pytest.mark.parametrize("quantization", ["q4_k_m", "q6_k"])
@pytest.mark.parametrize("shape", SHAPES)
def test_files_have_the_bytes_of_llama_model_quantize_with_the_matrix(
    shape: str, quantization: Quantization, tiny_model: Callable[..., Path], tmp_path: Path, llama_library: Path
) -> None:
    folder, random = tiny_model(**SHAPES[shape]), np.random.default_rng(3)
    plan = make_plan(open_weights(folder), folder, "f16", CARD)
    exact = replace(plan, tensors=tuple((tensor, Type.F32) for tensor, _ in plan.tensors))
    bar = Silent().start("")
    write_gguf(tmp_path / "exact.gguf", exact, open_weights(folder), mode="reference", threads=2, bar=bar)
    means = {
        tensor.name: random.lognormal(0, 1.5, tensor.shape[-1]).astype(np.float32)
        for tensor, _ in plan.tensors
        if tensor.name.startswith("blk.") and len(tensor.shape) == 2
    }
    number = {"q4_k_m": llama_oracle.Q4_K_M, "q6_k": llama_oracle.Q6_K}[quantization]
    theirs, ours = tmp_path / "theirs.gguf", tmp_path / "ours.gguf"
    llama_oracle.quantize(tmp_path / "exact.gguf", theirs, number, imatrix=means, library=llama_library)
    matrix = Imatrix(means, 1, tmp_path / "i.gguf")
    export(open_weights(folder), folder, ours, quantization=quantization, card=CARD, imatrix=matrix)
    a, b = open_gguf(ours), open_gguf(theirs)
    assert {n: t.kind for n, t in a.tensors.items()} == {n: t.kind for n, t in b.tensors.items()}
    for name, tensor in b.tensors.items():
        np.testing.assert_array_equal(a.read(a.tensors[name], 0, tensor.nbytes), b.read(tensor, 0, tensor.nbytes), name)
    plain = tmp_path / "plain.gguf"
    export(open_weights(folder), folder, plain, quantization=quantization, card=CARD)
    assert plain.read_bytes() != ours.read_bytes()


def test_squares_are_those_of_the_inputs(tiny_model: Callable[..., Path]) -> None:
    model = load_model(open_folder(tiny_model("qwen2")))
    layer = model.layers[1]
    before = layer.mlp.down_proj
    texts = [[1, 2, 3], [4, 5]]
    modules = {"model.layers.0.self_attn.q_proj": "q", "model.layers.1.mlp.down_proj": "down"}
    sums, tokens = activation_squares(model, texts, modules)
    assert tokens == {"q": 5, "down": 5}
    assert layer.mlp.down_proj is before
    inputs = [model.layers[0].input_layernorm(model.model.embed_tokens(mx.array(text))) for text in texts]
    expected = sum(np.square(np.array(found.astype(mx.float32))).sum(axis=0) for found in inputs)
    np.testing.assert_allclose(sums["q"], expected, rtol=1e-4)
    assert sums["down"].shape == (128,)
    assert (sums["down"] > 0).all()
