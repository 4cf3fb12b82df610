"""An adapter of another trainer as a run that fuse, suggest and bench take."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from adapter_fixture import random_adapter
from models_fixture import make_model
from peft_fixture import peft_adapter
from typer.testing import CliRunner

from joco_mlx.adapters.adopt import PREPARED, adopt
from joco_mlx.adapters.convert import convert
from joco_mlx.adapters.training_base import TrainingBase
from joco_mlx.cli.main import app
from joco_mlx.config import FuseConfig, TrainConfig
from joco_mlx.errors import ConflictError, InputError, UsageError
from joco_mlx.fuse import fuse
from joco_mlx.merge import open_merged, open_weights
from joco_mlx.models.folder import open_folder
from joco_mlx.models.runs import open_run
from joco_mlx.progress import Silent


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("base") / "model", "qwen2", dtype="float32", layers=3)


@pytest.mark.parametrize("layout", ["peft", "mlx"])
def test_an_adopted_adapter_is_fused_like_our_own(tmp_path: Path, base: Path, layout: str) -> None:
    own = random_adapter(base, tmp_path / "own", rank=4, scale=1.5)
    source = own if layout == "mlx" else convert(own, tmp_path / "peft").folder
    adopt(source, model=str(base), out=tmp_path / "run")
    run = open_run(tmp_path / "run")
    assert (run.is_finished, run.config.rank, run.config.scale) == (True, 4, 1.5)
    made = fuse(FuseConfig(out=tmp_path / "fused"), run, progress=Silent())
    fused, expected = open_weights(made.folder), open_merged(base, own)
    for name in expected.names():
        assert np.abs(fused.read(name) - expected.read(name)).max() <= 0.01 * np.abs(expected.read(name)).max()


@pytest.mark.parametrize("layout", ["peft", "mlx"])
def test_a_run_of_dora_says_so(tmp_path: Path, base: Path, layout: str) -> None:
    own = random_adapter(base, tmp_path / "own", dora=True)
    source = own if layout == "mlx" else convert(own, tmp_path / "peft").folder
    adopt(source, model=str(base), out=tmp_path / "run")
    assert open_run(tmp_path / "run").config.adapter == "dora"


def test_what_was_prepared_is_known_again(tmp_path: Path, base: Path) -> None:
    source = peft_adapter(tmp_path / "outputs")
    about: dict[str, Any] = {
        "config": {"model": str(base), "max_seq_length": 512},
        "dataset": {"path": "data", "digest": "ab", "records": 12},
        "quantization": {"quant_method": "nf4"},
    }
    (tmp_path / PREPARED).write_text(json.dumps(about))
    adopt(source, out=tmp_path / "run")
    run = open_run(tmp_path / "run")
    assert (run.config.max_seq_length, run.dataset.records) == (512, 12)
    kept = json.loads((run.adapter / "adapter_config.json").read_text())["base"]
    assert kept["quantization"] == {"quant_method": "nf4"}


class Notes(Silent):
    """Keeps what is noted."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_what_was_trained_on_another_base_is_told_and_then_used_on_this_one(tmp_path: Path, base: Path) -> None:
    there = TrainingBase("org/model", "ab" * 32, {"quant_method": "nf4"})
    source = convert(convert(peft_adapter(tmp_path / "peft"), tmp_path / "mlx", base=there).folder, tmp_path / "again")
    notes = Notes()
    adopt(source.folder, model=str(base), out=tmp_path / "run", progress=notes)
    assert any("trained on org/model (nf4) and is put on model" in text for text in notes.notes)
    record = json.loads((tmp_path / "run" / "adapters" / "adapter_config.json").read_text())["base"]
    assert (record["digest"], record["quantization"]) == (open_folder(base).digest, {"quant_method": "nf4"})


def test_the_base_must_be_known(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="which base model"):
        adopt(peft_adapter(tmp_path / "peft"), out=tmp_path / "run")


def test_a_folder_that_is_not_there_is_told_before_its_base_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"There is no folder .*absent\."):
        adopt(tmp_path / "absent")


def test_a_base_of_another_shape_is_refused(tmp_path: Path) -> None:
    other = make_model(tmp_path / "other", "qwen2", dtype="float32", layers=3, hidden=128)
    with pytest.raises(InputError, match="does not fit"):
        adopt(peft_adapter(tmp_path / "peft"), model=str(other), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_damaged_preparation_is_named(tmp_path: Path, base: Path) -> None:
    (tmp_path / PREPARED).write_text("{")
    with pytest.raises(InputError, match=f"{PREPARED} is damaged"):
        adopt(peft_adapter(tmp_path / "peft"), model=str(base), out=tmp_path / "run")


def test_the_command_says_what_comes_next(tmp_path: Path, base: Path) -> None:
    source = peft_adapter(tmp_path / "peft")
    words = ["adapters", "adopt", str(source), "--model", str(base), "--out", str(tmp_path / "run")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert f"joco-mlx fuse {tmp_path / 'run'} --export-gguf" in done.stdout
    with pytest.raises(ConflictError, match="exists already"):
        adopt(source, model=str(base), out=tmp_path / "run")
    assert TrainConfig().steps == open_run(tmp_path / "run").config.steps
