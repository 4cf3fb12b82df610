"""The fused folder: 16 bits, whole, and the model that was trained."""

import json
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from adapter_fixture import random_adapter
from models_fixture import make_run

from joco_mlx import artifacts, fuse
from joco_mlx.config import FuseConfig
from joco_mlx.errors import ConflictError, InputError, MachineError
from joco_mlx.merge import open_merged, open_weights
from joco_mlx.models.compute import mx
from joco_mlx.models.folder import open_folder
from joco_mlx.models.runs import Run, open_run
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


def test_mlx_lm_loads_it_with_the_rotary_base_of_transformers_5(
    tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    import mlx_lm

    base = tmp_path / "base"
    shutil.copytree(tiny_model("llama"), base)
    config = json.loads((base / "config.json").read_text())
    del config["rope_theta"], config["rope_scaling"]
    config["rope_parameters"] = {"rope_theta": 5e5, "rope_type": "linear", "factor": 4.0}
    (base / "config.json").write_text(json.dumps(config))
    model: Any = mlx_lm.load(str(written(base, random_adapter(base, tmp_path / "adapters"), tmp_path / "fused")))[0]
    rope = model.layers[0].self_attn.rope
    assert (rope.base, rope.scale) == (5e5, 0.25)


def test_tokenizer_and_licence_travel_with_the_weights(tiny_model: Callable[..., Path], tmp_path: Path) -> None:
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


@pytest.fixture
def run(base: Path, tmp_path: Path) -> Run:
    return open_run(make_run(tmp_path / "runs" / "one", open_folder(base), max_seq_length=512))


def test_a_run_becomes_a_sealed_folder_that_is_spoken_to_as_in_training(run: Run) -> None:
    made = fuse.fuse(FuseConfig(), run, progress=Silent())
    assert made.folder == run.folder / "fused"
    assert artifacts.open_artifact(made.folder, "fused", checked=True).digest == made.digest
    config = made.manifest.config
    assert (config["template"], config["end_token"], config["max_seq_length"]) == ("chatml", "<|im_end|>", 512)
    assert set(made.manifest.parents) == {"run", "base"}
    assert open_folder(made.folder).template == run.template
    assert not list(run.folder.glob(".fused*"))


def test_an_unfinished_run_is_fused_when_it_is_named(base: Path, tmp_path: Path) -> None:
    run = open_run(make_run(tmp_path / "runs" / "half", open_folder(base), state="interrupted"))
    made = fuse.fuse(FuseConfig(out=tmp_path / "fused"), run, progress=Silent())
    assert made.manifest.parents["run"] == artifacts.sha256(run.adapter / "adapters.safetensors")


def test_only_a_fused_model_is_replaced_and_only_when_asked(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = fuse.fuse(FuseConfig(out=out), run, progress=Silent())
    with pytest.raises(ConflictError, match="exists already"):
        fuse.fuse(FuseConfig(out=out), run, progress=Silent())
    again = fuse.fuse(FuseConfig(out=out, force=True), run, progress=Silent())
    assert again.manifest.files["model.safetensors"] == first.manifest.files["model.safetensors"]
    for precious in (run.folder, tmp_path):
        with pytest.raises(ConflictError, match="is no fused model"):
            fuse.fuse(FuseConfig(out=precious, force=True), run, progress=Silent())
    assert (run.folder / "run.json").is_file()


def test_an_adapter_for_another_base_leaves_nothing_behind(
    run: Run, tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    shutil.rmtree(run.adapter)
    random_adapter(tiny_model("qwen2", hidden=128), run.folder / "adapters")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match="another base"):
        fuse.fuse(FuseConfig(out=tmp_path / "fused"), run, progress=Silent())
    assert sorted(tmp_path.rglob("*")) == before


def test_a_failure_in_the_middle_leaves_nothing_behind(run: Run, tmp_path: Path) -> None:
    weights = dict(mx.load(str(run.adapter / "adapters.safetensors")))
    weights["model.layers.1.mlp.up_proj.lora_b"] = mx.full((4, 128), float("inf"))
    mx.eval(list(weights.values()))
    mx.save_safetensors(str(run.adapter / "adapters.safetensors"), weights)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match="diverged"):
        fuse.fuse(FuseConfig(out=tmp_path / "fused"), run, progress=Silent())
    assert sorted(tmp_path.rglob("*")) == before


def test_a_small_disk_is_told_before_anything_is_written(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(artifacts.shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(MachineError, match=r"needs 0\.00 GB, but .* has 0\.00 GB free") as caught:
        fuse.fuse(FuseConfig(out=tmp_path / "deep" / "fused"), run, progress=Silent())
    assert "--out" in caught.value.hint
    assert not (tmp_path / "deep").exists()
