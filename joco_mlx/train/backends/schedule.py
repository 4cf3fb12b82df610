"""What a run of any backend does step by step: the learning rate, and which records each step reads.

Decides that a backend with its own trainer takes the same steps as MLX's: the trainers' own warm-up begins at a rate of
zero, and their own order is another. Plain arithmetic, without MLX or torch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from joco_mlx.config import TrainConfig
from joco_mlx.errors import UsageError
from joco_mlx.train.batches import Order
from joco_mlx.train.examples import Example
from joco_mlx.train.shapes import BatchShape, smallest_shape


def require_plain_loss(config: TrainConfig, backend: str) -> None:
    """Raise UsageError when some tokens of an answer should weigh more than others: only MLX's trainer does that."""
    if config.type_weight != 1:
        raise UsageError(
            f"--type-weight is {config.type_weight:g}, but {backend} weighs every token of an answer alike.",
            "Leave --type-weight out, or train with --backend mlx.",
        )


def rate_share(step: int, warmup_steps: int, steps: int) -> float:
    """Return the learning rate of a step, counted from 0, as a share of its peak; `mlx_lora.step.rate_at` in numbers."""
    warmup_steps = min(warmup_steps, steps - 1)
    rising = (step + 1) / (warmup_steps + 1)
    falling = (steps - step) / (steps - warmup_steps)
    return min(rising, max(falling, 0.0))


@dataclass(frozen=True)
class StepOrder:
    """Every batch of a run, in order: what torch's DataLoader takes as its `batch_sampler`."""

    order: Order
    batches: int

    @classmethod
    def of(cls, config: TrainConfig, examples: Sequence[Example], shapes: Sequence[BatchShape]) -> "StepOrder":
        """Return the order that the MLX trainer has for these examples, whose batches it pads to `shapes`."""
        order = Order([smallest_shape(example) for example in examples], config.batch_size, config.seed, shapes)
        return cls(order, config.steps * config.grad_accumulation)

    def __len__(self) -> int:
        """Forward passes of the whole run."""
        return self.batches

    def __iter__(self) -> Iterator[list[int]]:
        """Indices of the examples of each forward pass."""
        for number in range(self.batches):
            yield self.order.batch(number)

    def of_step(self, step: int, accumulation: int) -> list[int]:
        """Return the examples of an optimizer step, counted from 0."""
        numbers = range(step * accumulation, (step + 1) * accumulation)
        return [index for number in numbers for index in self.order.batch(number)]


IGNORED = -100
"""The label of a token that is not trained on, in torch's cross-entropy and in every trainer built on it."""


def row_of(example: Example) -> dict[str, list[int]]:
    """Return an example as trainers of the Hugging Face family take it, tokenised and masked by position."""
    labels = [IGNORED] * len(example.prompt) + list(example.answer)
    return {"input_ids": list(example.ids), "labels": labels}
