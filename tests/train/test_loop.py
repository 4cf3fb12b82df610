"""The loop writes what happened, validates without side effects, stops when told and never goes on from a broken loss."""

from dataclasses import replace

import pytest
from tiny_training import EXAMPLES, example, tiny

from joco_mlx.config import TrainConfig
from joco_mlx.errors import InputError
from joco_mlx.models.compute import mx, trees
from joco_mlx.progress import Silent
from joco_mlx.train.batches import make_batch
from joco_mlx.train.mlx_lora import loop
from joco_mlx.train.mlx_lora.checkpoint import Best, checkpoints
from joco_mlx.train.mlx_lora.loop import Work, run_steps, validation_loss
from joco_mlx.train.mlx_lora.lora import adapter_tensors
from joco_mlx.train.mlx_lora.step import Step, make_optimizer

CONFIG = TrainConfig(steps=6, grad_accumulation=2, learning_rate=1e-2, warmup_steps=1, eval_every=4, save_every=4)
DATA = [*EXAMPLES, example(20, 5, 3), example(90, 12, 4), example(33, 7, 5)]
VALIDATION = [make_batch([example(50, 8, 6)]), make_batch([example(30, 4, 7)])]


class Journal(list):
    def write(self, figures):
        self.append(figures)

    def sync(self):
        """Nothing is on a disk."""


def work(folder, config=CONFIG, **changes):
    model = tiny(dropout=config.dropout, num_hidden_layers=1)
    mx.random.seed(config.seed)
    step = Step(model, make_optimizer(config.learning_rate, config.warmup_steps, config.steps))
    made = Work(
        step=step,
        config=config,
        examples=DATA,
        validation=VALIDATION,
        checkpoints=folder / "checkpoints",
        adapters=folder / "adapters",
        description={"fine_tune_type": "lora"},
    )
    return replace(made, **changes)


def trained(made, stopped=lambda: False):
    """Whether all steps were taken, the lines of the journal, and the figures shown with each training step."""
    journal, shown, titles = Journal(), [], []

    class Watching(Silent):
        def start(self, title, total=None, unit=""):
            titles.append(title)
            return self

        def advance(self, amount=1, **figures):
            if titles[-1] == "Training" or figures:
                shown.append(figures)

    finished = run_steps(made, journal, Watching(), stopped)
    return finished, journal, shown


def test_every_step_is_told_and_written(tmp_path):
    finished, journal, shown = trained(work(tmp_path))
    assert finished
    losses = [line["loss"] for line in journal if "loss" in line]
    assert [line["step"] for line in journal if "loss" in line] == [1, 2, 3, 4, 5, 6]
    assert sum(losses[3:]) < sum(losses[:3])
    assert [figures["loss"] for figures in shown] == losses
    assert all({"tokens_per_second", "memory_gb"} <= figures.keys() for figures in shown)
    assert [line["epoch"] for line in journal if "loss" in line][-1] == pytest.approx(12 / 5)


def test_validation_comes_when_it_is_due_and_at_the_end(tmp_path):
    _, journal, shown = trained(work(tmp_path))
    assert [line["step"] for line in journal if "val_loss" in line] == [4, 6]
    assert [step for step, figures in enumerate(shown, 1) if "val_loss" in figures] == [4, 6]


def test_logging_less_often_still_tells_the_last_step(tmp_path):
    _, journal, shown = trained(work(tmp_path, replace(CONFIG, log_every=4)))
    assert [line["step"] for line in journal if "loss" in line] == [4, 6]
    assert len(shown) == 6


def test_checkpoints_stand_where_they_should(tmp_path):
    trained(work(tmp_path))
    assert [path.name for path in checkpoints(tmp_path / "checkpoints")] == ["step-000004", "step-000006"]


def test_what_was_learned_is_there_at_the_first_checkpoint(tmp_path):
    made = work(tmp_path)
    trained(made, stopped=lambda: made.done == 5)
    stored = mx.load(str(tmp_path / "adapters" / "adapters.safetensors"))
    checkpoint = mx.load(str(tmp_path / "checkpoints" / "step-000004" / "adapters.safetensors"))
    assert all(mx.array_equal(stored[name], checkpoint[name]) for name in checkpoint)


@pytest.mark.parametrize("patience", [1, 2, None])
def test_patience_ends_a_run_whose_validation_no_longer_gets_better(tmp_path, patience, monkeypatch):
    losses = iter([3.0, 2.0, 2.5, 2.0, 9.0, 9.0])
    monkeypatch.setattr(loop, "validation_loss", lambda *_: next(losses))
    made = work(tmp_path, replace(CONFIG, eval_every=1, patience=patience))
    assert trained(made)[0]
    assert made.done == (6 if patience is None else 2 + patience)
    assert made.reached.best == Best(2, 2.0)
    assert "step-000002" in {path.name for path in checkpoints(tmp_path / "checkpoints")}


