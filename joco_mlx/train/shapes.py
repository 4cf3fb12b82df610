"""OWNS the shapes that batches are padded to: at most 30 in a run, whatever the lengths of its records.

Each new shape costs a GPU a trace and a compilation, and MLX's cache of compiled functions never lets one go. Lengths are
padded to 64 (about 4 % of padding on commits) and answers to 32; where that makes too many shapes, those that cost the
least padding together become one, again and again. A pure function of the records, so that a run can be continued.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from joco_mlx.train.examples import Example

MOST_SHAPES = 30
LENGTH_MULTIPLE = 64
ANSWER_MULTIPLE = 32


class BatchShape(NamedTuple):
    """What every example of a batch is padded to."""

    tokens: int
    """Inputs: prompt and answer without its last token."""
    answers: int
    """Positions that the head is computed for; never more than `tokens`."""

    @property
    def cost(self) -> int:
        """What padding is counted in: an answer position as much as a token that is read."""
        return self.tokens + self.answers

    def holds(self, other: "BatchShape") -> bool:
        """Whether what fits `other` fits this one."""
        return self.tokens >= other.tokens and self.answers >= other.answers


def smallest_shape(example: Example) -> BatchShape:
    """Return the shape that an example alone is padded to."""
    return BatchShape(
        _rounded_up(len(example.ids) - 1, LENGTH_MULTIPLE), _rounded_up(len(example.answer), ANSWER_MULTIPLE)
    )


def joined(wanted: Iterable[BatchShape]) -> BatchShape:
    """Return the smallest shape that holds all of some shapes."""
    tokens, answers = zip(*wanted, strict=True)
    return BatchShape(max(tokens), max(answers))


def choose_shapes(
    wanted: Sequence[BatchShape], batch_size: int = 1, *, most: int = MOST_SHAPES
) -> tuple[BatchShape, ...]:
    """Return at most `most` shapes that hold everything, in ascending order.

    Args:
        wanted: The smallest shape of each example.
        batch_size: With more than one example in a batch there is always a shape that holds any two of them.
        most: How many shapes there may be.
    """
    if not wanted:
        return ()
    held = Counter(wanted)
    largest = {joined(wanted)} if batch_size > 1 else set()
    return tuple(sorted(_merged(held, most - len(largest)) | largest))


def cover(shapes: Iterable[BatchShape], wanted: BatchShape) -> BatchShape:
    """Return the cheapest of some shapes that holds `wanted`; `wanted` itself when none does."""
    return min(
        (shape for shape in shapes if shape.holds(wanted)), key=lambda shape: (shape.cost, shape), default=wanted
    )


def padding_share(wanted: Sequence[BatchShape], shapes: Sequence[BatchShape], read_tokens: int) -> float:
    """Return which share of the positions of one-example batches is padding.

    Args:
        wanted: The smallest shape of each example.
        shapes: What there is.
        read_tokens: Inputs of all examples, without padding.
    """
    positions = sum(cover(shapes, shape).tokens * number for shape, number in Counter(wanted).items())
    return 1 - read_tokens / positions


def _merged(held: Counter[BatchShape], most: int) -> set[BatchShape]:
    """Join the two shapes whose examples would get the least padding by it, until there are few enough."""
    ordered = sorted(held)
    tokens, answers = np.array(ordered).T
    examples = np.array([held[shape] for shape in ordered])
    while len(examples) > most:
        join = np.maximum.outer(tokens, tokens) + np.maximum.outer(answers, answers)
        own = tokens + answers
        extra = examples[:, None] * (join - own[:, None]) + examples * (join - own)
        np.fill_diagonal(extra, np.iinfo(extra.dtype).max)
        one, other = divmod(int(extra.argmin()), len(examples))
        tokens[one], answers[one] = max(tokens[one], tokens[other]), max(answers[one], answers[other])
        examples[one] += examples[other]
        tokens, answers, examples = (np.delete(each, other) for each in (tokens, answers, examples))
    return {BatchShape(int(length), int(answer)) for length, answer in zip(tokens, answers, strict=True)}


def _rounded_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
