"""Datasets to train on, finished artefacts with a few records, and settings of such a training."""

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from conftest import missing

from joco_mlx.artifacts import seal
from joco_mlx.commit.record import Record, write_records
from joco_mlx.config import TrainConfig


@pytest.fixture(scope="session")
def parquet() -> ModuleType:
    """The reader and writer of Parquet files that is pyarrow's own."""
    try:
        return importlib.import_module("pyarrow.parquet")
    except ModuleNotFoundError:
        missing("pyarrow", "run scripts/setup --dev, or pip install 'joco-mlx[parquet]'")


@pytest.fixture
def make_dataset(tmp_path: Path) -> Callable[..., Path]:
    """`make_dataset(train, validation) -> folder`: a sealed dataset of the given records."""

    def make(train: Sequence[Record], validation: Sequence[Record] = (), name: str = "data") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        files = []
        for split, records in (("train", train), ("validation", validation), ("test", ())):
            files.append(folder / f"{split}.jsonl")
            with files[-1].open("wb") as file:
                write_records(file, records)
        seal(folder, "dataset", config={}, parents={}, files=files)
        return folder

    return make


@pytest.fixture
def tiny_config(
    tmp_path: Path, tiny_model: Callable[..., Path], make_dataset: Callable[..., Path]
) -> Callable[..., TrainConfig]:
    """`tiny_config(train, validation, **settings)`: a run of a tiny model on few records, as small as it can be."""

    def make(train: Sequence[Record], validation: Sequence[Record], **settings: Any) -> TrainConfig:
        base, data = tiny_model("qwen2", dtype="float32"), make_dataset(train, validation)
        smallest = {"out": tmp_path / "run", "grad_accumulation": 1, "max_seq_length": 512, "rank": 4}
        return TrainConfig(model=str(base), data=data, **{**smallest, **settings})

    return make
