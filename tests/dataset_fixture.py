"""Datasets to train on: finished artefacts with a few records."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from joco_mlx.artifacts import seal
from joco_mlx.commit.record import Record, write_records


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
