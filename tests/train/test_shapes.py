"""At most 30 shapes hold every record, whatever the lengths, and little of them is padding."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joco_mlx.train.examples import Example
from joco_mlx.train.shapes import MOST_SHAPES, BatchShape, choose_shapes, cover, joined, padding_share, smallest_shape

SHAPES = st.tuples(st.integers(1, 130), st.integers(1, 12)).map(
    lambda pair: BatchShape(64 * max(pair), 32 * pair[1])  # up to 8,320 tokens
)


def of(tokens: int, answers: int) -> Example:
    return Example("x", (0,) * (tokens + 1 - answers), (1,) * answers, cut=False)


def commits(count: int, longest: int) -> list[BatchShape]:
    """Lengths as commits have them: a median of 526 tokens, cut at the longest; answers of 15, some with a body."""
    numbers = np.random.default_rng(5)
    lengths = np.minimum(numbers.lognormal(6.27, 0.9, count).astype(int) + 80, longest)
    answers = np.where(numbers.random(count) < 0.9, 15, numbers.integers(30, 180, count))
    return [smallest_shape(of(int(length), int(answer))) for length, answer in zip(lengths, answers, strict=True)]


@given(wanted=st.lists(SHAPES, max_size=300), size=st.sampled_from([1, 4]))
@settings(max_examples=60)
def test_no_lengths_need_more_than_thirty(wanted, size) -> None:
    shapes = choose_shapes(wanted, size)
    assert len(shapes) <= MOST_SHAPES
    assert list(shapes) == sorted(set(shapes))
    assert all(any(shape.holds(one) for shape in shapes) for one in wanted)
    assert shapes == choose_shapes(wanted[::-1], size)
    if size > 1 and wanted:
        assert joined(wanted) in shapes


@pytest.mark.parametrize(("longest", "share"), [(512, 0.12), (2_048, 0.07), (8_192, 0.09)])
def test_commits_get_little_padding(longest: int, share: float) -> None:
    """By padding to 64 alone it is 4 % of those that are not cut."""
    wanted = commits(3_000, longest)
    shapes = choose_shapes(wanted)
    read = sum(shape.tokens - 32 for shape in wanted)  # half of the last 64, on average
    assert padding_share(wanted, shapes, read) < share


def test_few_shapes_stay_as_they_are() -> None:
    wanted = [BatchShape(64, 32), BatchShape(2_048, 64), BatchShape(64, 32)]
    assert choose_shapes(wanted) == (BatchShape(64, 32), BatchShape(2_048, 64))
    assert choose_shapes([]) == ()


def test_rare_shapes_are_joined_and_common_ones_kept() -> None:
    common = [BatchShape(64 * number, 32) for number in range(1, 31)] * 50
    rare = [BatchShape(512, 64), BatchShape(1_024, 128)]
    shapes = choose_shapes(common + rare)
    assert len(shapes) == MOST_SHAPES
    assert len(set(common) & set(shapes)) >= 28


@pytest.mark.parametrize(
    ("tokens", "answers", "shape"), [(1, 1, (64, 32)), (64, 32, (64, 32)), (65, 5, (128, 32)), (100, 33, (128, 64))]
)
def test_an_example_alone(tokens: int, answers: int, shape: tuple[int, int]) -> None:
    assert smallest_shape(of(tokens, answers)) == shape


def test_the_cheapest_shape_that_holds_it_covers_a_batch() -> None:
    shapes = (BatchShape(64, 32), BatchShape(128, 96), BatchShape(192, 32))
    assert cover(shapes, BatchShape(64, 32)) == (64, 32)
    assert cover(shapes, BatchShape(128, 32)) == (128, 96)
    assert cover(shapes, BatchShape(192, 32)) == (192, 32)
    assert cover(shapes, BatchShape(256, 32)) == (256, 32)


def test_the_widest_spread_takes_seconds_at_most() -> None:
    wanted = [BatchShape(64 * tokens, 32 * answers) for tokens in range(10, 130) for answers in range(1, 10)]
    began = time.process_time()
    assert len(choose_shapes(wanted)) == MOST_SHAPES
    assert time.process_time() - began < 30
