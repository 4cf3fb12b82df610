"""Whole runs with DoRA and of other architectures, from plan to fused folder."""

import importlib
import json
import shutil
from dataclasses import replace

import mlx_lm
import pytest
from tiny_records import make_record

from joco_mlx.config import FuseConfig, TrainConfig
from joco_mlx.errors import InputError
from joco_mlx.export import export_run
from joco_mlx.fuse import fuse
from joco_mlx.models.compute import mx, trees
from joco_mlx.models.runs import open_run
from joco_mlx.progress import Silent
from joco_mlx.train.plan import plan_run
from joco_mlx.train.run import train

RECORDS = [make_record(number) for number in range(6)]
SIZES = {
    "hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 128, "num_attention_heads": 4, "head_dim": 16,
    "num_key_value_heads": 2, "rms_norm_eps": 1e-6, "max_position_embeddings": 2048, "rope_theta": 1e4,
    "tie_word_embeddings": True,
}  # fmt: skip


@pytest.fixture
def config(tiny_model, make_dataset, tmp_path):
    return TrainConfig(
        model=str(tiny_model("llama", dtype="float32")), data=make_dataset(RECORDS[:5], RECORDS[5:]), steps=3,
        grad_accumulation=1, max_seq_length=512, learning_rate=1e-2, warmup_steps=0, rank=4, out=tmp_path / "run",
        samples=0, backend="mlx",
    )  # fmt: skip


def other_model(folder, base, kind):
    """A folder with a random model of another architecture and the tokenizer of `base`."""
    shutil.copytree(base, folder)
    own = json.loads((folder / "config.json").read_text())
    config = {"model_type": kind, "vocab_size": own["vocab_size"], **SIZES}
    (folder / "config.json").write_text(json.dumps(config))
    module = importlib.import_module(f"mlx_lm.models.{kind}")
    mx.random.seed(0)
    model = module.Model(module.ModelArgs.from_dict(config))
    mx.save_safetensors(str(folder / "model.safetensors"), dict(trees.tree_flatten(model.parameters())))
    return folder


def losses(run):
    return [
        line["loss"] for line in map(json.loads, (run / "metrics.jsonl").read_text().splitlines()) if "loss" in line
    ]


def test_a_dora_run_loads_in_mlx_lm_and_is_fused_and_exported(config, tmp_path):
    plans = [plan_run(replace(config, adapter=kind)) for kind in ("lora", "dora")]
    assert plans[1].planned_bytes > plans[0].planned_bytes
    made = train(replace(config, adapter="dora"))
    adapters = made.folder / "adapters"
    assert json.loads((adapters / "adapter_config.json").read_text())["fine_tune_type"] == "dora"
    adapted, tokenizer = mlx_lm.load(config.model, adapter_path=str(adapters))
    fused = fuse(FuseConfig(out=tmp_path / "fused"), open_run(made.folder), progress=Silent())
    merged, _ = mlx_lm.load(str(fused.folder))
    ids = mx.array([tokenizer.encode("diff --git a/src/main.py b/src/main.py")])
    merged.set_dtype(mx.float32)
    logits, base = adapted(ids), mlx_lm.load(config.model)[0](ids)
    assert mx.abs(logits - merged(ids)).mean() < 0.1 * mx.abs(logits - base).mean()  # 16 bits
    written = export_run(FuseConfig(out=tmp_path / "gguf"), open_run(made.folder))
    assert written


@pytest.mark.parametrize("kind", ["qwen3", "gemma"])
def test_another_architecture_is_trained_and_fused_and_not_exported(config, tmp_path, kind):
    model = other_model(tmp_path / kind, config.model, kind)
    changed = replace(config, model=str(model), steps=6)
    noted = any("mlx-lm's own forward pass" in note for note in plan_run(changed).notes)
    assert noted is (kind == "gemma")
    made = train(changed)
    found = losses(made.folder)
    assert found[-1] < found[0]
    fuse(FuseConfig(out=tmp_path / "fused"), open_run(made.folder), progress=Silent())
    with pytest.raises(InputError, match=f"'{kind}' model, which cannot be written as a GGUF"):
        export_run(FuseConfig(out=tmp_path / "gguf"), open_run(made.folder))
