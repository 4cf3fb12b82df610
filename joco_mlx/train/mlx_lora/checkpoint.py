"""Everything a run needs to go on as if it had never stopped, in one folder that is whole or not there.

Decides what a checkpoint holds (adapters, the optimizer's state, MLX's random state, the position in the data), how
long it is kept, and which one is gone on from: the newest that is undamaged. The order of the data is a pure function of
the seed (`train.batches`), so its position is one number.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from joco_mlx.artifacts import sha256, whole_folder, write_json
from joco_mlx.errors import InputError
from joco_mlx.models.compute import mx, trees
from joco_mlx.train.distributed import Team
from joco_mlx.train.mlx_lora.lora import TENSOR_FILE, adapter_tensors, save_tensors

OPTIMIZER_FILE = "optimizer.safetensors"
POSITION_FILE = "position.json"
KEPT = 2
"""Newest checkpoints of a run that stay on disk: one, and one before it in case it is damaged. The best stays as well."""


@dataclass(frozen=True)
class Best:
    """The checkpoint with the smallest validation loss."""

    step: int
    val_loss: float


@dataclass(frozen=True)
class Reached:
    """How far a run has come."""

    step: int = 0
    """Optimizer steps done."""
    batch: int = 0
    """Batches used, counted over the whole run."""
    read_tokens: int = 0
    """Tokens that the model has read in training."""
    seconds: float = 0.0
    """Spent in training steps, over all segments of the run."""
    best: Best | None = None
    validations_since_best: int = 0


def save_checkpoint(folder: Path, model: Any, optimizer: Any, reached: Reached) -> Path:
    """Write the present state into `folder`, drop what need not be kept, and return the checkpoint's own folder.

    Raises:
        MachineError: The disk is full or cannot be written. The checkpoints before stay as they were.
    """
    target = checkpoint_at(folder, reached.step)
    with whole_folder(target, force=True) as made:
        save_tensors(made / TENSOR_FILE, adapter_tensors(model))
        save_tensors(made / OPTIMIZER_FILE, dict(trees.tree_flatten(optimizer.state)))
        digests = {name: sha256(made / name) for name in (TENSOR_FILE, OPTIMIZER_FILE)}
        content = {**asdict(reached), "random_key": _random_key(), "files": digests}
        write_json(made / POSITION_FILE, content)
    _drop_old(folder)
    return target


def checkpoint_at(folder: Path, step: int) -> Path:
    """Return where the checkpoint after `step` steps lies."""
    return folder / f"step-{step:06d}"


def checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints in `folder`, oldest first."""
    return sorted(path for path in folder.glob("step-*") if path.is_dir())


def usable_checkpoint(folder: Path, tell: Callable[[str], None]) -> Path | None:
    """Return the newest undamaged checkpoint in `folder`, or None; newer ones are told to `tell` and removed."""
    for checkpoint in reversed(checkpoints(folder)):
        try:
            check(checkpoint)
        except InputError as problem:
            tell(f"{problem.message} The one before it is used.")
            shutil.rmtree(checkpoint)
        else:
            return checkpoint
    return None


def check(checkpoint: Path) -> Reached:
    """Compare every file with its digest, and return how far the checkpoint had come.

    Raises:
        InputError: A file is missing or changed.
    """
    return _checked(checkpoint)[0]


def restore_checkpoint(checkpoint: Path, model: Any, optimizer: Any) -> Reached:
    """Put a checkpoint into a model with fresh adapters and its optimizer, and set MLX's random state.

    Do this before the `Step` is made: a compiled step holds on to the state that it was made with.

    Raises:
        InputError: A file is missing, changed, or belongs to adapters of another shape.
    """
    reached, (high, low) = _checked(checkpoint)
    load_adapters(checkpoint, model)
    optimizer.state = trees.tree_unflatten(list(_load(checkpoint / OPTIMIZER_FILE).items()))
    mx.eval(model.trainable_parameters(), optimizer.state)
    mx.random.seed((high << 32) | low)
    return reached


def share_state(team: Team, model: Any, optimizer: Any, reached: Reached) -> Reached:
    """Give every rank the adapters, the optimizer, the random state and the position of rank 0.

    Like `restore_checkpoint`, do this before the `Step` is made.
    """
    if team.size == 1:
        return reached
    optimizer.init(model.trainable_parameters())  # it leaves alone what was restored
    model.update(team.shared(model.trainable_parameters()))
    optimizer.state = team.shared(optimizer.state)
    told = team.told({**asdict(reached), "random_key": _random_key()})
    high, low = told.pop("random_key")
    mx.random.seed((high << 32) | low)
    return _reached(told)


def load_adapters(checkpoint: Path, model: Any) -> None:
    """Put a checkpoint's adapters into `model`.

    Raises:
        InputError: They have another shape, or are damaged.
    """
    check(checkpoint)
    tensors = _load(checkpoint / TENSOR_FILE)
    shapes = {name: array.shape for name, array in adapter_tensors(model).items()}
    if shapes != {name: array.shape for name, array in tensors.items()}:
        raise InputError(
            f"{checkpoint} holds adapters of another rank, other layers or another model.",
            "Go on with the settings that the run began with; they are in its run.json.",
        )
    model.load_weights(list(tensors.items()), strict=False)


def _drop_old(folder: Path) -> None:
    """Keep the newest, and the best as each of them knows it: the newest may turn out damaged."""
    newest = checkpoints(folder)[-KEPT:]
    bests = [best for path in newest if (best := _best_of(path)) is not None]
    kept = {*newest, *(checkpoint_at(folder, best) for best in bests)}
    for old in checkpoints(folder):
        if old not in kept:
            shutil.rmtree(old)


def _best_of(checkpoint: Path) -> int | None:
    """The step of the best checkpoint so far, without looking at any digest."""
    try:
        return int(json.loads((checkpoint / POSITION_FILE).read_text("utf-8"))["best"]["step"])
    except (OSError, ValueError, KeyError, TypeError):  # no best yet, or damaged: then nothing depends on it
        return None


def _reached(content: dict[str, Any]) -> Reached:
    best = content.pop("best")
    return Reached(**content, best=Best(**best) if best else None)


def _random_key() -> tuple[int, int]:
    high, low = cast(Any, mx.random.state)[0].tolist()
    return int(high), int(low)


def _load(path: Path) -> dict[str, Any]:
    return cast(dict[str, Any], mx.load(str(path)))


def _checked(checkpoint: Path) -> tuple[Reached, tuple[int, int]]:
    """Return how far a checkpoint had come, and MLX's random state in it."""
    try:
        content = json.loads((checkpoint / POSITION_FILE).read_text("utf-8"))
        digests, (high, low) = content.pop("files"), content.pop("random_key")
        for name in (TENSOR_FILE, OPTIMIZER_FILE):
            if sha256(checkpoint / name) != digests[name]:
                raise ValueError(f"{name} was changed")  # noqa: TRY301  (every way to be damaged is told in one place)
        return _reached(content), (int(high), int(low))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise InputError(f"{checkpoint} is damaged: {problem}.", "Use the checkpoint before it.") from problem
