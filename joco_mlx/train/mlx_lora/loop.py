"""The plain loop: batches in, updates out, with what happens on the way written down.

Decides when there is a line of metrics, a validation and a checkpoint, and that a loss which is no number ends the run
before it reaches the adapters' file. Validation uses the same batches every time and draws nothing from the random
state. Leaves the run's folder and state to `train.run`.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from joco_mlx.config import TrainConfig
from joco_mlx.errors import InputError
from joco_mlx.models.compute import mx
from joco_mlx.progress import Task
from joco_mlx.train.batches import Batch, Order, make_batch
from joco_mlx.train.examples import Example
from joco_mlx.train.mlx_lora.checkpoint import save_checkpoint
from joco_mlx.train.mlx_lora.lora import save_adapters
from joco_mlx.train.mlx_lora.step import Measured, Step, answer_loss


class Journal(Protocol):
    """Where figures go."""

    def write(self, figures: dict[str, Any]) -> None:
        """Add one line."""


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
        done: Optimizer steps that are behind.
    """

    step: Step
    config: TrainConfig
    examples: Sequence[Example]
    validation: Sequence[Batch]
    checkpoints: Path
    adapters: Path
    description: Mapping[str, Any]
    done: int = 0
    order: Order = field(init=False)

    def __post_init__(self) -> None:
        """Fix the order of the data."""
        lengths = [len(example.ids) for example in self.examples]
        self.order = Order(lengths, self.config.batch_size, self.config.seed)

    @property
    def batches_done(self) -> int:
        """Batches used so far: the position in the data."""
        return self.done * self.config.grad_accumulation

    def save(self) -> None:
        """Write a checkpoint of the present state, and the adapters beside it."""
        save_checkpoint(self.checkpoints, self.step.model, self.step.optimizer, step=self.done, batch=self.batches_done)
        self.save_adapters()

    def save_adapters(self) -> list[Path]:
        """Write the adapters as they are, and return the files."""
        return save_adapters(self.step.model, self.description, self.adapters)


def run_steps(work: Work, journal: Journal, shown: Task, stopped: Callable[[], bool]) -> bool:
    """Train until all steps are done or `stopped` says so between two of them; return whether all are done.

    Raises:
        InputError: A loss or gradient is not finite. The records of the step are named.
        MachineError: The disk is full.
    """
    meter = _Meter()
    while work.done < work.config.steps:
        if stopped():
            return False
        measured = _one_step(work, meter)
        figures = {"loss": measured.loss, "tokens_per_second": meter.tokens_per_second, "memory_gb": peak_bytes() / 1e9}
        if _due(work, work.config.log_every):
            journal.write(_line(work, measured, meter))
        if work.validation and _due(work, work.config.eval_every):
            figures["val_loss"] = _validated(work, journal)
        shown.advance(1, **figures)
        if work.done % work.config.save_every == 0:
            work.save()
    return True


def validation_loss(model: Any, batches: Sequence[Batch]) -> float:
    """Return the mean cross-entropy per answer token over `batches`, without dropout and without drawing numbers."""
    model.eval()
    total = 0.0
    for batch in batches:
        arrays = map(mx.array, (batch.ids, batch.rows, batch.targets, batch.weights))
        total += float(answer_loss(model, *arrays).item())
    model.train()
    return total / sum(batch.tokens for batch in batches)


def peak_bytes() -> int:
    """Return the most memory that MLX has held at once in this process."""
    return int(mx.get_peak_memory())


class _Meter:
    """How fast tokens are read, over the whole run but for validation."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.tokens = 0

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / max(self.seconds, 1e-9)


def _one_step(work: Work, meter: _Meter) -> Measured:
    began = time.perf_counter()
    names: list[str] = []
    for number in range(work.batches_done, work.batches_done + work.config.grad_accumulation):
        batch = make_batch([work.examples[index] for index in work.order.batch(number)])
        names.extend(batch.names)
        _require_finite(work.step.add(batch), "loss", batch.names, work)
        meter.tokens += batch.read_tokens
    measured = work.step.update()
    _require_finite(measured.gradient_norm, "gradient", names, work)
    work.done += 1
    meter.seconds += time.perf_counter() - began
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


def _line(work: Work, measured: Measured, meter: _Meter) -> dict[str, Any]:
    return {
        "step": work.done,
        "epoch": round(work.batches_done / work.order.per_epoch, 4),
        "loss": measured.loss,
        "tokens": measured.tokens,
        "learning_rate": measured.learning_rate,
        "gradient_norm": measured.gradient_norm,
        "tokens_per_second": round(meter.tokens_per_second, 1),
        "seconds": round(meter.seconds, 3),
        "peak_bytes": peak_bytes(),
    }


def _validated(work: Work, journal: Journal) -> float:
    loss = validation_loss(work.step.model, work.validation)
    journal.write({"step": work.done, "val_loss": loss, "val_records": sum(len(b.names) for b in work.validation)})
    return loss
