"""A training run from its config to its sealed folder: seeds, plans, picks, runs.

Decides in which order things happen, so that whatever is wrong with the data, the model or the settings is found before
a folder is made. Leaves the steps to `mlx_lora.loop` and the folder's state to `live_run`.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

from joco_mlx.artifacts import Artifact, versions
from joco_mlx.config import TrainConfig, resolve
from joco_mlx.errors import InputError, StoppedError, UsageError
from joco_mlx.models.compute import mx
from joco_mlx.models.load import load_model
from joco_mlx.models.memory import Checkpointing
from joco_mlx.models.runs import ADAPTERS, BaseRecord, DatasetRecord
from joco_mlx.progress import Progress, Silent
from joco_mlx.train.batches import Batch, make_batch
from joco_mlx.train.distributed import ALONE, Team
from joco_mlx.train.interruption import deferred_interrupts
from joco_mlx.train.limits import held_to
from joco_mlx.train.live_run import METRICS, LiveRun, live_run, refuse_taken, reopened_run
from joco_mlx.train.mlx_lora.any_model import require_trainable
from joco_mlx.train.mlx_lora.checkpoint import (
    Reached,
    checkpoint_at,
    load_adapters,
    restore_checkpoint,
    share_state,
    usable_checkpoint,
)
from joco_mlx.train.mlx_lora.loop import Journal, Work, run_steps
from joco_mlx.train.mlx_lora.lora import add_adapters
from joco_mlx.train.mlx_lora.step import Step, make_optimizer
from joco_mlx.train.mlx_lora.trunk import trunk_below
from joco_mlx.train.model_card import write_card
from joco_mlx.train.plan import Prepared, prepare
from joco_mlx.train.plot import PICTURE, plot_loss
from joco_mlx.train.power import PowerWatch, kept_awake
from joco_mlx.train.resume import open_unfinished, require_same_data, require_same_model, same_config
from joco_mlx.train.samples import sampling
from joco_mlx.train.shapes import smallest_shape
from joco_mlx.train.tracker import require, tracked

CHECKPOINTS = "checkpoints"
FORMS: tuple[Checkpointing, ...] = get_args(Checkpointing)
"""Memory plans from large to small."""


@dataclass(frozen=True)
class Orders:
    """What a supervising process asks of a segment; a run without one has none."""

    smaller_by: int = 0
    """Take a memory plan that is smaller by this many forms than the planned one."""
    reason: str = "begun"
    """Why there is this segment, for run.json."""
    begun: Callable[[Path, int], None] = lambda _folder, _smaller: None
    """Called with the run's folder, once it is held, and how many smaller memory plans there would be."""
    team: Team = ALONE
    """The ranks that train together; this one writes for all."""


def train(config: TrainConfig, *, progress: Progress | None = None, orders: Orders | None = None) -> Artifact:
    """Train adapters and return the sealed run folder.

    Args:
        config: Settings; see `config.resolve` for how a registry entry's better ones get in.
        progress: Where steps and losses are told.
        orders: Of a supervisor.

    Raises:
        InputError: The model, the dataset or a record cannot be used, or the loss is no number.
        ConflictError: The run folder exists or is in use.
        MachineError: The disk is full, or a model must be fetched and there is no network.
        StoppedError: The user pressed Ctrl-C. The state is saved and `adapters/` holds what was learned.
    """
    progress, orders = progress or Silent(), orders or Orders()
    if config.out is not None:
        refuse_taken(config.out)
    require(config.tracker)
    prepared = prepare_all(config, progress, orders.team)
    for note in prepared.plan.notes:
        progress.note(note)
    with held_to(prepared.plan.planned_bytes, prepared.plan.budget_bytes):
        model, description = adapted_model(prepared)
        with live_run(prepared.config.out, prepared.model.name, _document(prepared)) as run:
            work = make_work(prepared, model, description, run.folder, None, orders, progress)
            return _segment(work, run, prepared, progress, orders)


def resume(
    path: Path | str | None = None,
    *,
    given: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    orders: Orders | None = None,
) -> Artifact:
    """Go on with an unfinished run from its newest whole checkpoint, as if it had never stopped.

    Args:
        path: The run; the newest unfinished one when None.
        given: Flags that the user gave; they may only say what the run began with.
        progress: Where steps and losses are told.
        orders: Of a supervisor.

    Raises:
        UsageError: A flag differs from the run's settings.
        InputError: There is no such run, or its dataset or base model has changed.
        ConflictError: It is finished, or in use.
        MachineError: As for `train`.
        StoppedError: As for `train`.
    """
    progress, orders = progress or Silent(), orders or Orders(reason="resumed")
    found = open_unfinished(path)
    config = same_config(found, given or {})
    require_same_data(found)
    prepared = prepare_all(config, progress, orders.team)
    require_same_model(found, prepared.model)
    with held_to(prepared.plan.planned_bytes, prepared.plan.budget_bytes):
        model, description = adapted_model(prepared)
        with reopened_run(found.folder, found.document) as run:
            checkpoint = usable_checkpoint(run.folder / CHECKPOINTS, progress.note)
            work = make_work(prepared, model, description, run.folder, checkpoint, orders, progress)
            progress.note(f"Going on with {run.folder} after step {work.done} of {work.config.steps}.")
            return _segment(work, run, prepared, progress, orders)


