"""Datasets to train on: finished artefacts with a few records."""

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import pytest
from conftest import missing

from joco_mlx.artifacts import seal
from joco_mlx.commit.record import Record, write_records


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
