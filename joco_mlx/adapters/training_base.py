"""The base that an adapter was trained on, as the adapter itself keeps it.

Decides where that is written: `base` in an MLX adapter's configuration, and an entry of a PEFT adapter's safetensors
header, because PEFT warns of every field of its configuration that it does not know.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joco_mlx.models.folder import ModelFolder

ENTRY = "joco_mlx.base"


@dataclass(frozen=True)
class TrainingBase:
    """What is known of the model under an adapter while it was trained."""

    name: str
    digest: str | None = None
    """As `ModelFolder.digest`; None when nobody recorded it."""
    quantization: Mapping[str, Any] | None = None
    """MLX's table (`group_size`, `bits`), or `{"quant_method": "nf4"}` for bitsandbytes; None for a dense model."""

    @classmethod
    def of(cls, folder: ModelFolder, quantization: Mapping[str, Any] | None = None) -> "TrainingBase":
        """Return the record of a model folder, quantised on loading when `quantization` is given."""
        return cls(folder.name, folder.digest, quantization or folder.quantization)

    @classmethod
    def of_mlx(cls, config: Mapping[str, Any]) -> "TrainingBase | None":
        """Return what an MLX adapter's configuration says; mlx-lm itself writes only the name, as `model`."""
        found = config.get("base")
        if isinstance(found, Mapping) and isinstance(found.get("name"), str):
            return _checked(found)
        name = config.get("model")
        return cls(name) if isinstance(name, str) else None

    @classmethod
    def of_peft(cls, name: str | None, metadata: Mapping[str, str]) -> "TrainingBase | None":
        """Return what a PEFT adapter says.

        Args:
            name: `base_model_name_or_path`.
            metadata: Of its safetensors file.
        """
        try:
            found = json.loads(metadata.get(ENTRY, "null"))
        except ValueError:  # somebody else's entry of the same name
            found = None
        if isinstance(found, dict) and isinstance(found.get("name"), str):
            return _checked(found)
        return None if name is None else cls(name)


def _checked(table: Mapping[str, Any]) -> TrainingBase:
    digest, quantization = table.get("digest"), table.get("quantization")
    return TrainingBase(
        table["name"],
        digest if isinstance(digest, str) and digest else None,
        dict(quantization) if isinstance(quantization, Mapping) else None,
    )
