"""On a GPU the step is compiled: with DoRA, over a trunk and for any architecture it does what an eager one does."""

import pytest
from tiny_architectures import tiny_of
from tiny_training import EXAMPLES, tiny

from joco_mlx.models.compute import mx
from joco_mlx.train.batches import make_batch
from joco_mlx.train.mlx_lora import step as step_module
from joco_mlx.train.mlx_lora.any_model import require_trainable
from joco_mlx.train.mlx_lora.lora import adapter_tensors
from joco_mlx.train.mlx_lora.step import Step, make_optimizer
from joco_mlx.train.mlx_lora.trunk import Trunk


def dora():
    return tiny(adapter="dora", only=("o_proj",), num_hidden_layers=1), None


def over_a_trunk():
    model = tiny(layers=1, only=("o_proj",), num_hidden_layers=2)
    return model, Trunk(model)


def other_architecture():
    model = tiny_of("gemma", num_hidden_layers=1)
    require_trainable(model)
    model.train()
    return model, None


@pytest.mark.parametrize("made", [dora, over_a_trunk, other_architecture], ids=lambda made: made.__name__)
def test_a_compiled_step_does_what_an_eager_one_does(monkeypatch, made):
    def two_steps():
        model, trunk = made()
        step = Step(model, make_optimizer(1e-2, 0, 10), form_of=lambda _: "layer", trunk=trunk)
        measured = []
        for _ in range(2):
            step.add(make_batch(EXAMPLES[:1]))
            measured.append(step.update().loss)
        return adapter_tensors(model), measured

    eager, losses = two_steps()
    monkeypatch.setattr(step_module, "device_kind", lambda: "metal")
    compiled, found = two_steps()
    assert found == pytest.approx(losses, rel=1e-5)
    for name, array in eager.items():
        assert mx.allclose(compiled[name], array, atol=1e-4), name
