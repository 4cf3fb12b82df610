"""What `run.json` says of a run's base model and dataset: one schema for the trainer and for readers."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joco_mlx.models.folder import ModelFolder


@dataclass(frozen=True)
class BaseRecord:
    """The base model of a run, as `run.json` has it under `base`."""

    name: str
    revision: str | None
    path: str
    template: str
    end_token: str
    quantization: Mapping[str, Any] | None
    digest: str

    @classmethod
    def of(cls, folder: ModelFolder) -> "BaseRecord":
        """Return what a run on `folder` writes down."""
        return cls(
            name=folder.name,
            revision=folder.revision,
            path=str(folder.path.resolve()),
            template=folder.template.name,
            end_token=folder.template.end_token,
            quantization=folder.quantization,
            digest=folder.digest,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the table for `run.json`."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class DatasetRecord:
    """The dataset of a run, as `run.json` has it under `dataset`."""

    path: str
    digest: str
    """SHA-256 of the dataset's manifest."""
    records: int
    """Records that were trained on."""

    def to_json(self) -> dict[str, Any]:
        """Return the table for `run.json`."""
        return dataclasses.asdict(self)