def test_a_stop_comes_between_two_steps(tmp_path):
    made = work(tmp_path)
    finished, journal, _ = trained(made, stopped=lambda: made.done == 3)
    assert not finished
    assert (made.done, made.reached.batch) == (3, 6)
    assert [line["step"] for line in journal] == [1, 2, 3]


def test_validation_changes_nothing_in_training(tmp_path):
    """With dropout every draw counts: the random state must be the same with and without validation."""
    config = replace(CONFIG, dropout=0.3)

    def losses_and_adapters(name, **changes):
        made = work(tmp_path / name, config, **changes)
        losses = [line["loss"] for line in trained(made)[1] if "loss" in line]
        return losses, adapter_tensors(made.step.model)

    with_it, ours = losses_and_adapters("a")
    without, theirs = losses_and_adapters("b", validation=[])
    assert with_it == without
    assert all(mx.array_equal(ours[name], theirs[name]) for name in ours)


def test_validation_is_the_mean_over_tokens(tmp_path):
    model = work(tmp_path).step.model
    each = [validation_loss(model, [batch]) for batch in VALIDATION]
    assert validation_loss(model, VALIDATION) == pytest.approx((each[0] * 8 + each[1] * 4) / 12, rel=1e-6)
    assert model.training


def test_the_seed_decides_the_run(tmp_path):
    def losses(seed, name):
        made = work(tmp_path / name, replace(CONFIG, seed=seed, dropout=0.1))
        return [line["loss"] for line in trained(made)[1] if "loss" in line]

    assert losses(1, "a") == losses(1, "b")
    assert losses(1, "c") != losses(2, "d")


@pytest.mark.parametrize("batch_size", [1, 2])
def test_a_loss_that_is_no_number_names_step_and_record(tmp_path, batch_size):
    config = replace(CONFIG, batch_size=batch_size, grad_accumulation=1)
    made = work(tmp_path, config, validation=[])
    target = made.order.batch(2)

    def stopped():
        if made.done == 2:  # what a diverged model looks like
            made.step.model.load_weights([(n, a * float("inf")) for n, a in first_factors(made)], strict=False)
        return False

    with pytest.raises(InputError, match="The loss became nan in step 3") as problem:
        trained(made, stopped)
    assert all(DATA[index].name in problem.value.message for index in target)
    assert "--learning-rate" in problem.value.hint
    assert made.done == 2


@pytest.mark.parametrize("loss", [float("nan"), float("inf")], ids=str)
def test_a_validation_loss_that_is_no_number_ends_the_run_unsaved(tmp_path, monkeypatch, loss):
    """The step's own loss comes before its update, so that validation is the first to see what the update broke."""
    monkeypatch.setattr(loop, "validation_loss", lambda *_: loss)
    made, journal = work(tmp_path), Journal()
    with pytest.raises(InputError, match=f"The validation loss became {loss} after step 4") as problem:
        run_steps(made, journal, Silent(), lambda: False)
    assert "--learning-rate (it is 0.01)" in problem.value.hint
    assert [line["step"] for line in journal] == [1, 2, 3, 4]
    assert made.reached.best is None
    assert checkpoints(tmp_path / "checkpoints") == []


def test_of_a_gradient_that_is_no_number_nothing_is_kept(tmp_path, monkeypatch):
    """The update is applied, and the run ends before the broken adapters reach the disk."""
    made = work(tmp_path, replace(CONFIG, save_every=1), validation=[])
    update = made.step.update

    def broken():
        if made.done == 2:
            made.step._gradients = trees.tree_map(lambda array: array * float("nan"), made.step._gradients)
        return update()

    monkeypatch.setattr(made.step, "update", broken)
    with pytest.raises(InputError, match="The gradient became nan in step 3, at one of the records"):
        trained(made)
    assert all(mx.isnan(array).all() for array in adapter_tensors(made.step.model).values())
    assert [path.name for path in checkpoints(tmp_path / "checkpoints")] == ["step-000001", "step-000002"]
    stored = mx.load(str(tmp_path / "adapters" / "adapters.safetensors"))
    assert all(mx.isfinite(array).all() for array in stored.values())


def first_factors(made):
    tensors = trees.tree_flatten(made.step.model.trainable_parameters())
    return [(name, array) for name, array in tensors if name.endswith("lora_a")]


def test_freed_buffers_are_dropped_only_when_the_shape_changes(tmp_path, monkeypatch):
    made = work(tmp_path, replace(CONFIG, steps=5, grad_accumulation=1, eval_every=99))
    made.validation = []
    dropped, seen = [], []
    monkeypatch.setattr(mx, "clear_cache", lambda: dropped.append(len(seen)))
    add = made.step.add
    monkeypatch.setattr(made.step, "add", lambda batch: seen.append(batch.ids.shape) or add(batch))
    trained(made)
    assert dropped == [at for at, shape in enumerate(seen) if at == 0 or shape != seen[at - 1]]
    assert 1 < len(dropped) < 5


def test_nobody_has_to_watch(tmp_path):
    assert run_steps(work(tmp_path), Journal(), Silent(), lambda: False)
