"""The commit's type can weigh more in the training loss than the other tokens of an answer."""

import numpy as np
import pytest
from tiny_training import EXAMPLES, tiny

from joco_mlx.config import TrainConfig
from joco_mlx.errors import UsageError
from joco_mlx.models.compute import mx, nn
from joco_mlx.train.batches import make_batch
from joco_mlx.train.examples import Example
from joco_mlx.train.mlx_lora.step import Step, make_optimizer

TYPED = Example("typed", (1, 2, 3), (10, 11, 12, 13), cut=False, type_tokens=2)


def test_only_the_tokens_of_the_type_weigh_more():
    batch = make_batch([TYPED, Example("plain", (1, 2), (5, 6, 7), cut=False)], type_weight=4.0)
    assert batch.weights[0][batch.weights[0] > 0].tolist() == [4, 4, 1, 1]
    assert batch.weights[1][batch.weights[1] > 0].tolist() == [1, 1, 1]
    assert batch.tokens == 7
    assert batch.weight == 13


def test_a_weight_of_one_changes_nothing():
    assert (make_batch([TYPED], type_weight=1.0).weights == make_batch([TYPED]).weights).all()


def test_a_step_minimises_the_mean_by_weight():
    """Two batches of a step are one sum of weighted losses over one sum of weights."""
    model = tiny("llama")
    step = Step(model, make_optimizer(1e-3, 0, 10))
    batches = [make_batch([example], type_weight=5.0) for example in (TYPED, *EXAMPLES[:2])]
    losses, weights = [], []
    for batch in batches:
        logits = model(mx.array(batch.ids))
        rows = mx.take_along_axis(logits, mx.array(batch.rows)[..., None], axis=1).astype(mx.float32)
        losses.append(np.array(nn.losses.cross_entropy(rows, mx.array(batch.targets))))
        weights.append(batch.weights)
        step.add(batch)
    wanted = sum((one * weight).sum() for one, weight in zip(losses, weights, strict=True))
    wanted /= sum(weight.sum() for weight in weights)
    assert step.update().loss == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("weight", [0.0, -1.0, 101.0])
def test_a_weight_that_teaches_nothing_is_refused(weight):
    with pytest.raises(UsageError, match="--type-weight"):
        TrainConfig(type_weight=weight)
