"""A checkpoint is whole or not there, and a run that goes on from one is the run that never stopped."""

import json

import pytest
from tiny_training import EXAMPLES, example, tiny

from joco_mlx.errors import InputError, MachineError
from joco_mlx.models.compute import mx
from joco_mlx.train.batches import Order, make_batch
from joco_mlx.train.mlx_lora import checkpoint as checkpoint_module
from joco_mlx.train.mlx_lora.checkpoint import (
    Best,
    Reached,
    checkpoints,
    restore_checkpoint,
    save_checkpoint,
    usable_checkpoint,
)
from joco_mlx.train.mlx_lora.lora import adapter_tensors
from joco_mlx.train.mlx_lora.step import Step, make_optimizer
from joco_mlx.train.shapes import smallest_shape

DATA = [*EXAMPLES, example(20, 5, 3), example(90, 12, 4), example(33, 7, 5)]
STEPS = 6


def fresh():
    """A model with dropout, so that MLX's random state matters, and its optimizer."""
    model = tiny(dropout=0.2, num_hidden_layers=2)
    mx.random.seed(11)
    return model, make_optimizer(1e-2, 2, STEPS)


def run(model, optimizer, first, last):
    """Losses of steps `first` to `last`, two batches each."""
    step = Step(model, optimizer)
    order = Order([smallest_shape(item) for item in DATA], 1, seed=5)
    losses = []
    for number in range(first, last):
        for batch in (2 * number, 2 * number + 1):
            step.add(make_batch([DATA[index] for index in order.batch(batch)]))
        losses.append(step.update().loss)
    return losses


def test_going_on_is_bit_identical(tmp_path):
    model, optimizer = fresh()
    unbroken = run(model, optimizer, 0, STEPS)
    expected = adapter_tensors(model)

    model, optimizer = fresh()
    before = run(model, optimizer, 0, 3)
    saved = save_checkpoint(tmp_path, model, optimizer, Reached(3, 6))
    model, optimizer = fresh()
    mx.random.seed(99)
    position = restore_checkpoint(saved, model, optimizer)
    assert (position.step, position.batch) == (3, 6)
    assert before + run(model, optimizer, 3, STEPS) == unbroken
    for name, array in adapter_tensors(model).items():
        assert mx.array_equal(array, expected[name]), name


def test_only_the_last_ones_are_kept(tmp_path):
    model, optimizer = fresh()
    run(model, optimizer, 0, 1)
    for step in (1, 5, 20, 100):
        save_checkpoint(tmp_path, model, optimizer, Reached(step, step))
    assert [path.name for path in checkpoints(tmp_path)] == ["step-000020", "step-000100"]


def test_the_best_is_kept_too_as_the_newest_and_the_one_before_know_it(tmp_path):
    model, optimizer = fresh()
    run(model, optimizer, 0, 1)
    for step, best in ((1, 1), (2, 2), (3, 2), (4, 2), (5, 5), (6, 5), (7, 5)):
        save_checkpoint(tmp_path, model, optimizer, Reached(step, step, best=Best(best, 1.0)))
        kept = {path.name for path in checkpoints(tmp_path)}
        assert {f"step-{step:06d}", f"step-{best:06d}"} <= kept
    assert kept == {"step-000005", "step-000006", "step-000007"}


def test_what_was_reached_comes_back(tmp_path):
    model, optimizer = fresh()
    run(model, optimizer, 0, 1)
    reached = Reached(3, 6, read_tokens=123, seconds=4.5, best=Best(2, 1.25), validations_since_best=1)
    assert restore_checkpoint(save_checkpoint(tmp_path, model, optimizer, reached), model, optimizer) == reached


def test_the_newest_undamaged_one_is_used_and_damage_is_told(tmp_path):
    model, optimizer = fresh()
    run(model, optimizer, 0, 1)
    for step in (1, 2):
        newest = save_checkpoint(tmp_path, model, optimizer, Reached(step, step))
    whole = (newest / "optimizer.safetensors").read_bytes()
    (newest / "optimizer.safetensors").write_bytes(whole[:-1])
    told = []
    assert usable_checkpoint(tmp_path, told.append).name == "step-000001"
    assert told == [f"{newest} is damaged: optimizer.safetensors was changed. The one before it is used."]
    assert not newest.exists()


def test_without_any_whole_checkpoint_there_is_none(tmp_path):
    model, optimizer = fresh()
    run(model, optimizer, 0, 1)
    assert usable_checkpoint(tmp_path, pytest.fail) is None
    (save_checkpoint(tmp_path, model, optimizer, Reached(1, 1)) / "position.json").write_text("{}")
    assert usable_checkpoint(tmp_path, lambda _: None) is None


def test_a_failure_while_writing_leaves_the_one_before(tmp_path, monkeypatch):
    model, optimizer = fresh()
    run(model, optimizer, 0, 1)
    save_checkpoint(tmp_path, model, optimizer, Reached(1, 2))

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint_module, "write_json", full_disk)
    with pytest.raises(MachineError, match="No space left on device"):
        save_checkpoint(tmp_path, model, optimizer, Reached(2, 4))
    assert [path.name for path in tmp_path.iterdir()] == ["step-000001"]


@pytest.mark.parametrize("name", ["adapters.safetensors", "optimizer.safetensors", "position.json"])
def test_a_damaged_checkpoint_is_noticed(tmp_path, name):
    model, optimizer = fresh()
    run(model, optimizer, 0, 1)
    saved = save_checkpoint(tmp_path, model, optimizer, Reached(1, 2))
    content = (saved / name).read_bytes()
    (saved / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="is damaged") as problem:
        restore_checkpoint(saved, model, optimizer)
    assert str(saved) in problem.value.message


def test_adapters_of_another_shape_are_refused(tmp_path):
    model, optimizer = fresh()
    run(model, optimizer, 0, 1)
    saved = save_checkpoint(tmp_path, model, optimizer, Reached(1, 2))
    with pytest.raises(InputError, match="another rank, other layers or another model"):
        restore_checkpoint(saved, tiny(layers=1), make_optimizer(1e-2, 2, STEPS))


def test_the_position_is_plain_json(tmp_path):
    model, optimizer = fresh()
    run(model, optimizer, 0, 1)
    saved = save_checkpoint(tmp_path, model, optimizer, Reached(1, 2))
    content = json.loads((saved / "position.json").read_text())
    assert content["step"] == 1
    assert content["batch"] == 2
    assert len(content["random_key"]) == 2
    assert set(content["files"]) == {"adapters.safetensors", "optimizer.safetensors"}
