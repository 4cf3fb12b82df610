"""A run of several ranks: rank 0 trains as if it were alone and writes, the others follow.

Decides what a rank that does not write does, and how it ends. It has no run folder, so it may be on a machine of its own;
a run is gone on with from the checkpoints of rank 0, whose state every rank gets.
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from joco_mlx.artifacts import Artifact, Manifest
from joco_mlx.config import TrainConfig
from joco_mlx.errors import StoppedError, UsageError
from joco_mlx.progress import Progress, Silent
from joco_mlx.train import run as one
from joco_mlx.train.distributed import Team, joined
from joco_mlx.train.interruption import deferred_interrupts
from joco_mlx.train.limits import held_to
from joco_mlx.train.live_run import record_failure
from joco_mlx.train.mlx_lora.loop import run_steps


def train(config: TrainConfig, *, progress: Progress | None = None) -> Artifact:
    """Do what `train.run.train` does, with all ranks that `mlx.launch` started.

    Returns:
        On every rank the run as rank 0 sealed it; its folder is on the machine of rank 0.

    Raises:
        JocoError: As `train.run.train`.
        UsageError: The batches of a step cannot be shared evenly, or the backend is another.
        MachineError: Another rank was lost.
    """
    if config.backend not in ("auto", "mlx"):
        raise UsageError(f"--backend {config.backend} does not train on several ranks.", "Leave --backend out.")
    with joined() as team:
        if not team.leads:
            return _follow(team)
        _greet(team, progress)
        orders = one.Orders(begun=lambda folder, _: _record_losses(team, folder), team=team)
        return _told(team, one.train(replace(config, backend="mlx"), progress=progress, orders=orders))


def resume(
    path: Path | str | None = None, *, given: Mapping[str, Any] | None = None, progress: Progress | None = None
) -> Artifact:
    """Do what `train.run.resume` does, with all ranks that `mlx.launch` started.

    Raises:
        JocoError: As `train` and `train.run.resume`.
    """
    with joined() as team:
        if not team.leads:
            return _follow(team)
        _greet(team, progress)
        orders = one.Orders(reason="resumed", begun=lambda folder, _: _record_losses(team, folder), team=team)
        return _told(team, one.resume(path, given=given, progress=progress, orders=orders))


class _Nowhere:
    """The journal of a rank that does not write."""

    def write(self, figures: dict[str, Any]) -> None:
        """Nothing: rank 0 writes the same figures."""

    def sync(self) -> None:
        """Nothing was written."""


def _follow(team: Team) -> Artifact:
    """Train along with rank 0 by its settings and from its state."""
    prepared = one.prepare_all(None, Silent(), team)
    with held_to(prepared.plan.planned_bytes, prepared.plan.budget_bytes):
        model, description = one.adapted_model(prepared)
        work = one.make_work(prepared, model, description, Path(), None, one.Orders(team=team), Silent())
        with deferred_interrupts() as stopped:
            finished = run_steps(work, _Nowhere(), Silent(), stopped)
    if not finished:
        raise StoppedError(
            f"Training stopped after step {work.done} of {work.config.steps}.", "Rank 0 says how to go on."
        )
    made = team.told(None)
    return Artifact(Path(made["folder"]), Manifest(**made["manifest"]))


def _told(team: Team, made: Artifact) -> Artifact:
    """Tell the others what was made, which also keeps them until it is."""
    team.told({"folder": str(made.folder), "manifest": asdict(made.manifest)})
    return made


def _greet(team: Team, progress: Progress | None) -> None:
    if progress is not None and team.size > 1:
        progress.note(f"Training on {team.size} ranks, which share the batches of each step.")


def _record_losses(team: Team, folder: Path) -> None:
    """Have a lost rank written into run.json at once; this process may not live to do it in order."""
    if team.lifeline is not None:
        team.lifeline.on_loss(lambda problem: record_failure(folder, problem))
