"""Examples become rectangles of token ids, in an order that is a pure function of the seed.

Decides which positions are trained on, and which examples the n-th batch of a run holds. Because nothing is drawn from a
generator that lives on, a run can be continued at any batch. Leaves to `shapes` what there is to pad to, and to the
backends what is computed from a batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from joco_mlx.train.examples import Example
from joco_mlx.train.shapes import BatchShape, cover, joined, smallest_shape

_RUN = 2
"""Batches of one shape that come after each other: memory keeps its layout meanwhile. Few, because records of one length
are of one kind, and an optimizer step should see several."""


@dataclass(frozen=True)
class Batch:
    """Some examples, padded on the right.

    A position is trained on because of where it stands, never because of the id that stands there: the token that ends
    an answer may also be the model's padding token.
    """

    ids: NDArray[np.int32]
    """[examples, length]: prompt and answer without its last token, then zeros."""
    rows: NDArray[np.int32]
    """[examples, answers]: consecutive positions of `ids`, among them every one whose next token is part of the answer."""
    targets: NDArray[np.int32]
    """[examples, answers]: the next token at each of `rows`; 0 where it is not trained on."""
    weights: NDArray[np.float32]
    """[examples, answers]: what the next token weighs in the loss: more than 0 where it is trained on, else 0."""
    names: tuple[str, ...]
    """The examples, as an error would call them."""
    read_tokens: int
    """Tokens that the model reads, without padding."""

    @property
    def tokens(self) -> int:
        """How many tokens are trained on."""
        return int(np.count_nonzero(self.weights))

    @property
    def weight(self) -> float:
        """What the loss of the batch is divided by for its mean: the sum of the weights."""
        return float(self.weights.sum(dtype=np.float64))


def make_batch(examples: Sequence[Example], shapes: Sequence[BatchShape] = (), *, type_weight: float = 1.0) -> Batch:
    """Return `examples` as one batch, padded to the cheapest of `shapes` that holds them; else to what they need.

    The tokens of a commit's type weigh `type_weight` in the loss, all others of an answer 1.
    """
    length, answers = cover(shapes, joined(map(smallest_shape, examples)))
    read = sum(len(example.ids) - 1 for example in examples)
    ids = np.zeros((len(examples), length), np.int32)
    rows, targets = (np.zeros((len(examples), answers), np.int32) for _ in range(2))
    weights = np.zeros((len(examples), answers), np.float32)
    for number, example in enumerate(examples):
        ids[number, : len(example.ids) - 1] = example.ids[:-1]
        first = len(example.prompt) - 1  # the last token of the prompt predicts the first of the answer
        start = min(first, length - answers)
        rows[number] = np.arange(start, start + answers)
        trained = slice(first - start, first - start + len(example.answer))
        targets[number, trained] = example.answer
        weights[number, trained] = 1
        weights[number, trained][: example.type_tokens] = type_weight
    return Batch(ids, rows, targets, weights, tuple(example.name for example in examples), read)


class Order:
    """Which examples each batch of a run holds.

    Every epoch is a new permutation drawn from the seed and the epoch's number, in which batches of one shape come in
    short runs. A batch holds examples of one shape; those that are left over of each are put together by length. Only
    one batch of an epoch may be smaller.
    """

    def __init__(
        self, wanted: Sequence[BatchShape], batch_size: int, seed: int, shapes: Sequence[BatchShape] = ()
    ) -> None:
        """Fix the order.

        Args:
            wanted: The smallest shape of each example.
            batch_size: Examples in a batch.
            seed: Of the run.
            shapes: What batches are padded to; the smallest shapes when there are none.
        """
        chosen = [cover(shapes, shape) for shape in wanted]
        self.shapes = sorted(set(chosen))
        self._place = np.array([self.shapes.index(shape) for shape in chosen], np.int64)
        self._cost = np.array([shape.cost for shape in wanted], np.int64)
        self.batch_size = batch_size
        self.seed = seed
        self.per_epoch = -(-len(wanted) // batch_size)
        self._epoch: tuple[int, list[NDArray[np.int64]]] = (-1, [])

    def batch(self, number: int) -> list[int]:
        """Return the indices of the examples in batch `number`, counted from 0 over the whole run."""
        epoch, place = divmod(number, self.per_epoch)
        if self._epoch[0] != epoch:
            self._epoch = (epoch, self._shuffled(epoch))
        return [int(index) for index in self._epoch[1][place]]

    def _shuffled(self, epoch: int) -> list[NDArray[np.int64]]:
        generator = np.random.default_rng([self.seed, epoch])
        order = generator.permutation(len(self._place))
        runs: list[list[NDArray[np.int64]]] = []
        left: list[NDArray[np.int64]] = []
        for place in range(len(self.shapes)):
            members = order[self._place[order] == place]
            full = len(members) // self.batch_size * self.batch_size
            batches = self._in_batches(members[:full])
            runs += [batches[start : start + _RUN] for start in range(0, len(batches), _RUN)]
            left.append(members[full:])
        rest = np.concatenate(left)
        rest = rest[np.argsort(self._cost[rest], kind="stable")]
        runs += [[batch] for batch in self._in_batches(rest)]
        return [batch for run in generator.permutation(len(runs)) for batch in runs[run]]

    def _in_batches(self, members: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        return [members[start : start + self.batch_size] for start in range(0, len(members), self.batch_size)]


def fixed_subset(count: int, limit: int, seed: int) -> list[int]:
    """Return at most `limit` of `count` indices, in order: always the same ones for a seed."""
    if count <= limit:
        return list(range(count))
    return sorted(int(index) for index in np.random.default_rng([seed, count]).permutation(count)[:limit])
