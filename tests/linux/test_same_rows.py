"""The same token ids and labels for MLX, TRL, Unsloth and Axolotl, on 200 records that try to confuse them."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from rows_fixture import LOOK_ALIKES, make_base, make_data
from torch_fixture import note, torch

from joco_mlx.config import TrainConfig
from joco_mlx.progress import Silent
from joco_mlx.train.backends import axolotl, torch_model, trl
from joco_mlx.train.backends.schedule import IGNORED, StepOrder
from joco_mlx.train.batches import make_batch
from joco_mlx.train.plan import Prepared, prepare

Row = tuple[tuple[int, ...], tuple[int, ...]]
"""Token ids, and labels with IGNORED over the prompt."""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    folder = tmp_path_factory.mktemp("rows")
    return TrainConfig(
        model=str(make_base(folder / "model")), data=make_data(folder / "data"), steps=100, grad_accumulation=2,
        max_seq_length=512, quantize_base="none",
    )  # fmt: skip


@pytest.fixture(scope="module")
def prepared(config: TrainConfig) -> Prepared:
    return prepare(config, Silent())


@pytest.fixture(scope="module")
def mlx_rows(prepared: Prepared) -> list[Row]:
    """What the MLX trainer reads and is scored on, taken from its padded batches."""
    rows = []
    for example in prepared.examples:
        batch = make_batch([example])
        last = int(batch.targets[0][batch.weights[0] > 0][-1])
        ids = [*batch.ids[0][: len(example.ids) - 1].tolist(), last]
        labels = [IGNORED] * len(ids)
        for place, target, weight in zip(batch.rows[0], batch.targets[0], batch.weights[0], strict=True):
            if weight:
                labels[int(place) + 1] = int(target)
        rows.append((tuple(ids), tuple(labels)))
    return rows


def test_the_records_try_to_confuse(prepared: Prepared) -> None:
    texts = [record.input for record in prepared.data.train]
    assert len(texts) == 200
    for marker in LOOK_ALIKES:
        assert any(marker.replace("\n", " ").strip() in text for text in texts), marker
    assert any(example.cut for example in prepared.examples)


def test_what_is_handed_to_trl_and_unsloth_is_what_mlx_reads(prepared: Prepared, mlx_rows: list[Row]) -> None:
    dataset = trl.dataset_of(prepared.examples)
    found = [(tuple(row["input_ids"]), tuple(row["labels"])) for row in dataset]
    assert found == mlx_rows
    note("rows", {"who": "handed to TRL and Unsloth", "equal": len(found)})


def test_what_trl_feeds_its_model_is_what_mlx_reads(
    tmp_path: Path, config: TrainConfig, prepared: Prepared, mlx_rows: list[Row]
) -> None:
    torch.manual_seed(0)
    made = torch_model.load(prepared.model, config)
    order = StepOrder.of(prepared.config, prepared.examples, prepared.shapes)
    trainer = trl.make_trainer(made, prepared.model.path, prepared.config, prepared.examples, order, tmp_path)
    found = {}
    for indices, batch in zip(order, trainer.get_train_dataloader(), strict=True):
        for place, index in enumerate(indices):
            length = int(batch["attention_mask"][place].sum())
            assert set(batch["labels"][place, length:].tolist()) <= {IGNORED}
            ids, labels = batch["input_ids"][place, :length], batch["labels"][place, :length]
            found[index] = (tuple(ids.tolist()), tuple(labels.tolist()))
    assert [found[index] for index in range(len(mlx_rows))] == mlx_rows
    note("rows", {"who": "read by TRL", "equal": len(found)})


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, config: TrainConfig) -> Path:
    return axolotl.write(config, tmp_path_factory.mktemp("axolotl") / "job").folder


def test_what_axolotl_is_given_is_what_mlx_reads(written: Path, mlx_rows: list[Row]) -> None:
    rows = [json.loads(line) for line in (written / "train.jsonl").read_text().splitlines()]
    assert [(tuple(row["input_ids"]), tuple(row["labels"])) for row in rows] == mlx_rows
    assert all(row["attention_mask"] == [1] * len(row["labels"]) for row in rows)


def test_what_axolotl_preprocesses_is_what_mlx_reads(written: Path, mlx_rows: list[Row]) -> None:
    program = os.environ.get("JOCO_AXOLOTL")
    if not program:
        pytest.skip("needs Axolotl in an environment of its own; JOCO_AXOLOTL names its program")
    environment = {**os.environ, "AXOLOTL_DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [program, "preprocess", axolotl.CONFIG],
        cwd=written,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = sorted((tuple(row["input_ids"]), tuple(row["labels"])) for row in preprocessed(written / "prepared"))
    assert found == sorted(mlx_rows)
    note("rows", {"who": "preprocessed by Axolotl", "equal": len(found)})


def preprocessed(folder: Path) -> list[dict[str, Any]]:
    """The training rows of the larger of Axolotl's two prepared datasets."""
    import datasets

    found = [datasets.load_from_disk(str(path)) for path in folder.iterdir() if path.is_dir()]
    return list(max(found, key=len))
