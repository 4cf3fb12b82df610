"""The plain loop: batches in, updates out, with what happens on the way written down.

Decides when there is a line of metrics, a validation and a checkpoint, when validation no longer gets better, and that a
loss which is no number ends the run before it reaches the adapters' file. Validation uses the same batches every time and
draws nothing from the random state. Leaves the run's folder and state to `train.run`.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from joco_mlx.config import TrainConfig
from joco_mlx.errors import InputError
from joco_mlx.models.compute import mx
from joco_mlx.progress import Progress, Task, task
from joco_mlx.train.batches import Batch, Order, make_batch
from joco_mlx.train.distributed import ALONE, Team
from joco_mlx.train.examples import Example
from joco_mlx.train.mlx_lora.checkpoint import Best, Reached, save_checkpoint
from joco_mlx.train.mlx_lora.lora import save_adapters
from joco_mlx.train.mlx_lora.step import Measured, Step, answer_loss, batch_arrays
from joco_mlx.train.mlx_lora.trunk import Trunk
from joco_mlx.train.shapes import BatchShape, smallest_shape


class Journal(Protocol):
    """Where figures go."""

    def write(self, figures: dict[str, Any]) -> None:
        """Add one line."""

    def sync(self) -> None:
        """Make the lines so far survive a power cut."""


@dataclass
class Work:
    """What the loop works on, and how far it is.

    Attributes:
        step: Model, optimizer and gradients.
        config: Of the run; `steps` is how many optimizer steps there are in all.
        examples: What is trained on.
        validation: Batches of the validation split; none switches validation off.
        checkpoints: Folder for checkpoints.
        adapters: Folder for what was learned so far, usable also when the process dies.
        description: What `adapter_config.json` says.
        reached: How far it is; a run that goes on starts with its checkpoint's.
        shapes: What batches are padded to; to what they need when there are none.
        after_validation: Called after each validation.
    """

    step: Step
    config: TrainConfig
    examples: Sequence[Example]
    validation: Sequence[Batch]
    checkpoints: Path
    adapters: Path
    description: Mapping[str, Any]
    reached: Reached = field(default_factory=Reached)
    shapes: Sequence[BatchShape] = ()
    after_validation: Callable[[], None] = lambda: None
    order: Order = field(init=False)
    _saved: int | None = field(init=False, default=None)
    _laid_out_for: tuple[int, ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        """Fix the order of the data."""
        wanted = [smallest_shape(example) for example in self.examples]
        self.order = Order(wanted, self.config.batch_size, self.config.seed, self.shapes)

    @property
    def done(self) -> int:
        """Optimizer steps that are behind."""
        return self.reached.step

    @property
    def is_stale(self) -> bool:
        """Whether validation has not got better for as often as the config's patience allows."""
        patience = self.config.patience
        return patience is not None and self.reached.validations_since_best >= patience

    def save(self) -> None:
        """Write a checkpoint of the present state, unless there is one, and the adapters beside it; on rank 0 only."""
        if self._saved == self.done or not self.step.team.leads:
            return
        save_checkpoint(self.checkpoints, self.step.model, self.step.optimizer, self.reached)
        self.save_adapters()
        self._saved = self.done

    def save_adapters(self) -> list[Path]:
        """Write the adapters as they are, and return the files."""
        return save_adapters(self.step.model, self.description, self.adapters)

    def lay_out(self, batch: Batch) -> None:
        """Drop MLX's freed buffers when a batch has another shape than the one before, whose arrays they would fit."""
        shape = (*batch.ids.shape, batch.rows.shape[1])
        if shape != self._laid_out_for:
            mx.clear_cache()
            self._laid_out_for = shape

    @property
    def is_best(self) -> bool:
        """Whether the present state has the smallest validation loss so far."""
        return self.reached.best is not None and self.reached.best.step == self.done

    def judge(self, loss: float) -> None:
        """Take note of the validation loss of the present state."""
        best = self.reached.best
        if best is None or loss < best.val_loss:
            self.reached = replace(self.reached, best=Best(self.done, loss), validations_since_best=0)
        else:
            since = self.reached.validations_since_best + 1
            self.reached = replace(self.reached, validations_since_best=since)


