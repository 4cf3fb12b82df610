"""`fuse --export-gguf --from MODEL`: the adapter added to other weights than those it was trained on."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from models_fixture import make_run
from typer.testing import CliRunner

from joco_mlx.cli.main import app
from joco_mlx.config import FuseConfig
from joco_mlx.errors import InputError, UsageError
from joco_mlx.export import export_run, verify_gguf
from joco_mlx.gguf.container import open_gguf
from joco_mlx.gguf.encoders import decode
from joco_mlx.merge import open_merged
from joco_mlx.models.folder import open_folder
from joco_mlx.models.runs import Run, open_run

NAME, SOURCE = "blk.0.ffn_up.weight", "model.layers.0.mlp.up_proj.weight"


@pytest.fixture
def original(tiny_model: Callable[..., Path]) -> Path:
    return tiny_model("qwen2", layers=1)


@pytest.fixture
def run(tiny_model: Callable[..., Path], tmp_path: Path) -> Run:
    base = tiny_model("qwen2", layers=1, quantised={"group_size": 32, "bits": 4})
    return open_run(make_run(tmp_path / "run", open_folder(base)))


def _up(file: Path) -> np.ndarray:
    found = open_gguf(file)
    tensor = found.tensors[NAME]
    return decode(tensor.kind, found.read(tensor, 0, tensor.nbytes)).reshape(tensor.shape)


def test_the_adapter_is_added_to_the_named_weights(original: Path, run: Run, tmp_path: Path) -> None:
    config = FuseConfig(out=tmp_path / "out", quantization="f16", merge_into=str(original))
    made = export_run(config, run)
    assert made.report.problems == ()
    wanted = open_merged(original, run.adapter).read(SOURCE)
    np.testing.assert_allclose(_up(made.gguf.path), wanted, atol=1e-3)
    onto_the_base = export_run(replace(config, merge_into=None, force=True), run)
    assert np.abs(_up(onto_the_base.gguf.path) - wanted).max() > 1e-2


def test_it_is_verified_against_the_same_weights(original: Path, run: Run, tmp_path: Path) -> None:
    file = export_run(FuseConfig(out=tmp_path / "out", merge_into=str(original)), run).gguf.path
    assert verify_gguf(file, run.folder, merge_into=str(original)).problems == ()
    assert verify_gguf(file, run.folder).problems, "the base's weights are others"
    command = ["gguf", "verify", str(file), "--against", str(run.folder), "--from", str(original)]
    assert CliRunner().invoke(app, command).exit_code == 0


def test_a_model_folder_has_no_adapter_to_merge(original: Path, run: Run, tmp_path: Path) -> None:
    file = export_run(FuseConfig(out=tmp_path / "out", merge_into=str(original)), run).gguf.path
    with pytest.raises(UsageError, match="--from is for a run, but"):
        verify_gguf(file, original, merge_into=str(original))


def test_an_original_that_nobody_knows_is_told(run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"original of .* is not known"):
        export_run(FuseConfig(out=tmp_path, merge_into="original"), run)


def test_it_is_for_a_gguf_alone(run: Run) -> None:
    told = CliRunner().invoke(app, ["fuse", str(run.folder), "--from", "original"]).exception
    assert isinstance(told, UsageError)
