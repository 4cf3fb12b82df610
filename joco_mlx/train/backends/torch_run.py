"""A training run with TRL or Unsloth, from its config to its sealed folder: the same folder that MLX's trainer makes.

Decides in which order things happen and which base is meant: where the registry's model is one that only MLX reads, the
original that it was made from. Leaves the steps to `trl`, what happens between them to `torch_watch`, and the model to
`torch_model` or `unsloth`. Imports torch only when it is called.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import replace
from importlib import metadata
from typing import TYPE_CHECKING, Any, Literal

from joco_mlx.artifacts import Artifact, versions
from joco_mlx.config import TrainConfig
from joco_mlx.errors import MachineError, StoppedError
from joco_mlx.models import registry
from joco_mlx.models.runs import BaseRecord, DatasetRecord, Run
from joco_mlx.progress import Progress, task
from joco_mlx.train.backends.schedule import StepOrder, require_plain_loss
from joco_mlx.train.interruption import deferred_interrupts
from joco_mlx.train.live_run import METRICS, LiveRun, live_run, refuse_taken, reopened_run
from joco_mlx.train.mlx_lora.checkpoint import Reached
from joco_mlx.train.model_card import write_card
from joco_mlx.train.plan import Prepared, prepare
from joco_mlx.train.plot import PICTURE, plot_loss
from joco_mlx.train.resume import require_same_data, require_same_model, same_config
from joco_mlx.train.run import CHECKPOINTS, Orders

if TYPE_CHECKING:
    from joco_mlx.train.backends.torch_model import TorchModel

TorchBackend = Literal["trl", "unsloth"]
_PACKAGES = ("torch", "transformers", "trl", "peft", "bitsandbytes", "unsloth")


def train(config: TrainConfig, backend: TorchBackend, *, progress: Progress, orders: Orders) -> Artifact:
    """Train adapters and return the sealed run folder; as `train.run.train`."""
    require_plain_loss(config, backend)
    if config.out is not None:
        refuse_taken(config.out)
    prepared = _prepared(replace(config, model=unquantised(config.model), backend=backend), progress)
    made = _loaded(prepared, backend)
    with live_run(prepared.config.out, prepared.model.name, _document(prepared, made)) as run:
        return _segment(prepared, made, run, progress, orders)


def resume(found: Run, *, given: Mapping[str, Any], progress: Progress, orders: Orders) -> Artifact:
    """Go on with an unfinished run of this kind from its newest whole checkpoint; as `train.run.resume`."""
    config = same_config(found, given)
    require_same_data(found)
    prepared = _prepared(config, progress)
    require_same_model(found, prepared.model)
    made = _loaded(prepared, "unsloth" if config.backend == "unsloth" else "trl")
    with reopened_run(found.folder, found.document) as run:
        return _segment(prepared, made, run, progress, orders)


def unquantised(model: str) -> str:
    """Return what torch loads where a name of the registry stands for weights that only MLX reads.

    The embedded model has no other form; it is loaded from its codes.
    """
    entry = registry.find(model)
    if entry is None or entry.repository is None or entry.repository == entry.original:
        return model
    return entry.original


def _prepared(config: TrainConfig, progress: Progress) -> Prepared:
    prepared = prepare(config, progress)
    if prepared.data.pilot_note:
        progress.note(prepared.data.pilot_note)
    return prepared


def _loaded(prepared: Prepared, backend: TorchBackend) -> "TorchModel":
    """Load the model; Unsloth must be imported before anything else of torch, or it patches too late."""
    if backend == "unsloth":
        from joco_mlx.train.backends import unsloth

        return unsloth.load(prepared.model, prepared.config)
    import torch

    from joco_mlx.train.backends import torch_model

    torch.manual_seed(prepared.config.seed)
    return torch_model.load(prepared.model, prepared.config)


def _segment(prepared: Prepared, made: "TorchModel", run: LiveRun, progress: Progress, orders: Orders) -> Artifact:
    """Take the steps that are left and seal the run."""
    import torch

    from joco_mlx.train.backends import torch_watch, trl

    config, checkpoints = prepared.config, run.folder / CHECKPOINTS
    checkpoint, reached = torch_watch.newest_whole(checkpoints)
    run.begin(reached.step, reason=orders.reason, memory_plan="none")
    orders.begun(run.folder, 0)
    if checkpoint is not None:
        progress.note(f"Going on with {run.folder} after step {reached.step} of {config.steps}.")
    order = StepOrder.of(config, prepared.examples, prepared.shapes)
    trainer = trl.make_trainer(made, prepared.model.path, config, prepared.examples, order, checkpoints)
    title = f"Training from step {reached.step}" if reached.step else "Training"
    with deferred_interrupts() as stopped, task(progress, title, config.steps - reached.step, "steps") as shown:
        watch = torch_watch.Watch(prepared, made, trainer, order, run, shown, stopped, reached)
        try:
            trl.take_steps(trainer, watch, checkpoint)
        except torch.cuda.OutOfMemoryError as problem:
            raise MachineError(
                f"The card ran out of memory after step {watch.reached.step}: {str(problem).splitlines()[0]}",
                "Begin another run with a smaller --max-seq-length, --batch-size or --model, or --quantize-base nf4.",
            ) from problem
    plot_loss(run.folder / METRICS, run.folder / PICTURE)
    if stopped() and watch.reached.step < config.steps:
        raise StoppedError(
            f"Training stopped after step {watch.reached.step} of {config.steps}; {run.folder} keeps what was learned.",
            f"Go on: joco-mlx train --resume {run.folder}",
        )
    return _sealed(prepared, made, run, watch.reached)


def _sealed(prepared: Prepared, made: "TorchModel", run: LiveRun, reached: Reached) -> Artifact:
    """Put the best adapters in their place, write the card and seal the folder."""
    from joco_mlx.train.backends import torch_watch

    best = reached.best
    step = reached.step if best is None else best.step
    chosen = {"step": step, "val_loss": None if best is None else best.val_loss}
    checkpoint = torch_watch.checkpoint_at(run.folder / CHECKPOINTS, step)
    files = torch_watch.put_adapters(checkpoint, run.folder, prepared, made)
    card = write_card(run.folder, {**run.document, "adapter": chosen}, run.folder / METRICS, PICTURE)
    parents = {"dataset": prepared.data.artifact.digest}
    return run.finish(parents, [*files, run.folder / PICTURE, card], steps_done=reached.step, adapter=chosen)


def _document(prepared: Prepared, made: "TorchModel") -> dict[str, Any]:
    """Return what `run.json` says beside state and times."""
    data = prepared.data
    return {
        "config": dataclasses.asdict(prepared.config),
        "base": BaseRecord.of(prepared.model).to_json(),
        "dataset": DatasetRecord(str(data.artifact.folder.resolve()), data.artifact.digest, len(data.train)).to_json(),
        "versions": {**versions(), **_torch_versions()},
        "trained_in": {"device": made.device, "precision": made.precision, "quantization": made.quantization},
    }


def _torch_versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:  # bitsandbytes and unsloth are not always needed
            continue
    return found
