"""What a run will do, found out without loading a weight.

Decides how many steps there are, how memory is used, and what a user should know before the first step.
"""

import math
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from joco_mlx.commit.variants import draw
from joco_mlx.config import ANSWER_TOKENS, SEVEN_PROJECTIONS, TrainConfig
from joco_mlx.errors import UsageError
from joco_mlx.models import memory
from joco_mlx.models.compute import FAST_BLAS_HINT, device_kind, fast_blas
from joco_mlx.models.folder import ModelFolder
from joco_mlx.models.hub import locate
from joco_mlx.models.shape import WELL_KNOWN, Shape
from joco_mlx.models.tokens import Tokenizer
from joco_mlx.progress import Progress, Silent
from joco_mlx.train.data import Splits, encode_all, find_dataset, read_splits
from joco_mlx.train.examples import Encoder, Example
from joco_mlx.train.shapes import LENGTH_MULTIPLE, BatchShape, choose_shapes, cover, padding_share, smallest_shape


@dataclass(frozen=True)
class Bucket:
    """Records that are padded to one shape, and how a step on one batch of them uses memory."""

    tokens: int
    answers: int
    """Positions that the head is computed for."""
    records: int
    """None where only batches of several lengths need the shape."""
    memory: memory.MemoryPlan


@dataclass(frozen=True)
class Plan:
    """What `train --dry-run` shows, and what `run.json` keeps under `plan`."""

    model: str
    revision: str | None
    dataset: str
    repositories: int
    records: int
    """Training records; `whole`, `cut` and `unusable` add up to it."""
    whole: int
    """Records whose diff fits."""
    cut: int
    """Records whose diff is shortened."""
    unusable: int
    """Records whose answer leaves no room for a diff; training refuses them by name."""
    validation_records: int
    mean_tokens: float
    """Prompt and answer of a usable record."""
    longest_tokens: int
    steps: int
    epochs: float
    """How often each record is used."""
    device: str
    checkpointing: memory.Checkpointing
    """What the backward pass of the longest records computes again."""
    buckets: tuple[Bucket, ...]
    """By padded shape, shortest first."""
    padding_share: float
    """Of the positions that are computed, when a batch holds one record."""
    planned_bytes: int
    """The peak: that of the bucket which takes most."""
    budget_bytes: int
    notes: tuple[str, ...]
    """What a user should know."""

    def form_of(self, tokens: int, smaller_by: int = 0) -> memory.Checkpointing:
        """Return what a batch of `tokens` computes again; `smaller_by` forms smaller than planned where there are.

        Where shapes of that length differ in their answers, what the one with the least room needs.
        """
        length = next((bucket.tokens for bucket in self.buckets if bucket.tokens >= tokens), self.buckets[-1].tokens)
        forms = [memory.FORMS.index(b.memory.checkpointing) for b in self.buckets if b.tokens == length]
        return memory.FORMS[min(max(forms) + smaller_by, len(memory.FORMS) - 1)]


@dataclass(frozen=True)
class Prepared:
    """Everything a run needs before its weights."""

    config: TrainConfig
    """With the number of steps that `epochs` amounts to."""
    model: ModelFolder
    data: Splits
    examples: list[Example]
    validation: list[Example]
    shapes: tuple[BatchShape, ...]
    """What batches are padded to."""
    plan: Plan


def plan_run(config: TrainConfig, *, progress: Progress | None = None) -> Plan:
    """Return what `train` would do with `config`; unusable records are counted, not refused.

    Raises:
        InputError: The model or the dataset cannot be used.
        MachineError: The model must be fetched, and there is no network or too little disk.
    """
    return _prepare(config, progress or Silent(), strict=False).plan


def prepare(config: TrainConfig, progress: Progress) -> Prepared:
    """Find the model and the data and turn every record into token ids.

    Raises:
        InputError: One of them cannot be used, or the answer of a record leaves no room for its diff.
        MachineError: The model must be fetched, and there is no network or too little disk.
    """
    return _prepare(config, progress, strict=True)


def _prepare(config: TrainConfig, progress: Progress, *, strict: bool) -> Prepared:
    data = read_splits(find_dataset(config.data))
    model = locate(config.model, progress=progress)
    _require_targets(config, model.shape)
    encoder = Encoder(Tokenizer.from_folder(model.path), model.template, config.max_seq_length)
    varied = replace(encoder, variant_of=partial(draw, config.prompt_variants, config.seed))
    examples = encode_all(data.train, varied, progress, strict=strict)
    validation = encode_all(data.validation, encoder, progress, strict=strict)
    config = replace(config, steps=_steps(config, len(examples)))
    shapes = choose_shapes([smallest_shape(example) for example in [*examples, *validation]], config.batch_size)
    return Prepared(config, model, data, examples, validation, shapes, _plan(config, model, data, examples, shapes))


def _require_targets(config: TrainConfig, model: Shape) -> None:
    """Refuse layers and modules that the model does not have; of an architecture unknown here only its weights know."""
    if config.layers > model.layers:
        raise UsageError(
            f"--layers is {config.layers}, but the model has {model.layers}.", f"Give --layers at most {model.layers}."
        )
    absent = [name for name in config.target_modules if name not in SEVEN_PROJECTIONS]
    if absent and model.architecture in WELL_KNOWN:
        raise UsageError(
            f"--target-modules names {absent[0]!r}, which this model does not have.",
            f"Use some of: {', '.join(sorted(SEVEN_PROJECTIONS))}.",
        )


