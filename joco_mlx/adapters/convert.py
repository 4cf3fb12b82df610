"""PEFT's adapters to mlx-lm's layout and back, number for number.

Decides names, axes and scale:

    PEFT                                                            mlx-lm
    base_model.model.model.layers.N.X.lora_A.weight [rank, in]      model.layers.N.X.lora_a [in, rank]
    base_model.model.model.layers.N.X.lora_B.weight [out, rank]     model.layers.N.X.lora_b [rank, out]
    base_model.model.model.layers.N.X.lora_magnitude_vector [out]   model.layers.N.X.m [out]

Only axes are swapped, so that going there and back gives the same bytes. Leaves which features there are to
`peft_config` and `mlx_config`, and which layers can be adapted to `extent`.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from joco_mlx.adapters.extent import Extent, extent_of
from joco_mlx.adapters.peft_config import CONFIG, peft_config, read_peft_config
from joco_mlx.adapters.tensors import Piece, read_metadata, turned, write_pieces
from joco_mlx.adapters.training_base import ENTRY, TrainingBase
from joco_mlx.artifacts import whole_folder, write_json
from joco_mlx.errors import InputError
from joco_mlx.merge.tensorfile import brief, read_header
from joco_mlx.merge.weights import read_object

Form = Literal["mlx", "peft"]
TENSORS: Mapping[Form, str] = {"mlx": "adapters.safetensors", "peft": "adapter_model.safetensors"}
_PEFT_NAME = re.compile(r"base_model\.model\.(.+)\.(lora_A\.weight|lora_B\.weight|lora_magnitude_vector(?:\.weight)?)")
_TO_MLX = {"lora_A.weight": "lora_a", "lora_B.weight": "lora_b"}
_TO_PEFT = {"lora_a": "lora_A.weight", "lora_b": "lora_B.weight", "m": "lora_magnitude_vector"}
_SAVE_AGAIN = "Save the adapter again, or train another: joco-mlx train"
_LARGEST_SCALE = 1e6


@dataclass(frozen=True)
class Converted:
    """An adapter that was written, and what it says of itself."""

    folder: Path
    form: Form
    kind: Literal["lora", "dora"]
    rank: int
    scale: float
    """What the low-rank product is multiplied by."""
    dropout: float
    extent: Extent
    base: TrainingBase | None


def convert(source: Path, target: Path, *, base: TrainingBase | None = None, force: bool = False) -> Converted:
    """Write the adapter in `source` into the folder `target` in the other form.

    Args:
        source: A folder with `adapter_model.safetensors` (PEFT) or `adapters.safetensors` (mlx-lm).
        target: The folder to make.
        base: What it was trained on, where the adapter does not say so, or says it by another name.
        force: Replace `target`.

    Raises:
        InputError: It is no adapter, is damaged, or uses what the other form does not have; that is named.
        ConflictError: `target` exists.
        MachineError: The disk is full.
    """
    if form_of(source) == "peft":
        made, pieces = _read_peft(source, target, base)
        description, metadata = _mlx_config(made), {"format": "mlx"}
    else:
        made, pieces = _read_mlx(source, target, base)
        description, metadata = _peft_config(made), {"format": "pt", **_entry(made.base)}
    with whole_folder(target, force=force) as folder:
        with (folder / TENSORS[made.form]).open("wb") as file:
            write_pieces(file, pieces, metadata)
        write_json(folder / CONFIG, description)
    return made


def form_of(folder: Path) -> Form:
    """Return whose layout the adapter in `folder` has.

    Raises:
        InputError: It has neither, or both.
    """
    found: list[Form] = [form for form, name in TENSORS.items() if (folder / name).is_file()]
    if len(found) != 1 or not (folder / CONFIG).is_file():
        raise InputError(
            f"{folder} is no adapter: it must have {CONFIG} and one of {' and '.join(TENSORS.values())}.",
            "Give the folder that PEFT's save_pretrained wrote, or RUN/adapters of joco-mlx train.",
        )
    return found[0]


def _read_peft(source: Path, target: Path, base: TrainingBase | None) -> tuple[Converted, dict[str, Piece]]:
    path = source / TENSORS["peft"]
    config = read_peft_config(source / CONFIG)
    pieces = {}
    for name, entry in read_header(path).items():
        found = _PEFT_NAME.fullmatch(name)
        if found is None:
            raise _stranger(path, name)
        part = _TO_MLX.get(found[2], "m")
        pieces[f"{found[1]}.{part}"] = turned(name, entry, axes=1 if part == "m" else 2)
    extent = extent_of(path, {name: piece.shape for name, piece in pieces.items()}, config.rank, dora=config.dora)
    if config.chooses_layers and extent.layers[0] == 0:
        raise InputError(
            f"{source / CONFIG} has layers_to_transform from the first layer on; MLX's adapters are of the last ones.",
            "Train on the last layers, or take layers_to_transform out of it if these are all.",
        )
    trained_on = base or TrainingBase.of_peft(config.base, read_metadata(path))
    kind: Literal["lora", "dora"] = "dora" if config.dora else "lora"
    return Converted(target, "mlx", kind, config.rank, config.scale, config.dropout, extent, trained_on), pieces


def _read_mlx(source: Path, target: Path, base: TrainingBase | None) -> tuple[Converted, dict[str, Piece]]:
    path = source / TENSORS["mlx"]
    config = read_object(source / CONFIG)
    kind, rank, scale, dropout = _mlx_parameters(source / CONFIG, config)
    entries = read_header(path)
    pieces = {}
    for name, entry in entries.items():
        module, _, part = name.rpartition(".")
        if part not in _TO_PEFT:
            raise _stranger(path, name)
        pieces[f"base_model.model.{module}.{_TO_PEFT[part]}"] = turned(name, entry, axes=1 if part == "m" else 2)
    extent = extent_of(path, {name: entry.shape for name, entry in entries.items()}, rank, dora=kind == "dora")
    return Converted(target, "peft", kind, rank, scale, dropout, extent, base or TrainingBase.of_mlx(config)), pieces


def _mlx_parameters(path: Path, config: Mapping[str, Any]) -> tuple[Literal["lora", "dora"], int, float, float]:
    kind, table = config.get("fine_tune_type", "lora"), config.get("lora_parameters")
    parameters: dict[str, Any] = table if isinstance(table, dict) else {}
    rank: Any = parameters.get("rank")
    scale: Any = parameters.get("scale")
    dropout: Any = parameters.get("dropout", 0.0)
    for name, value, sound in (
        ("fine_tune_type", kind, kind in ("lora", "dora")),
        ("rank", rank, type(rank) is int and rank > 0),
        ("scale", scale, type(scale) in (int, float) and abs(scale) < _LARGEST_SCALE),
        ("dropout", dropout, type(dropout) in (int, float) and 0 <= dropout < 1),
    ):
        if not sound:
            raise InputError(f"{path} has {name} {brief(value)}, which PEFT's LoRA does not have.", _SAVE_AGAIN)
    return kind, rank, float(scale), float(dropout)


def _mlx_config(made: Converted) -> dict[str, Any]:
    """What mlx-lm reads, and the base that fuse compares."""
    parameters = {"rank": made.rank, "scale": made.scale, "dropout": made.dropout, "keys": list(made.extent.modules)}
    about = {} if made.base is None else {"model": made.base.name, "base": asdict(made.base)}
    layers = len(made.extent.layers)
    return {"fine_tune_type": made.kind, "num_layers": layers, "lora_parameters": parameters, **about}


def _peft_config(made: Converted) -> dict[str, Any]:
    first = made.extent.layers[0]
    return peft_config(
        base=made.base.name if made.base else None,
        rank=made.rank,
        scale=made.scale,
        dropout=made.dropout,
        modules=made.extent.short_modules,
        layers=list(made.extent.layers) if first > 0 else None,
        dora=made.kind == "dora",
    )


def _entry(base: TrainingBase | None) -> dict[str, str]:
    return {} if base is None else {ENTRY: json.dumps(asdict(base))}


def _stranger(path: Path, name: str) -> InputError:
    return InputError(f"{path} holds {brief(name)}, which is no part of a LoRA adapter.", _SAVE_AGAIN)
