"""How long a run will take, from a few real steps on its largest and its commonest shape.

Decides what is timed: the gradient of a batch and its loss alone, each as the median of three after one that pays for
compiling, and the update. What lies between and beside the two shapes is a straight line, so that the hours are an
estimate; they know nothing of a machine that throttles, nor of a trunk cache that later epochs find warm. The trained
adapters are thrown away.
"""

import math
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from joco_mlx.config import TrainConfig
from joco_mlx.models.compute import mx
from joco_mlx.models.memory import Checkpointing
from joco_mlx.progress import Progress, Silent, Task, task
from joco_mlx.train.batches import Batch, make_batch
from joco_mlx.train.limits import held_to
from joco_mlx.train.mlx_lora.loop import validation_loss
from joco_mlx.train.mlx_lora.step import Step, make_optimizer
from joco_mlx.train.plan import Prepared, prepare
from joco_mlx.train.run import adapted_model
from joco_mlx.train.shapes import BatchShape, cover, smallest_shape

TIMES = 3


@dataclass(frozen=True)
class Timed:
    """One shape, measured."""

    tokens: int
    answers: int
    checkpointing: Checkpointing
    seconds: float
    """Loss and gradient of one batch."""
    validation_seconds: float
    """Loss of one batch."""
    update_seconds: float
    peak_bytes: int
    """Of MLX, with the sum of gradients that accumulation keeps and without what the process held before."""
    planned_bytes: int


@dataclass(frozen=True)
class Duration:
    """What was measured, and what follows for the run."""

    model: str
    device: str
    steps: int
    batches: int
    """Batches trained on in all."""
    validations: int
    shapes: tuple[Timed, ...]
    """The commonest, then the largest when that is another."""
    step_seconds: float
    """An optimizer step on average."""
    training_hours: float
    validation_hours: float

    @property
    def hours(self) -> float:
        """All of the run."""
        return self.training_hours + self.validation_hours


def measure(config: TrainConfig, *, progress: Progress | None = None) -> Duration:
    """Time real steps of the run that `config` describes, and return how long all of it would take.

    Raises:
        InputError: The model, the dataset or a record cannot be used.
        MachineError: The model must be fetched, and there is no network or too little disk.
    """
    progress = progress or Silent()
    held_before = mx.get_active_memory()
    prepared = prepare(config, progress)
    covered = [cover(prepared.shapes, smallest_shape(example)) for example in prepared.examples]
    commonest, largest = Counter(sorted(covered)).most_common(1)[0][0], max(covered, key=lambda shape: shape.cost)
    chosen = list(dict.fromkeys([commonest, largest]))
    with (
        held_to(prepared.plan.planned_bytes, prepared.plan.budget_bytes),
        task(progress, "Timing steps", len(chosen) * (TIMES + 1), "steps") as shown,
    ):
        step = _step(prepared)
        timed = [_timed(step, prepared, _batch(prepared, covered, shape), shape, shown) for shape in chosen]
    return _duration(prepared, covered, [replace(one, peak_bytes=one.peak_bytes - held_before) for one in timed])


def between(points: Sequence[tuple[int, float]], tokens: int) -> float:
    """Return the value at `tokens` on the line through one or two points; below the first, in proportion to it."""
    (low, at_low), (high, at_high) = min(points), max(points)
    if low == high or tokens <= low:
        return at_low * tokens / low
    return max(0.0, at_low + (at_high - at_low) * (tokens - low) / (high - low))


def _step(prepared: Prepared) -> Step:
    config = prepared.config
    model, _ = adapted_model(prepared)
    optimizer = make_optimizer(config.learning_rate, config.warmup_steps, max(config.steps, TIMES + 1))
    return Step(model, optimizer, form_of=prepared.plan.form_of)


def _batch(prepared: Prepared, covered: Sequence[BatchShape], shape: BatchShape) -> Batch:
    """As many records of a shape as a batch holds, some of them twice when there are few."""
    of_shape = [example for example, held in zip(prepared.examples, covered, strict=True) if held == shape]
    size = prepared.config.batch_size
    return make_batch((of_shape * size)[:size], prepared.shapes)


def _timed(step: Step, prepared: Prepared, batch: Batch, shape: BatchShape, shown: Task) -> Timed:
    mx.clear_cache()
    mx.reset_peak_memory()
    added, updated, judged = [], [], []
    for _ in range(TIMES + 1):
        for _ in range(2 if prepared.config.grad_accumulation > 1 else 1):  # the second finds a sum to add to
            seconds = _seconds(lambda: step.add(batch))
        added.append(seconds)
        updated.append(_seconds(step.update))
        judged.append(_seconds(lambda: validation_loss(step.model, [batch])))
        shown.advance()
    planned = next(bucket.memory for bucket in prepared.plan.buckets if (bucket.tokens, bucket.answers) == shape)
    return Timed(
        tokens=shape.tokens,
        answers=shape.answers,
        checkpointing=planned.checkpointing,
        seconds=statistics.median(added[1:]),
        validation_seconds=statistics.median(judged[1:]),
        update_seconds=statistics.median(updated[1:]),
        peak_bytes=int(mx.get_peak_memory()),
        planned_bytes=planned.total,
    )


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _duration(prepared: Prepared, covered: Sequence[BatchShape], timed: Sequence[Timed]) -> Duration:
    config, plan = prepared.config, prepared.plan
    batches = config.steps * config.grad_accumulation
    usual = statistics.fmean(between([(one.tokens, one.seconds) for one in timed], shape.tokens) for shape in covered)
    update = statistics.fmean(one.update_seconds for one in timed)
    validations = math.ceil(config.steps / config.eval_every) if prepared.validation else 0
    judging = [(one.tokens, one.validation_seconds) for one in timed]
    held_out = [cover(prepared.shapes, smallest_shape(example)).tokens for example in prepared.validation]
    one_validation = sum(between(judging, tokens) for tokens in held_out) / config.batch_size
    training = batches * usual + config.steps * update
    return Duration(
        model=plan.model,
        device=plan.device,
        steps=config.steps,
        batches=batches,
        validations=validations,
        shapes=tuple(timed),
        step_seconds=training / config.steps,
        training_hours=training / 3_600,
        validation_hours=validations * one_validation / 3_600,
    )