def _steps(config: TrainConfig, examples: int) -> int:
    """Return the optimizer steps of a run: as given, or as many as the epochs take."""
    if config.epochs is None:
        return config.steps
    batches = config.epochs * math.ceil(examples / config.batch_size)
    return max(1, math.ceil(batches / config.grad_accumulation))


def _plan(
    config: TrainConfig,
    model: ModelFolder,
    data: Splits,
    examples: Sequence[Example],
    shapes: Sequence[BatchShape],
) -> Plan:
    lengths = [len(example.ids) for example in examples]
    cut = sum(example.cut for example in examples)
    budget = memory.this_machine_budget()
    wanted = [smallest_shape(example) for example in examples]
    buckets = _buckets(config, model.shape, wanted, shapes, budget)
    planned = max(bucket.memory.total for bucket in buckets)
    unusable = len(data.train) - len(examples)
    return Plan(
        model=model.name,
        revision=model.revision,
        dataset=str(data.artifact.folder),
        repositories=data.repositories,
        records=len(data.train),
        whole=len(examples) - cut,
        cut=cut,
        unusable=unusable,
        validation_records=len(data.validation),
        mean_tokens=sum(lengths) / len(lengths),
        longest_tokens=max(lengths),
        steps=config.steps,
        epochs=config.steps * config.grad_accumulation * config.batch_size / len(examples),
        device=device_kind(),
        checkpointing=buckets[-1].memory.checkpointing,
        buckets=buckets,
        padding_share=padding_share(wanted, shapes, sum(lengths) - len(lengths)),
        planned_bytes=planned,
        budget_bytes=budget,
        notes=tuple(_notes(config, model.shape, data, unusable, buckets, budget)),
    )


def _buckets(
    config: TrainConfig, model: Shape, wanted: Sequence[BatchShape], shapes: Sequence[BatchShape], budget: int
) -> tuple[Bucket, ...]:
    records = Counter(cover(shapes, shape) for shape in wanted)
    needed = [shape for shape in shapes if config.batch_size > 1 or records[shape]]
    return tuple(
        Bucket(*shape, records[shape], choose_form(config, model, shape.tokens, budget, answer_tokens=shape.answers))
        for shape in needed
    )


def choose_form(
    config: TrainConfig,
    shape: Shape,
    tokens: int,
    budget: int,
    *,
    answer_tokens: int = ANSWER_TOKENS,
    device: memory.Device | None = None,
) -> memory.MemoryPlan:
    """Return the fastest form that fits the budget for records of `tokens` padded tokens, else the smallest.

    What is computed again would draw another dropout mask the second time, so with dropout there is only one form.
    """
    forms: tuple[memory.Checkpointing, ...] = memory.FORMS[:1] if config.dropout > 0 else memory.FORMS
    plans = [
        memory.plan(
            shape,
            tokens,
            config.rank,
            checkpointing=form,
            batch_size=config.batch_size,
            modules=config.target_modules,
            layers=config.layers,
            answer_tokens=answer_tokens,
            device=device,
            dora=config.adapter == "dora",
        )
        for form in forms
    ]
    return memory.fastest(plans, budget)


def _notes(
    config: TrainConfig, model: Shape, data: Splits, unusable: int, buckets: Sequence[Bucket], budget: int
) -> Iterator[str]:
    if model.architecture not in WELL_KNOWN:
        yield (
            f"{model.architecture} is trained by mlx-lm's own forward pass: the same gradients, but every layer works on"
            " all positions, nothing is kept of frozen layers, and the planned memory is a guess."
        )
    if data.pilot_note:
        yield data.pilot_note
    if data.validation_size == 0:
        yield "There is no validation split, so only the training loss is shown."
    elif len(data.validation) < data.validation_size:
        yield f"Validation uses {len(data.validation)} of {data.validation_size} records, always the same ones."
    if unusable:
        yield f"Training would refuse records whose answer is too long for {config.max_seq_length} tokens: {unusable}."
    planned = max(bucket.memory.total for bucket in buckets)
    if planned > budget:
        yield (
            f"Training is planned to take {planned / 1e9:.2f} GB, more than this machine's {budget / 1e9:.2f} GB."
            f" {_what_fits(config, model, budget, max(bucket.answers for bucket in buckets))}"
        )
    if device_kind() == "cpu" and sys.platform == "linux" and fast_blas is None:
        yield FAST_BLAS_HINT


def _what_fits(config: TrainConfig, model: Shape, budget: int, answers: int) -> str:
    """Return what to type so that a plan fits: the first of less dropout, a shorter sequence, and another model."""

    def fits(tokens: int, tried: TrainConfig) -> bool:
        return choose_form(tried, model, tokens, budget, answer_tokens=answers).total <= budget

    if config.dropout > 0 and fits(config.max_seq_length, replace(config, dropout=0.0)):
        return "Without dropout it fits: joco-mlx train --dropout 0"
    shorter = range(config.max_seq_length // LENGTH_MULTIPLE * LENGTH_MULTIPLE, 2 * ANSWER_TOKENS - 1, -LENGTH_MULTIPLE)
    length = next((tokens for tokens in shorter if fits(tokens, config)), None)
    if length is not None:
        return f"A shorter diff fits: joco-mlx train --max-seq-length {length}"
    return "No length of this model fits; choose a smaller one: joco-mlx models"
