"""A training run from its config to its sealed folder: seeds, plans, picks, runs.

Decides in which order things happen, so that whatever is wrong with the data, the model or the settings is found before
a folder is made. Leaves the steps to `mlx_lora.loop` and the folder's state to `live_run`.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from joco_mlx.artifacts import Artifact, versions
from joco_mlx.config import TrainConfig
from joco_mlx.errors import StoppedError
from joco_mlx.models.compute import device_kind, mx
from joco_mlx.models.load import load_model
from joco_mlx.models.runs import ADAPTERS, BaseRecord, DatasetRecord
from joco_mlx.progress import Progress, Silent
from joco_mlx.train.batches import Batch, make_batch
from joco_mlx.train.examples import Example
from joco_mlx.train.interruption import deferred_interrupts
from joco_mlx.train.live_run import METRICS, LiveRun, live_run, refuse_taken
from joco_mlx.train.mlx_lora.forward import check_supported
from joco_mlx.train.mlx_lora.loop import Work, run_steps
from joco_mlx.train.mlx_lora.lora import add_adapters
from joco_mlx.train.mlx_lora.step import Step, make_optimizer
from joco_mlx.train.plan import Prepared, prepare
from joco_mlx.train.plot import PICTURE, plot_loss

CHECKPOINTS = "checkpoints"
_GPU_CACHE_BYTES = 512 << 20  # MLX's cache of freed buffers grows without bound by default


def train(config: TrainConfig, *, progress: Progress | None = None) -> Artifact:
    """Train adapters and return the sealed run folder.

    Args:
        config: Settings; see `config.resolve` for how a registry entry's better ones get in.
        progress: Where steps and losses are told.

    Raises:
        InputError: The model, the dataset or a record cannot be used, or the loss is no number.
        ConflictError: The run folder exists or is in use.
        MachineError: The disk is full, or a model must be fetched and there is no network.
        StoppedError: The user pressed Ctrl-C. The state is saved and `adapters/` holds what was learned.
    """
    progress = progress or Silent()
    if config.out is not None:
        refuse_taken(config.out)
    prepared = prepare(config, progress)
    for note in prepared.plan.notes:
        progress.note(note)
    model, description = _adapted_model(prepared)
    document = _document(prepared)
    with live_run(prepared.config.out, prepared.model.name, document) as run:
        work = _work(prepared, model, description, run.folder)
        finished = _train(work, run, progress)
        files = work.save_adapters()
        plot_loss(run.folder / METRICS, run.folder / PICTURE)
        if not finished:
            raise _stopped(work, run)
        return run.finish({"dataset": prepared.data.artifact.digest}, [*files, run.folder / PICTURE])


def _adapted_model(prepared: Prepared) -> tuple[Any, dict[str, Any]]:
    if device_kind() != "cpu":
        mx.set_cache_limit(_GPU_CACHE_BYTES)
    model: Any = load_model(prepared.model)
    check_supported(model)
    mx.random.seed(prepared.config.seed)
    base = {"name": prepared.model.name, "digest": prepared.model.digest}
    description = add_adapters(model, prepared.config, base)
    model.train()
    return model, description


def _work(prepared: Prepared, model: Any, description: Mapping[str, Any], folder: Path) -> Work:
    config = prepared.config
    optimizer = make_optimizer(config.learning_rate, config.warmup_steps, config.steps)
    return Work(
        step=Step(model, optimizer, form_of=lambda _: "layer" if prepared.plan.checkpointing else "none"),
        config=config,
        examples=prepared.examples,
        validation=_in_batches(prepared.validation, config.batch_size),
        checkpoints=folder / CHECKPOINTS,
        adapters=folder / ADAPTERS,
        description=description,
    )


def _in_batches(examples: list[Example], size: int) -> list[Batch]:
    return [make_batch(examples[start : start + size]) for start in range(0, len(examples), size)]


def _train(work: Work, run: LiveRun, progress: Progress) -> bool:
    """Take all steps; return False when Ctrl-C ended them early, with a checkpoint of where they ended."""
    with deferred_interrupts() as stopped:
        finished = run_steps(work, run, progress, stopped)
        if not finished:
            work.save()
    return finished


def _stopped(work: Work, run: LiveRun) -> StoppedError:
    return StoppedError(
        f"Training stopped after step {work.done} of {work.config.steps}; {run.folder} keeps what was learned.",
        f"Use it as it is: joco-mlx fuse {run.folder}",
    )


def _document(prepared: Prepared) -> Mapping[str, Any]:
    """Return what `run.json` says beside state and times."""
    data = prepared.data
    return {
        "config": dataclasses.asdict(prepared.config),
        "base": BaseRecord.of(prepared.model).to_json(),
        "dataset": DatasetRecord(str(data.artifact.folder.resolve()), data.artifact.digest, len(data.train)).to_json(),
        "versions": versions(),
        "plan": dataclasses.asdict(prepared.plan),
    }
