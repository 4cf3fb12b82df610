"""Everything a run needs to go on as if it had never stopped, in one folder that is whole or not there.

Decides what a checkpoint holds (adapters, the optimizer's state, MLX's random state, the position in the data) and how
long it is kept. The order of the data is a pure function of the seed (`train.batches`), so its position is one number.
"""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from joco_mlx.artifacts import sha256, whole_folder, write_json
from joco_mlx.errors import InputError
from joco_mlx.models.compute import mx, trees
from joco_mlx.train.mlx_lora.lora import TENSOR_FILE, adapter_tensors, save_tensors

OPTIMIZER_FILE = "optimizer.safetensors"
POSITION_FILE = "position.json"
KEPT = 2
"""Checkpoints of a run that stay on disk: the newest, and one before it in case the newest is damaged."""


@dataclass(frozen=True)
class Position:
    """How far a run has come."""

    step: int
    """Optimizer steps done."""
    batch: int
    """Batches used, counted over the whole run."""
    random_key: tuple[int, int]
    """MLX's random state."""


def save_checkpoint(folder: Path, model: Any, optimizer: Any, *, step: int, batch: int) -> Path:
    """Write the state after `step` steps into `folder`, drop the oldest beyond `KEPT`, and return its own folder.

    Raises:
        MachineError: The disk is full or cannot be written. The checkpoints before stay as they were.
    """
    position = Position(step, batch, _random_key())
    target = folder / f"step-{step:06d}"
    with whole_folder(target, force=True) as made:
        save_tensors(made / TENSOR_FILE, adapter_tensors(model))
        save_tensors(made / OPTIMIZER_FILE, dict(trees.tree_flatten(optimizer.state)))
        digests = {name: sha256(made / name) for name in (TENSOR_FILE, OPTIMIZER_FILE)}
        write_json(made / POSITION_FILE, {**asdict(position), "files": digests})
    for old in checkpoints(folder)[:-KEPT]:
        shutil.rmtree(old)
    return target


def checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints in `folder`, oldest first."""
    return sorted(path for path in folder.glob("step-*") if path.is_dir())


def restore_checkpoint(checkpoint: Path, model: Any, optimizer: Any) -> Position:
    """Put a checkpoint into a model with fresh adapters and its optimizer, and set MLX's random state.

    Do this before the `Step` is made: a compiled step holds on to the state that it was made with.

    Raises:
        InputError: A file is missing, changed, or belongs to adapters of another shape.
    """
    position = _checked_position(checkpoint)
    tensors = _load(checkpoint / TENSOR_FILE)
    shapes = {name: array.shape for name, array in adapter_tensors(model).items()}
    if shapes != {name: array.shape for name, array in tensors.items()}:
        raise InputError(
            f"{checkpoint} holds adapters of another rank, other layers or another model.",
            "Go on with the settings that the run began with; they are in its run.json.",
        )
    model.load_weights(list(tensors.items()), strict=False)
    optimizer.state = trees.tree_unflatten(list(_load(checkpoint / OPTIMIZER_FILE).items()))
    mx.eval(model.trainable_parameters(), optimizer.state)
    mx.random.seed((position.random_key[0] << 32) | position.random_key[1])
    return position


def _random_key() -> tuple[int, int]:
    high, low = cast(Any, mx.random.state)[0].tolist()
    return int(high), int(low)


def _load(path: Path) -> dict[str, Any]:
    return cast(dict[str, Any], mx.load(str(path)))


def _checked_position(checkpoint: Path) -> Position:
    try:
        content = json.loads((checkpoint / POSITION_FILE).read_text("utf-8"))
        for name, digest in content["files"].items():
            if sha256(checkpoint / name) != digest:
                raise ValueError(f"{name} was changed")  # noqa: TRY301  (every way to be damaged is told in one place)
        key = content["random_key"]
        return Position(int(content["step"]), int(content["batch"]), (int(key[0]), int(key[1])))
    except (OSError, ValueError, KeyError, TypeError, IndexError) as problem:
        raise InputError(f"{checkpoint} is damaged: {problem}.", "Use the checkpoint before it.") from problem
