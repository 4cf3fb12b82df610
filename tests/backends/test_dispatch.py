"""A config goes to its backend, or is refused; nothing else trains in its place."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from models_fixture import make_model
from typer.testing import CliRunner

from joco_mlx.adapters.adopt import PREPARED
from joco_mlx.cli.main import app
from joco_mlx.commit.record import INSTRUCTION, Metadata, Record
from joco_mlx.config import TrainConfig
from joco_mlx.errors import ConflictError, MachineError, UsageError
from joco_mlx.models.runs import open_run
from joco_mlx.progress import Silent
from joco_mlx.train.backends import axolotl, dispatch
from joco_mlx.train.backends.machine import Machine
from joco_mlx.train.plan import prepare

DIFF = "diff --git a/m.py b/m.py\n--- a/m.py\n+++ b/m.py\n@@ -1,1 +1,2 @@\n a\n+b\n"


def record(number: int) -> Record:
    about = Metadata(f"demo-{number}", "demo", f"{number:07x}", "0" * 16, "fix", "m", 90)
    return Record(INSTRUCTION, DIFF, f"fix(m): line {number}", about)


@pytest.fixture
def config(tmp_path: Path, make_dataset: Callable[..., Path]) -> TrainConfig:
    data = make_dataset([record(number) for number in range(5)], [record(9)])
    base = make_model(tmp_path / "base", "qwen2", dtype="float32", layers=2)
    return TrainConfig(model=str(base), data=data, out=tmp_path / "run", steps=1, rank=2, max_seq_length=320, samples=0)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Linux machine with nothing but MLX."""
    machine = Machine("linux", "x86_64", packages={"mlx": "0.32.4", "mlx-lm": "0.32.2"})
    monkeypatch.setattr(dispatch, "this_machine", lambda: machine)


@pytest.mark.usefixtures("bare")
def test_auto_trains_with_mlx_and_the_run_says_so(config: TrainConfig) -> None:
    run = open_run(dispatch.train(config).folder)
    assert run.config.backend == "mlx"


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("backend", ["trl", "unsloth"])
def test_a_backend_that_is_not_able_is_refused_before_a_folder_is_made(config: TrainConfig, backend: Any) -> None:
    with pytest.raises(MachineError, match=f"--backend {backend} cannot train here"):
        dispatch.train(replace(config, backend=backend))
    assert config.out is not None
    assert not config.out.exists()


def test_axolotl_only_writes(config: TrainConfig) -> None:
    with pytest.raises(UsageError, match="Axolotl is not run from here") as refused:
        dispatch.train(replace(config, backend="axolotl"))
    assert "--write-only DIR" in refused.value.hint


def test_what_axolotl_is_given(config: TrainConfig, tmp_path: Path) -> None:
    written = axolotl.write(config, tmp_path / "job")
    settings = yaml.safe_load((written.folder / axolotl.CONFIG).read_text())
    wanted = {
        "adapter": "qlora", "load_in_4bit": True, "lora_r": 2, "lora_alpha": 16, "sample_packing": True,
        "attn_implementation": "flash_attention_2", "num_epochs": 3.0, "optimizer": "adamw_bnb_8bit",
        "sequence_len": 320, "datasets": [{"path": "train.jsonl", "ds_type": "json", "type": None}],
        "base_model": str((tmp_path / "base").resolve()),
    }  # fmt: skip
    assert {name: settings[name] for name in wanted} == wanted
    rows = [json.loads(line) for line in (written.folder / "train.jsonl").read_text().splitlines()]
    read = prepare(config, Silent()).examples
    assert [row["input_ids"] for row in rows] == [list(example.ids) for example in read]
    kept = json.loads((written.folder / PREPARED).read_text())
    assert (kept["dataset"]["records"], kept["quantization"]) == (5, {"quant_method": "nf4"})
    with pytest.raises(ConflictError):
        axolotl.write(config, tmp_path / "job")


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"alpha": 0.5}, "takes whole numbers"), ({"type_weight": 2.0}, "Axolotl weighs every token")],
)
def test_what_axolotl_cannot_take_is_refused(
    config: TrainConfig, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        axolotl.write(replace(config, **changes), tmp_path / "job")
    assert not (tmp_path / "job").exists()


def test_a_base_of_mlx_is_not_for_axolotl(config: TrainConfig, tmp_path: Path) -> None:
    base = make_model(tmp_path / "codes", "qwen2", quantised={"group_size": 32, "bits": 4})
    with pytest.raises(UsageError, match="quantised by MLX"):
        axolotl.write(replace(config, model=str(base)), tmp_path / "job")


def test_the_command_writes_and_says_how_to_launch(config: TrainConfig, tmp_path: Path) -> None:
    words = ["train", "--model", config.model, "--data", str(config.data), "--write-only", str(tmp_path / "job")]
    refused = CliRunner().invoke(app, [*words, "--backend", "trl"])
    assert isinstance(refused.exception, UsageError)
    done = CliRunner().invoke(app, [*words, "--backend", "axolotl"])
    assert done.exit_code == 0, done.output
    assert "axolotl train axolotl.yaml && joco-mlx adapters adopt outputs" in done.stdout
