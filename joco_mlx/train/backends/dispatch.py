"""From a config to the backend that trains it, chosen and told before anything heavy is imported.

Decides nothing about training: what `auto` means and whether a choice is able is `verdicts`', the rest is the backends'
own. A run remembers its backend and is gone on with by the same.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from joco_mlx.artifacts import Artifact
from joco_mlx.config import TrainConfig
from joco_mlx.errors import UsageError
from joco_mlx.progress import Progress, Silent
from joco_mlx.train import run as mlx_run
from joco_mlx.train import together
from joco_mlx.train.backends import torch_run
from joco_mlx.train.backends.machine import this_machine
from joco_mlx.train.backends.verdicts import choose
from joco_mlx.train.distributed import is_launched
from joco_mlx.train.resume import open_unfinished
from joco_mlx.train.run import Orders


def train(config: TrainConfig, *, progress: Progress | None = None, orders: Orders | None = None) -> Artifact:
    """Train with the backend that `config` names, or the best that is able here, and return the sealed run folder.

    Raises:
        MachineError: The backend that was named cannot train here.
        UsageError: It is one that only writes files.
        JocoError: As `train.run.train`.
    """
    shown = progress or Silent()
    if is_launched():
        return together.train(config, progress=shown)
    if config.backend == "axolotl":
        raise UsageError(
            "Axolotl is not run from here: its exact pins do not go together with anything else.",
            "Write its configuration and data: joco-mlx train --backend axolotl --write-only DIR",
        )
    backend, reason = choose(config.backend, this_machine())
    shown.note(f"Training with {reason}.")
    if backend == "mlx":
        return mlx_run.train(replace(config, backend="mlx"), progress=shown, orders=orders)
    return torch_run.train(config, backend, progress=shown, orders=orders or Orders())


def resume(
    path: Path | str | None = None,
    *,
    given: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    orders: Orders | None = None,
) -> Artifact:
    """Go on with an unfinished run by the backend that it began with.

    Raises:
        JocoError: As `train.run.resume`.
        MachineError: That backend cannot train here any more.
    """
    shown = progress or Silent()
    if is_launched():
        return together.resume(path, given=given, progress=shown)
    found = open_unfinished(path)
    if found.config.backend in ("auto", "mlx"):  # runs of older versions do not say it
        return mlx_run.resume(found.folder, given=given, progress=shown, orders=orders)
    choose(found.config.backend, this_machine())
    return torch_run.resume(found, given=given or {}, progress=shown, orders=orders or Orders(reason="resumed"))
