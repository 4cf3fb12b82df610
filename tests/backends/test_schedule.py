"""Order, learning rate and rows for trainers that are not ours are those of the MLX trainer."""

import re
from pathlib import Path

import numpy as np
import pytest

from joco_mlx.config import TrainConfig
from joco_mlx.errors import UsageError
from joco_mlx.models.compute import mx
from joco_mlx.train.backends.schedule import IGNORED, StepOrder, rate_share, require_plain_loss, row_of
from joco_mlx.train.backends.torch_run import unquantised
from joco_mlx.train.batches import Order, make_batch
from joco_mlx.train.examples import Example
from joco_mlx.train.mlx_lora.step import rate_at
from joco_mlx.train.shapes import choose_shapes, smallest_shape


def examples(count: int) -> list[Example]:
    drawn = np.random.default_rng(5)
    lengths = drawn.integers(20, 200, (count, 2))
    return [
        Example(f"record-{n}", tuple(range(1, int(a) + 1)), tuple(range(1, int(b) // 4 + 1)), cut=False)
        for n, (a, b) in enumerate(lengths)
    ]


@pytest.mark.parametrize(("steps", "warmup"), [(1, 5), (6, 2), (20, 0), (100, 5), (7, 50)])
def test_the_rate_is_that_of_mlx(steps: int, warmup: int) -> None:
    for step in range(steps):
        expected = float(rate_at(mx.array(float(step)), 1.0, warmup, steps).item())
        assert rate_share(step, warmup, steps) == pytest.approx(expected, rel=1e-6)


def test_the_rate_never_begins_at_zero() -> None:
    assert rate_share(0, 5, 100) == pytest.approx(1 / 6)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_the_order_is_that_of_mlx(batch_size: int) -> None:
    read = examples(20)
    wanted = [smallest_shape(example) for example in read]
    shapes = choose_shapes(wanted, batch_size)
    config = TrainConfig(steps=9, grad_accumulation=2, batch_size=batch_size, seed=4)
    order = StepOrder.of(config, read, shapes)
    mlx = Order(wanted, batch_size, 4, shapes)
    assert list(order) == [mlx.batch(number) for number in range(18)]
    assert len(order) == 18
    assert order.of_step(3, 2) == [*mlx.batch(6), *mlx.batch(7)]


def test_labels_are_what_mlx_is_scored_on() -> None:
    (example,) = examples(1)
    row = row_of(example)
    assert row["input_ids"] == [*example.prompt, *example.answer]
    assert row["labels"] == [IGNORED] * len(example.prompt) + list(example.answer)
    assert make_batch([example]).tokens == sum(label != IGNORED for label in row["labels"])


def test_weights_of_single_tokens_are_refused() -> None:
    require_plain_loss(TrainConfig(), "trl")
    with pytest.raises(UsageError, match=re.escape("--type-weight is 4, but trl weighs")):
        require_plain_loss(TrainConfig(type_weight=4), "trl")


@pytest.mark.parametrize(
    ("name", "loaded"),
    [
        ("qwen2.5-coder-1.5b-instruct", "Qwen/Qwen2.5-Coder-1.5B-Instruct"),
        ("default", "Qwen/Qwen2.5-Coder-1.5B-Instruct"),
        ("deepseek-coder-1.3b-instruct", "deepseek-coder-1.3b-instruct"),
        ("smollm2-135m", "smollm2-135m"),
        ("org/model", "org/model"),
        (str(Path("folder") / "model"), "folder/model"),
    ],
)
def test_a_model_that_only_mlx_reads_is_loaded_from_its_original(name: str, loaded: str) -> None:
    assert unquantised(name) == loaded
