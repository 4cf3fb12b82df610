"""Batches hold every answer once, in an order that only the seed decides."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joco_mlx.train.batches import Order, fixed_subset, make_batch
from joco_mlx.train.examples import Example
from joco_mlx.train.shapes import BatchShape, choose_shapes, joined


def example(prompt: int, answer: int) -> Example:
    """Ids that tell where they stand: the prompt counts up from 1, the answer from 1001."""
    return Example(f"{prompt}+{answer}", tuple(range(1, prompt + 1)), tuple(range(1001, 1001 + answer)), cut=False)


@pytest.mark.parametrize(
    ("prompt", "answer", "length", "answers"),
    [(1, 1, 64, 32), (60, 5, 64, 32), (61, 5, 128, 32), (30, 32, 64, 32), (30, 33, 64, 64), (1, 64, 64, 64)],
)
def test_shapes_are_multiples(prompt, answer, length, answers):
    batch = make_batch([example(prompt, answer)])
    assert batch.ids.shape == (1, length)
    assert batch.rows.shape == batch.targets.shape == batch.weights.shape == (1, answers)


@pytest.mark.parametrize(("prompt", "answer"), [(1, 1), (1, 64), (40, 7), (64, 1), (300, 33), (511, 129)])
def test_each_answer_token_is_predicted_from_the_one_before(prompt, answer):
    one = example(prompt, answer)
    batch = make_batch([one])
    trained = batch.weights[0] == 1
    assert batch.targets[0][trained].tolist() == list(one.answer)
    assert batch.ids[0][batch.rows[0][trained]].tolist() == [one.prompt[-1], *one.answer[:-1]]
    assert batch.tokens == answer
    assert batch.read_tokens == prompt + answer - 1


def test_rows_are_consecutive_and_inside():
    batch = make_batch([example(60, 4), example(3, 40)])
    assert (np.diff(batch.rows, axis=1) == 1).all()
    assert batch.rows.min() >= 0
    assert batch.rows.max() < batch.ids.shape[1]


def test_the_end_token_is_a_target_even_when_it_is_the_padding_token():
    batch = make_batch([Example("a", (5, 6), (7, 0), cut=False)])
    assert batch.targets[0][batch.weights[0] == 1].tolist() == [7, 0]


def test_several_examples_share_a_rectangle():
    batch = make_batch([example(10, 3), example(100, 40)])
    assert batch.ids.shape == (2, 192)
    assert batch.weights.sum(axis=1).tolist() == [3, 40]
    assert batch.ids[0, 12:].tolist() == [0] * 180
    assert batch.names == ("10+3", "100+40")


def shapes_of(lengths) -> list[BatchShape]:
    """What records of these lengths with a short answer want."""
    return [BatchShape(-(-max(length, 1) // 64) * 64, 32) for length in lengths]


def test_a_batch_takes_the_cheapest_of_the_shapes_that_holds_it():
    shapes = (BatchShape(64, 32), BatchShape(256, 32), BatchShape(192, 128))
    assert make_batch([example(100, 4)], shapes).ids.shape == (1, 256)
    assert make_batch([example(60, 40)], shapes).rows.shape == (1, 128)
    assert make_batch([example(30, 4)], shapes).ids.shape == (1, 64)


@pytest.mark.parametrize(("count", "size"), [(1, 1), (10, 1), (10, 3), (100, 4), (3, 8)])
def test_an_epoch_holds_every_example_once(count, size):
    order = Order(shapes_of(range(count)), size, seed=3)
    for epoch in range(3):
        batches = [order.batch(epoch * order.per_epoch + place) for place in range(order.per_epoch)]
        assert sorted(index for batch in batches for index in batch) == list(range(count))
        assert max(map(len, batches)) <= size


def test_epochs_differ_and_seeds_differ():
    first, second = (Order(shapes_of([64] * 50), 1, seed) for seed in (0, 1))
    epochs = [[first.batch(number)[0] for number in range(start, start + 50)] for start in (0, 50)]
    assert epochs[0] != epochs[1]
    assert epochs[0] != [second.batch(number)[0] for number in range(50)]
    assert epochs[0] != list(range(50))


def test_any_batch_can_be_asked_for_at_any_time():
    lengths = np.random.default_rng(0).integers(10, 500, 37).tolist()
    forward, backward = (Order(shapes_of(lengths), 4, 7) for _ in range(2))
    numbers = range(3 * forward.per_epoch)
    assert [forward.batch(n) for n in numbers] == [backward.batch(n) for n in reversed(numbers)][::-1]


def test_batches_of_several_waste_little_padding():
    """Unsorted batches of four waste more than half; neighbours of similar length share one."""
    lengths = np.random.default_rng(1).lognormal(6, 0.8, 400).astype(int).tolist()
    order = Order(shapes_of(lengths), 4, 0)
    batches = [[lengths[index] for index in order.batch(number)] for number in range(order.per_epoch)]
    padded = sum(max(batch) * len(batch) for batch in batches)
    assert sum(lengths) / padded > 0.8


def test_batches_of_one_shape_come_in_short_runs():
    """So that memory keeps its layout for a while, and a step of a few batches still sees several lengths."""
    wanted = shapes_of(np.random.default_rng(2).integers(1, 640, 400))
    order = Order(wanted, 1, 0)
    visited = [wanted[order.batch(number)[0]] for number in range(order.per_epoch)]
    changes = sum(one != other for one, other in pairwise(visited))
    assert 0.4 < changes / len(visited) < 0.55
    steps = [set(visited[start : start + 4]) for start in range(0, 400, 4)]
    assert sum(len(step) > 1 for step in steps) / len(steps) > 0.8


@given(
    lengths=st.lists(st.tuples(st.integers(1, 40), st.integers(1, 4)), min_size=1, max_size=60),
    size=st.integers(1, 5),
    seed=st.integers(0, 99),
)
@settings(max_examples=80)
def test_any_epoch_is_whole_and_keeps_to_the_shapes(lengths, size, seed):
    wanted = [BatchShape(64 * max(tokens, answers), 32 * answers) for tokens, answers in lengths]
    shapes = choose_shapes(wanted, size, most=5)
    order = Order(wanted, size, seed, shapes)
    for epoch in (0, 3):
        batches = [order.batch(epoch * order.per_epoch + place) for place in range(order.per_epoch)]
        assert sorted(index for batch in batches for index in batch) == list(range(len(wanted)))
        assert sum(len(batch) < size for batch in batches) <= 1
        assert all(any(shape.holds(joined(wanted[index] for index in batch)) for shape in shapes) for batch in batches)
    again = Order(wanted, size, seed, shapes)
    assert again.batch(order.per_epoch * 3) == order.batch(order.per_epoch * 3)


@pytest.mark.parametrize(("count", "limit", "size"), [(0, 5, 0), (3, 5, 3), (5, 5, 5), (100, 5, 5)])
def test_a_subset_is_bounded_and_always_the_same(count, limit, size):
    chosen = fixed_subset(count, limit, seed=0)
    assert len(chosen) == size
    assert chosen == sorted(set(chosen)) == fixed_subset(count, limit, seed=0)
    assert all(0 <= index < count for index in chosen)
