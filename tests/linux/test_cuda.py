"""TRL, Unsloth and MLX on an NVIDIA card: one small run each, with speed and peak memory beside each other.

Written without a card at hand and not run on one yet; `scripts/prove linux` runs it where there is one.
"""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from rows_fixture import make_base, make_data
from torch_fixture import note, torch

from joco_mlx.config import TrainConfig
from joco_mlx.models.runs import open_run
from joco_mlx.train.backends import dispatch

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA card, and torch built for it"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("cuda")
    make_base(made / "model")
    make_data(made / "data", count=24, validation=4)
    return made


@pytest.mark.parametrize("backend", ["trl", "unsloth", "mlx"])
def test_it_trains_on_the_card(folder: Path, backend: Any) -> None:
    if backend == "unsloth" and importlib.util.find_spec("unsloth") is None:
        pytest.skip("needs Unsloth: uv pip install 'joco-mlx[unsloth]'")
    if backend == "mlx":
        from joco_mlx.models.compute import device_kind

        if device_kind() != "cuda":
            pytest.skip("needs MLX for CUDA: uv pip install 'joco-mlx[mlx-cuda]'")
    config = TrainConfig(
        model=str(folder / "model"), data=folder / "data", out=folder / backend, steps=10, rank=8, max_seq_length=320,
        learning_rate=0.01, backend=backend,
    )  # fmt: skip
    run = open_run(dispatch.train(config).folder)
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < losses[0]
    last = [line for line in lines if "loss" in line][-1]
    figures = {name: last[name] for name in ("tokens_per_second", "peak_bytes")}
    note("card", {"backend": backend, "card": torch.cuda.get_device_name(0), **figures})
