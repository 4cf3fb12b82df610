"""Examples become rectangles of token ids, in an order that is a pure function of the seed.

Decides how much padding there is, which positions are trained on, and which examples the n-th batch of a run holds.
Because nothing is drawn from a generator that lives on, a run can be continued at any batch. Leaves what is computed
from a batch to the backends.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from joco_mlx.train.examples import Example

LENGTH_MULTIPLE = 64
"""Inputs are padded to this, so that a run on a GPU meets few shapes: 4 % of padding, at most 32 shapes at 2,048."""
ANSWER_MULTIPLE = 32
"""Answer positions are padded to this for the same reason."""
_WINDOW = 16
"""Batches whose examples are sorted by length together when a batch holds more than one."""


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
    """[examples, answers]: 1 where the next token is trained on, else 0."""
    names: tuple[str, ...]
    """The examples, as an error would call them."""
    read_tokens: int
    """Tokens that the model reads, without padding."""

    @property
    def tokens(self) -> int:
        """How many tokens are trained on."""
        return int(self.weights.sum())


def padded_length(examples: Sequence[Example]) -> int:
    """Return the length that a batch of these examples is padded to."""
    return _rounded_up(max(len(example.ids) - 1 for example in examples), LENGTH_MULTIPLE)


def padded_answers(examples: Sequence[Example]) -> int:
    """Return the number of answer positions that a batch of these examples is padded to."""
    return _rounded_up(max(len(example.answer) for example in examples), ANSWER_MULTIPLE)


def make_batch(examples: Sequence[Example]) -> Batch:
    """Return `examples` as one padded batch."""
    length, answers = padded_length(examples), padded_answers(examples)
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
    return Batch(ids, rows, targets, weights, tuple(example.name for example in examples), read)


class Order:
    """Which examples each batch of a run holds.

    Every epoch is a new permutation drawn from the seed and the epoch's number; its last batch may be smaller. With more
    than one example in a batch, neighbours of similar length are put together.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self.lengths = np.asarray(lengths)
        self.batch_size = batch_size
        self.seed = seed
        self.per_epoch = -(-len(lengths) // batch_size)
        self._epoch: tuple[int, list[NDArray[np.int64]]] = (-1, [])

    def batch(self, number: int) -> list[int]:
        """Return the indices of the examples in batch `number`, counted from 0 over the whole run."""
        epoch, place = divmod(number, self.per_epoch)
        if self._epoch[0] != epoch:
            self._epoch = (epoch, self._shuffled(epoch))
        return [int(index) for index in self._epoch[1][place]]

    def _shuffled(self, epoch: int) -> list[NDArray[np.int64]]:
        generator = np.random.default_rng([self.seed, epoch])
        order = generator.permutation(len(self.lengths))
        if self.batch_size == 1:
            return np.split(order, len(order))
        window = _WINDOW * self.batch_size
        windows = [order[start : start + window] for start in range(0, len(order), window)]
        by_length = np.concatenate([part[np.argsort(self.lengths[part], kind="stable")] for part in windows])
        batches = np.split(by_length, range(self.batch_size, len(order), self.batch_size))
        return [batches[index] for index in generator.permutation(len(batches))]


def fixed_subset(count: int, limit: int, seed: int) -> list[int]:
    """Return at most `limit` of `count` indices, in order: always the same ones for a seed."""
    if count <= limit:
        return list(range(count))
    return sorted(int(index) for index in np.random.default_rng([seed, count]).permutation(count)[:limit])


def _rounded_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
