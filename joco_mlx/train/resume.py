"""Which run is gone on with, and whether everything is still what it began with.

Decides what may not change between two segments of a run: the settings, the dataset and the base model, because then it
would be another run under the old name. Leaves the restoring to `train.run` and `mlx_lora.checkpoint`.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from joco_mlx import artifacts
from joco_mlx.config import RUNS_FOLDER, TrainConfig, flag, resolve
from joco_mlx.errors import ConflictError, InputError, UsageError
from joco_mlx.models import registry
from joco_mlx.models.folder import ModelFolder
from joco_mlx.models.runs import RUN_FILE, TRAIN_HINT, BaseRecord, Run, open_run
from joco_mlx.train.live_run import is_held

ANEW = "Leave it as it was, or begin another run: joco-mlx train"


def open_unfinished(path: Path | str | None, *, root: Path = RUNS_FOLDER) -> Run:
    """Return the run to go on with: the named one, or the newest in `root` that is neither finished nor at work.

    Raises:
        InputError: There is no such run, or it is damaged.
        ConflictError: It is finished, or another process works on it.
    """
    run = open_run(_newest(root) if path is None else path)
    if run.is_finished:
        raise ConflictError(f"The run {run.folder} is finished already.", f"Use it: joco-mlx fuse {run.folder}")
    if is_held(run.folder):
        raise ConflictError(f"The run {run.folder} is in use by another process.", "Wait until that one has ended.")
    return run


def same_config(run: Run, given: Mapping[str, Any]) -> TrainConfig:
    """Return the config to go on with: the run's own, its dataset and its model found from anywhere.

    Args:
        run: The run.
        given: Flags; one that is None was not given.

    Raises:
        UsageError: A flag says something else than the run began with.
    """
    own = dataclasses.asdict(run.config)
    asked = dataclasses.asdict(resolve(TrainConfig, given, environment={}, files={RUN_FILE: own}))
    for name, value in asked.items():
        if value != own[name]:
            raise UsageError(f"{flag(name)} is {value}, but {run.folder} began with {own[name]}.", ANEW)
    return dataclasses.replace(
        run.config, data=Path(run.dataset.path), model=_model_name(run.base, run.config.model), out=run.folder
    )


def require_same_data(run: Run) -> None:
    """Raise InputError when the dataset is gone or any of its files is not what the run began with."""
    artifact = artifacts.open_artifact(Path(run.dataset.path), "dataset", checked=True)
    if artifact.digest != run.dataset.digest:
        raise InputError(f"The dataset {run.dataset.path} is not the one that {run.folder} began with.", ANEW)


def require_same_model(run: Run, found: ModelFolder) -> None:
    """Raise InputError when the base model is not what the run began with."""
    if (found.digest, found.template.name) != (run.base.digest, run.base.template):
        raise InputError(
            f"The model {run.base.name} at {found.path} is not the one that {run.folder} began with.", ANEW
        )


def _newest(root: Path) -> Path:
    documents = [path for path in root.glob(f"*/{RUN_FILE}") if not artifacts.is_finished(path.parent)]
    idle = [path for path in documents if not is_held(path.parent)]
    if not idle:
        raise InputError(
            f"No run in {root} was left unfinished.", f"Name one: joco-mlx train --resume RUN. {TRAIN_HINT}"
        )
    return max(idle, key=lambda path: path.stat().st_mtime).parent


def _model_name(base: BaseRecord, given: str) -> str:
    """Return what `hub.locate` finds the same model by: pinned to its revision, and not relative to a folder."""
    if registry.find(given) is not None:
        return given
    return f"{base.name}@{base.revision}" if base.revision else base.path