def prepare_all(config: TrainConfig | None, progress: Progress, team: Team) -> Prepared:
    """Prepare every rank by the settings of rank 0, and make sure that all have the same before them.

    Raises:
        UsageError: The batches of a step cannot be shared evenly.
        InputError: This rank has another dataset, model or version than rank 0; or as `prepare`.
        MachineError: As `prepare`.
    """
    if team.size == 1 and config is not None:
        return prepare(config, progress)
    table = team.told(None if config is None else dataclasses.asdict(config))
    own = resolve(TrainConfig, {}, environment={}, files={"rank 0": {**table, "out": None}})
    if own.grad_accumulation % team.size:
        raise UsageError(
            f"--grad-accumulation is {own.grad_accumulation}, which {team.size} ranks cannot share evenly.",
            f"Give a multiple of {team.size}.",
        )
    prepared = prepare(own if config is None else config, progress)
    team.require_same(
        {
            "dataset": prepared.data.artifact.digest,
            "model": prepared.model.digest,
            "number of steps": prepared.config.steps,
            "version of mlx": versions()["mlx"],
        }
    )
    return prepared


def _segment(work: Work, run: LiveRun, prepared: Prepared, progress: Progress, orders: Orders) -> Artifact:
    """Take the steps that are left and seal the run."""
    forms = _forms(prepared, orders)
    run.begin(work.done, reason=orders.reason, memory_plan=forms[0])
    orders.begun(run.folder, len(forms) - 1)
    sample, power = sampling(work.step.model, prepared, run.write_sample, progress), PowerWatch(progress.note)
    power.look()

    def after_validation() -> None:
        sample(work.done)
        power.look()

    work.after_validation = after_validation
    with kept_awake(), tracked(run, prepared.config.tracker, work.done) as journal:
        finished = _train(work, journal, progress)
    run.sync()
    plot_loss(run.folder / METRICS, run.folder / PICTURE)
    if not finished:
        raise _stopped(work, run)
    files, chosen = _best_adapters(work, progress)
    card = write_card(run.folder, {**run.document, "adapter": chosen}, run.folder / METRICS, PICTURE)
    parents = {"dataset": prepared.data.artifact.digest}
    return run.finish(parents, [*files, run.folder / PICTURE, card], steps_done=work.done, adapter=chosen)


def _forms(prepared: Prepared, orders: Orders) -> tuple[Checkpointing, ...]:
    """Return the memory plan that is ordered of the batches that keep most, and those that are smaller.

    Short batches may keep more than long ones, and are then the ones that can be made smaller. With dropout there is no
    plan that computes anything again: it would draw another mask the second time.
    """
    of_each = [prepared.plan.form_of(bucket.tokens) for bucket in prepared.plan.buckets]
    planned = min(of_each, key=FORMS.index)
    forms = FORMS[:1] if prepared.config.dropout > 0 else FORMS[FORMS.index(planned) :]
    return forms[min(orders.smaller_by, len(forms) - 1) :]


def _best_adapters(work: Work, progress: Progress) -> tuple[list[Path], dict[str, Any]]:
    """Leave the best checkpoint's adapters in `adapters/`; return the files and what run.json says of them."""
    best = work.reached.best
    if best is not None and best.step != work.done:
        try:
            load_adapters(checkpoint_at(work.checkpoints, best.step), work.step.model)
        except InputError as problem:
            progress.note(f"{problem.message} The last step's adapters are kept in place of the best.")
            best = None
    chosen = {"step": best.step, "val_loss": best.val_loss} if best else {"step": work.done, "val_loss": None}
    return work.save_adapters(), chosen


def adapted_model(prepared: Prepared) -> tuple[Any, dict[str, Any]]:
    """Load the base model, put fresh adapters into it, and return it with what `adapter_config.json` says.

    Raises:
        InputError: The model cannot be trained.
        UsageError: It has no such modules, or fewer layers.
    """
    model: Any = load_model(prepared.model)
    mx.random.seed(prepared.config.seed)
    model_record = BaseRecord.of(prepared.model).to_json()
    base = {name: model_record[name] for name in ("name", "digest", "quantization")}
    description = add_adapters(model, prepared.config, base)
    require_trainable(model)
    model.train()
    return model, description


def make_work(
    prepared: Prepared,
    model: Any,
    description: Mapping[str, Any],
    folder: Path,
    checkpoint: Path | None,
    orders: Orders,
    progress: Progress,
) -> Work:
    """Return what the loop works on, as far as a checkpoint had come, and the same on all ranks."""
    config = prepared.config
    optimizer = make_optimizer(config.learning_rate, config.warmup_steps, config.steps)
    reached = restore_checkpoint(checkpoint, model, optimizer) if checkpoint else Reached()
    reached = share_state(orders.team, model, optimizer, reached)
    trunk = trunk_below(model, prepared.model.digest, config.trunk_cache_bytes, progress)
    form_of = partial(prepared.plan.form_of, smaller_by=orders.smaller_by)
    return Work(
        step=Step(model, optimizer, form_of=form_of, trunk=trunk, team=orders.team),
        config=config,
        examples=prepared.examples,
        validation=_in_batches(prepared, config.batch_size),
        checkpoints=folder / CHECKPOINTS,
        adapters=folder / ADAPTERS,
        description=description,
        reached=reached,
        shapes=prepared.shapes,
    )


def _in_batches(prepared: Prepared, size: int) -> list[Batch]:
    """The validation examples, always in the same batches; neighbours of similar length share one."""
    ordered = sorted(prepared.validation, key=smallest_shape)
    return [make_batch(ordered[start : start + size], prepared.shapes) for start in range(0, len(ordered), size)]


def _train(work: Work, journal: Journal, progress: Progress) -> bool:
    """Take all steps; return False when Ctrl-C ended them early, with a checkpoint of where they ended."""
    with deferred_interrupts() as stopped:
        finished = run_steps(work, journal, progress, stopped)
        if not finished:
            work.save()
    return finished


def _stopped(work: Work, run: LiveRun) -> StoppedError:
    return StoppedError(
        f"Training stopped after step {work.done} of {work.config.steps}; {run.folder} keeps what was learned.",
        f"Go on: joco-mlx train --resume {run.folder}",
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
