"""What an adapter keeps of its training base, and what is said when it is put on another."""

import json
from pathlib import Path

import numpy as np
import pytest
from models_fixture import make_model
from peft_fixture import peft_adapter

from joco_mlx.adapters.convert import CONFIG, Converted, convert
from joco_mlx.adapters.other_base import round_to, warnings
from joco_mlx.adapters.tensors import read_metadata
from joco_mlx.adapters.training_base import ENTRY, TrainingBase
from joco_mlx.models.compute import mx
from joco_mlx.models.folder import open_folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("base") / "model", "qwen2", dtype="float32", layers=3)


NF4 = TrainingBase("org/model", "ab" * 32, {"quant_method": "nf4"})


def test_the_training_base_goes_along_both_ways(tmp_path: Path) -> None:
    there = convert(peft_adapter(tmp_path / "peft"), tmp_path / "mlx", base=NF4)
    assert json.loads((there.folder / CONFIG).read_text())["base"]["quantization"] == {"quant_method": "nf4"}
    back = convert(there.folder, tmp_path / "back")
    assert json.loads((back.folder / CONFIG).read_text())["base_model_name_or_path"] == "org/model"
    assert ENTRY in read_metadata(back.folder / "adapter_model.safetensors")
    assert convert(back.folder, tmp_path / "again").base == NF4


def test_an_adapter_without_a_record_keeps_the_name_of_its_base(tmp_path: Path) -> None:
    source = peft_adapter(tmp_path / "peft", base_model_name_or_path="org/other")
    assert convert(source, tmp_path / "mlx").base == TrainingBase("org/other")


def adapter_on(base: TrainingBase, folder: Path) -> Converted:
    return convert(peft_adapter(folder.with_name("peft")), folder, base=base)


def test_the_same_base_needs_no_warning(tmp_path: Path, base: Path) -> None:
    made = adapter_on(TrainingBase.of(open_folder(base)), tmp_path / "mlx")
    assert warnings(made.folder, open_folder(base)) == []


def test_a_run_of_an_older_version_trained_on_the_base_as_it_is(tmp_path: Path) -> None:
    folder = open_folder(make_model(tmp_path / "model", quantised={"group_size": 32, "bits": 4}, layers=3))
    made = adapter_on(TrainingBase(folder.name, folder.digest), tmp_path / "mlx")
    assert len(warnings(made.folder, folder)) == 1
    config = json.loads((made.folder / CONFIG).read_text())
    del config["base"]["quantization"]
    (made.folder / CONFIG).write_text(json.dumps(config))
    assert warnings(made.folder, folder) == []


def test_a_base_that_was_rounded_for_training_is_measured(tmp_path: Path, base: Path) -> None:
    folder = open_folder(base)
    made = adapter_on(TrainingBase(folder.name, folder.digest, {"quant_method": "nf4"}), tmp_path / "mlx")
    (told,) = warnings(made.folder, folder)
    assert "trained on model in nf4 and is put on it in 16 or 32 bits" in told
    assert "moves its weights by 9." in told
    assert "measured on 6 matrices" in told


def test_another_base_is_named(tmp_path: Path, base: Path) -> None:
    made = adapter_on(NF4, tmp_path / "mlx")
    (told,) = warnings(made.folder, open_folder(base))
    assert "trained on org/model (nf4) and is put on model (16 or 32 bits)" in told


@pytest.mark.parametrize(("bits", "group_size"), [(4, 64), (8, 32), (3, 128)])
def test_rounding_is_as_far_off_as_mlx(bits: int, group_size: int) -> None:
    weight = np.random.default_rng(0).standard_normal((64, 256), np.float32)
    parts = mx.quantize(mx.array(weight), group_size=group_size, bits=bits)
    exact = np.array(mx.dequantize(*parts, group_size=group_size, bits=bits))
    ours = round_to(weight, {"bits": bits, "group_size": group_size})
    theirs = np.linalg.norm(exact - weight)
    assert np.linalg.norm(ours - weight) == pytest.approx(theirs, rel=0.1)