def run_steps(work: Work, journal: Journal, progress: Progress, stopped: Callable[[], bool]) -> bool:
    """Train until all steps are done, validation is stale, or `stopped` says so between two steps.

    Returns:
        False when `stopped` ended it.

    Raises:
        InputError: A loss, gradient or validation loss is not finite. The records of a training step are named.
        MachineError: The disk is full.
    """
    title = f"Training from step {work.done}" if work.done else "Training"
    with task(progress, title, work.config.steps - work.done, "steps") as shown:
        while work.done < work.config.steps and not work.is_stale:
            if work.step.team.any(stopped()):
                return False
            measured = _one_step(work)
            figures = {"loss": measured.loss, "tokens_per_second": _speed(work), "memory_gb": peak_bytes() / 1e9}
            if _due(work, work.config.log_every):
                journal.write(_line(work, measured))
            figures |= _validated(work, journal, progress)
            shown.advance(1, **figures)
            if work.is_best or work.done % work.config.save_every == 0:
                journal.sync()
                work.save()
    return True


def validation_loss(model: Any, batches: Iterable[Batch], trunk: Trunk | None = None, team: Team = ALONE) -> float:
    """Return the mean cross-entropy per answer token over `batches`, without dropout and without drawing numbers.

    With a team the batches are this rank's, and the mean is that of all.
    """
    model.eval()
    total, tokens = 0.0, 0.0
    for batch in batches:
        total += float(answer_loss(model, *batch_arrays(batch, trunk)).item())
        tokens += batch.tokens
    model.train()
    total, tokens = team.total(total, tokens)
    return total / tokens


def require_finite_validation(loss: float, step: int, learning_rate: float) -> None:
    """Raise InputError when the validation loss after `step` steps is no number: then the last update broke the model."""
    if not math.isfinite(loss):
        raise InputError(
            f"The validation loss became {loss} after step {step}.",
            f"Begin another run with a lower --learning-rate (it is {learning_rate:g}).",
        )


def peak_bytes() -> int:
    """Return the most memory that MLX has held at once in this process."""
    return int(mx.get_peak_memory())


def _speed(work: Work) -> float:
    """Tokens read in a second, over the whole run but for validation."""
    return work.reached.read_tokens / max(work.reached.seconds, 1e-9)


def _one_step(work: Work) -> Measured:
    began = time.perf_counter()
    before = work.reached
    names: list[str] = []
    read = 0
    team = work.step.team
    for number in team.share(range(before.batch, before.batch + work.config.grad_accumulation)):
        batch = make_batch(
            [work.examples[index] for index in work.order.batch(number)],
            work.shapes,
            type_weight=work.config.type_weight,
        )
        names.extend(batch.names)
        work.lay_out(batch)
        _require_finite(work.step.add(batch), "loss", batch.names, work)
        read += batch.read_tokens
    measured = work.step.update()
    _require_finite(measured.gradient_norm, "gradient", names, work)
    work.reached = replace(
        before,
        step=before.step + 1,
        batch=before.batch + work.config.grad_accumulation,
        read_tokens=before.read_tokens + int(team.total(read)[0]),
        seconds=before.seconds + time.perf_counter() - began,
    )
    return measured


def _require_finite(value: float, what: str, names: Sequence[str], work: Work) -> None:
    if math.isfinite(value):
        return
    which = f"record {names[0]}" if len(names) == 1 else f"one of the records {', '.join(names)}"
    raise InputError(
        f"The {what} became {value} in step {work.done + 1}, at {which}.",
        f"Look at that text, or lower --learning-rate (it is {work.config.learning_rate:g}).",
    )


def _due(work: Work, every: int) -> bool:
    return work.done % every == 0 or work.done == work.config.steps


def _line(work: Work, measured: Measured) -> dict[str, Any]:
    return {
        "step": work.done,
        "epoch": round(work.reached.batch / work.order.per_epoch, 4),
        "loss": measured.loss,
        "tokens": measured.tokens,
        "learning_rate": measured.learning_rate,
        "gradient_norm": measured.gradient_norm,
        "tokens_per_second": round(_speed(work), 1),
        "seconds": round(work.reached.seconds, 3),
        "peak_bytes": peak_bytes(),
    }


def _validated(work: Work, journal: Journal, progress: Progress) -> dict[str, float]:
    """Validate where it is due; return the figure to show, if any."""
    if not (work.validation and _due(work, work.config.eval_every)):
        return {}
    own = work.step.team.share(work.validation)
    with task(progress, "Validating", len(own), "batches") as shown:
        loss = validation_loss(work.step.model, _watched(own, work, shown), work.step.trunk, work.step.team)
    require_finite_validation(loss, work.done, work.config.learning_rate)
    records = sum(len(batch.names) for batch in work.validation)
    journal.write({"step": work.done, "val_loss": loss, "val_records": records})
    work.judge(loss)
    work.after_validation()
    return {"val_loss": loss}


def _watched(batches: Sequence[Batch], work: Work, shown: Task) -> Iterator[Batch]:
    for batch in batches:
        work.lay_out(batch)
        yield batch
        shown.advance(1)
