"""The fused folder: 16 bits, whole, and the model that was trained."""

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from adapter_fixture import random_adapter

from joco_mlx import fuse
from joco_mlx.merge import open_merged, open_weights
from joco_mlx.models.compute import mx
from joco_mlx.progress import Silent


def written(base: Path, adapters: Path, folder: Path) -> Path:
    folder.mkdir()
    fuse.write_model(open_merged(base, adapters), base, folder, progress=Silent())
    return folder


@pytest.fixture
def base(tiny_model: Callable[..., Path]) -> Path:
    return tiny_model("qwen2", quantised={"group_size": 64, "bits": 4})


@pytest.fixture
def adapters(base: Path, tmp_path: Path) -> Path:
    return random_adapter(base, tmp_path / "adapters")


def test_every_tensor_is_the_merged_one_in_16_bits(base: Path, adapters: Path, tmp_path: Path) -> None:
    merged, fused = open_merged(base, adapters), open_weights(written(base, adapters, tmp_path / "fused"))
    assert fused.names() == merged.names()
    for name in merged.names():
        rounded = mx.array(merged.read(name)).astype(mx.bfloat16).astype(mx.float32)
        np.testing.assert_array_equal(fused.read(name), np.array(rounded))


def test_nothing_is_quantised_again(base: Path, adapters: Path, tmp_path: Path) -> None:
    config = json.loads((written(base, adapters, tmp_path / "fused") / "config.json").read_text())
    assert not {"quantization", "quantization_config"} & config.keys()
    assert config["torch_dtype"] == "bfloat16"
    assert config["tie_word_embeddings"] is True
    types = {array.dtype for array in mx.load(str(tmp_path / "fused" / "model.safetensors")).values()}
    assert types == {mx.bfloat16}


@pytest.mark.parametrize(("kind", "tied"), [("qwen2", True), ("llama", False)])
def test_mlx_lm_loads_it_and_it_answers_like_base_and_adapter(
    tiny_model: Callable[..., Path], tmp_path: Path, kind: str, tied: bool
) -> None:
    import mlx_lm
    from mlx_lm.utils import dequantize_model

    base = tiny_model(kind, tied=tied, quantised={"group_size": 32, "bits": 4})
    adapters = random_adapter(base, tmp_path / "adapters")
    model, tokenizer = mlx_lm.load(str(written(base, adapters, tmp_path / "fused")))
    trained, _ = mlx_lm.load(str(base), adapter_path=str(adapters))
    model.set_dtype(mx.float32)
    trained.set_dtype(mx.float32)
    tokens = mx.array([tokenizer.encode("feat(core): add the parser")])
    expected, found = dequantize_model(trained)(tokens), model(tokens)
    error = mx.sqrt(mx.mean((found - expected) ** 2) / mx.mean(expected**2)).item()
    assert error < 0.01, "more than bfloat16 rounds away"


def test_tokenizer_and_licence_travel_with_the_weights(tiny_model: Callable[..., Path], tmp_path: Path) -> None:
    import shutil

    base = tmp_path / "base"
    shutil.copytree(tiny_model("llama"), base)
    (base / "LICENSE.txt").write_text("Apache")
    (base / "README.md").write_text("the base's own words")
    (base / "modeling_x.py").write_text("raise SystemExit")
    fused = written(base, random_adapter(base, tmp_path / "adapters"), tmp_path / "fused")
    assert sorted(file.name for file in fused.iterdir()) == [
        "LICENSE.txt",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert (fused / "tokenizer.json").read_bytes() == (base / "tokenizer.json").read_bytes()


def test_big_models_are_sharded_with_an_index(
    base: Path, adapters: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = open_weights(written(base, adapters, tmp_path / "whole"))
    monkeypatch.setattr(fuse, "SHARD_BYTES", 50_000)
    folder = written(base, adapters, tmp_path / "sharded")
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    files = sorted(folder.glob("*.safetensors"))
    assert len(files) > 3
    assert set(index["weight_map"].values()) == {file.name for file in files}
    assert index["metadata"]["total_size"] == fuse.model_bytes(whole)
    sharded = open_weights(folder)
    assert sharded.names() == whole.names() == sorted(index["weight_map"], key=whole.names().index)
    assert all(np.array_equal(sharded.read(name), whole.read(name)) for name in whole.names())


def test_the_model_is_never_in_memory(
    tiny_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tiny_model("qwen2", hidden=256, intermediate=1024, layers=6, quantised={"group_size": 64, "bits": 4})
    merged = open_merged(base, random_adapter(base, tmp_path / "adapters"))
    folder = tmp_path / "fused"
    folder.mkdir()
    monkeypatch.setattr(fuse, "CHUNK_ITEMS", 1 << 16)
    tracemalloc.start()
    fuse.write_model(merged, base, folder, progress=Silent())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < fuse.model_bytes(merged) / 8
