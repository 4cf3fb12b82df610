"""A run from its config to its sealed folder, on a tiny model, and every way it can end early."""

import json
import os
import shutil
import signal
from dataclasses import replace

import pytest
from tiny_records import make_record

from joco_mlx.artifacts import open_artifact, sha256
from joco_mlx.config import TrainConfig
from joco_mlx.errors import ConflictError, InputError, MachineError, StoppedError, UsageError
from joco_mlx.models import memory
from joco_mlx.models.compute import mx
from joco_mlx.models.hub import locate
from joco_mlx.models.load import load_model
from joco_mlx.models.registry import find
from joco_mlx.models.runs import open_run
from joco_mlx.progress import Silent
from joco_mlx.train import plan as plan_module
from joco_mlx.train import run as run_module
from joco_mlx.train.plan import choose_form, plan_run, prepare
from joco_mlx.train.run import Orders, train

RECORDS = [make_record(number) for number in range(6)]
HELD_OUT = [make_record(number) for number in range(6, 8)]


@pytest.fixture
def config(tiny_config):
    return tiny_config(
        RECORDS, HELD_OUT, steps=3, grad_accumulation=2, learning_rate=1e-2, warmup_steps=1, save_every=2, eval_every=2
    )


class Watching(Silent):
    """Keeps what a stage tells."""

    def __init__(self, on_advance=lambda title, figures: None):
        self.notes, self.told, self.on_advance = [], [], on_advance

    def start(self, title, total=None, unit=""):
        watching = self

        class Shown:
            def advance(self, amount=1, **figures):
                watching.told.append((title, figures))
                watching.on_advance(title, figures)

        return Shown()

    def note(self, text):
        self.notes.append(text)


def test_a_finished_run_is_a_sealed_artefact(config):
    made = train(config)
    folder = config.out
    assert made.folder == folder
    assert set(open_artifact(folder, "run", checked=True).manifest.files) == {
        "run.json",
        "metrics.jsonl",
        "loss.png",
        "samples.jsonl",
        "README.md",
        "adapters/adapters.safetensors",
        "adapters/adapter_config.json",
    }
    assert made.manifest.parents == {"dataset": sha256(config.data / "manifest.json")}
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3]
    assert [line["step"] for line in lines if "val_loss" in line] == [2, 3]
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == ["step-000002", "step-000003"]
    assert not list(folder.rglob("*.part"))
    card = (folder / "README.md").read_text()
    assert f"at step {open_run(folder).document['adapter']['step']}, whose adapters these are" in card
    assert "| rank | 4 |" in card


def test_a_run_can_be_opened_again(config):
    train(config)
    run = open_run(config.out)
    assert run.is_finished
    assert run.config == config
    assert run.base.digest == locate(config.model, progress=Silent()).digest
    assert run.dataset.records == 6
    assert run.document["plan"]["device"] == "cpu"


def test_the_adapters_change_the_model_that_they_were_made_for(config):
    train(config)
    base = locate(config.model, progress=Silent())
    ids = mx.arange(30)[None]
    tuned = load_model(base, adapter=config.out / "adapters")(ids)
    assert not mx.allclose(tuned, load_model(base)(ids), atol=1e-3)


@pytest.mark.parametrize("quantised", [None, {"group_size": 32, "bits": 4}], ids=["dense", "4-bit"])
def test_the_same_settings_give_the_same_bytes(config, tiny_model, tmp_path, quantised):
    config = replace(config, model=str(tiny_model("llama", quantised=quantised)), dropout=0.1)
    digests = []
    for name in ("first", "second"):
        train(replace(config, out=tmp_path / name))
        digests.append(sha256(tmp_path / name / "adapters" / "adapters.safetensors"))
    assert digests[0] == digests[1]


def test_what_is_told_on_the_way(config):
    watching = Watching()
    train(config, progress=watching)
    steps = [figures for title, figures in watching.told if title == "Training"]
    assert len(steps) == 3
    assert {"loss", "tokens_per_second", "memory_gb"} <= steps[0].keys()
    assert "val_loss" in steps[1]
    pilot = next(note for note in watching.notes if note.startswith("6 records of 1 repository"))
    assert "joco-mlx dataset extract" in pilot


def test_only_training_records_are_shown_in_other_forms(config):
    plain, varied = (prepare(replace(config, prompt_variants=share), Silent()) for share in (0.0, 1.0))
    assert plain.validation == varied.validation
    assert [example.answer for example in plain.examples] == [example.answer for example in varied.examples]
    assert all(one.prompt != other.prompt for one, other in zip(plain.examples, varied.examples, strict=True))
    again = prepare(replace(config, prompt_variants=1.0), Silent())
    assert again.examples == varied.examples


def test_epochs_decide_the_steps(config):
    made = train(replace(config, epochs=1.5, batch_size=2, grad_accumulation=2))
    assert made.manifest.config["steps"] == 3  # 1.5 epochs of 3 batches are 4.5, two of them a step


def test_ctrl_c_keeps_what_was_learned(config):
    def press(title, figures):
        if title == "Training":
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(StoppedError, match="after step 1 of 3") as problem:
        train(config, progress=Watching(press))
    assert problem.value.hint == f"Go on: joco-mlx train --resume {config.out}"
    run = open_run(config.out)
    assert run.state == "interrupted"
    assert not run.is_finished
    assert (run.adapter / "adapters.safetensors").is_file()
    assert [path.name for path in (config.out / "checkpoints").iterdir()] == ["step-000001"]


def test_a_broken_loss_ends_the_run_as_failed(config, monkeypatch):
    def diverged(*arguments):
        model, description = made_by(*arguments)
        model.model.norm.weight = model.model.norm.weight * float("nan")
        return model, description

    made_by = run_module.adapted_model
    monkeypatch.setattr(run_module, "adapted_model", diverged)
    with pytest.raises(InputError, match="The loss became nan in step 1, at record demo-"):
        train(config)
    assert open_run(config.out).state == "failed"
    assert "demo-" in open_run(config.out).document["problem"]


@pytest.mark.parametrize("moment", ["at a checkpoint", "at a sample", "at the end"])
def test_a_folder_that_vanishes_is_told_and_not_made_anew(config, moment):
    """As when an external disk is unplugged: what is below its place must not go to another disk."""
    changes = {"at a checkpoint": {"save_every": 2}, "at a sample": {"samples": 1}, "at the end": {}}[moment]
    config = replace(config, **{"save_every": 99, "eval_every": 99, "samples": 0, **changes})

    def vanish(title, figures):
        if title == "Training" and config.out.is_dir():
            shutil.rmtree(config.out)

    with pytest.raises(MachineError, match="is gone") as problem:
        train(config, progress=Watching(on_advance=vanish))
    assert problem.value.hint.endswith(f"joco-mlx train --resume {config.out}")
    assert not (config.out / "run.json").exists()


def test_an_existing_folder_is_refused_before_any_work(config):
    config.out.mkdir()
    with pytest.raises(ConflictError, match="exists already"):
        train(replace(config, model="no-such-model"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "no-such-model"}, "no model named 'no-such-model'"),
        ({"max_seq_length": 256}, "record long-0"),
    ],
    ids=["unknown model", "answer too long"],
)
def test_what_is_wrong_is_found_before_a_folder_is_made(config, make_dataset, changes, message):
    long = make_record(0, repository="long", output="feat: " + "add more of it " * 60)
    config = replace(config, data=make_dataset([*RECORDS, long], name="long"), **changes)
    with pytest.raises(InputError, match=message):
        train(config)
    assert not config.out.exists()


def test_a_plan_counts_what_training_would_refuse(config, make_dataset):
    long = make_record(0, repository="long", output="feat: " + "add more of it " * 60)
    cut = make_record(9, diff="diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -0,0 +1,300 @@\n" + "+    value = 1\n" * 300)
    plan = plan_run(replace(config, data=make_dataset([*RECORDS, long, cut], name="mixed"), out=None))
    assert (plan.records, plan.whole, plan.cut, plan.unusable, plan.validation_records) == (8, 6, 1, 1, 0)
    assert plan.longest_tokens <= 512
    assert plan.repositories == 2
    assert plan.epochs == pytest.approx(3 * 2 / 7)
    assert any("too long for 512 tokens: 1." in note for note in plan.notes)
    assert not config.out.exists()


def test_a_dataset_without_validation_trains_and_says_so(config, make_dataset):
    watching = Watching()
    train(replace(config, data=make_dataset(RECORDS, name="train-only")), progress=watching)
    assert any("no validation split" in note for note in watching.notes)


def test_a_dataset_with_nothing_to_train_on(config, make_dataset):
    with pytest.raises(InputError, match=r"train\.jsonl has no record"):
        plan_run(replace(config, data=make_dataset([], name="empty")))


def test_a_folder_that_is_no_dataset(config, tmp_path):
    with pytest.raises(InputError, match="There is no dataset at"):
        plan_run(replace(config, data=tmp_path))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"target_modules": ("q_proj", "foo")}, "--target-modules names 'foo'"),
        ({"layers": 99}, "--layers is 99, but the model has "),
    ],
    ids=["module", "layers"],
)
def test_a_plan_refuses_what_the_model_does_not_have(config, changes, said):
    with pytest.raises(UsageError, match=said):
        plan_run(replace(config, **changes))


@pytest.mark.parametrize(
    ("budget", "dropout", "checkpointing"),
    [(10**12, 0.0, "none"), (10**3, 0.0, "layer"), (10**3, 0.1, "none")],
    ids=["fits", "too small", "dropout"],
)
def test_layers_are_computed_again_only_where_memory_is_short(config, monkeypatch, budget, dropout, checkpointing):
    monkeypatch.setattr(memory, "this_machine_budget", lambda: budget)
    plan = plan_run(replace(config, dropout=dropout))
    assert plan.checkpointing == checkpointing
    assert {bucket.memory.checkpointing for bucket in plan.buckets} == {checkpointing}
    assert sum(bucket.records for bucket in plan.buckets) == plan.records - plan.unusable
    assert any("more than this machine's 0.00 GB" in note for note in plan.notes) is (budget < plan.planned_bytes)


def test_smaller_plans_are_counted_from_the_records_that_keep_most(config, make_dataset, monkeypatch):
    """A budget in which short records keep everything and long ones already compute all again."""
    long = make_record(9, diff="diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -0,0 +1,300 @@\n" + "+    value = 1\n" * 300)
    config = replace(config, data=make_dataset([*RECORDS, long], name="long"), max_seq_length=1_024)
    shape = locate(config.model, progress=Silent()).shape
    budget = choose_form(config, shape, 256, 10**12, answer_tokens=32).total
    monkeypatch.setattr(memory, "this_machine_budget", lambda: budget)
    plan = plan_run(config)
    assert (plan.form_of(64), plan.checkpointing) == ("none", "layer")
    told = []

    def begun(_folder, smaller):
        told.append(smaller)
        raise KeyboardInterrupt

    for smaller_by in range(3):
        out = config.out.with_name(f"run-{smaller_by}")
        with pytest.raises(KeyboardInterrupt):
            train(replace(config, out=out), orders=Orders(smaller_by=smaller_by, begun=begun))
        assert open_run(out).document["segments"][0]["memory_plan"] == memory.FORMS[smaller_by]
    assert told == [2, 1, 0]


def test_a_budget_that_is_too_small_names_what_fits(config, make_dataset, monkeypatch):
    """Who follows the note is not told again."""
    long = make_record(9, diff="diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -0,0 +1,300 @@\n" + "+    value = 1\n" * 300)
    config = replace(config, data=make_dataset([*RECORDS, long], name="long"))
    shape = locate(config.model, progress=Silent()).shape

    def told(budget, **changes):
        monkeypatch.setattr(memory, "this_machine_budget", lambda: budget)
        notes = plan_run(replace(config, **changes)).notes
        return [note for note in notes if "more than this machine's" in note]

    (nothing,) = told(1)
    assert nothing.endswith("No length of this model fits; choose a smaller one: joco-mlx models")
    at_256 = choose_form(config, shape, 256, 1, answer_tokens=32).total
    (shorter,) = told(at_256)
    assert shorter.endswith("A shorter diff fits: joco-mlx train --max-seq-length 256")
    assert told(at_256, max_seq_length=256) == []


def test_dropout_is_the_first_thing_to_do_without():
    """With it nothing can be computed again."""
    entry = find("default")
    config = TrainConfig(dropout=0.1)
    smallest = choose_form(replace(config, dropout=0.0), entry.shape, 2_048, 1, answer_tokens=32).total
    assert plan_module._what_fits(config, entry.shape, smallest, 32).endswith("joco-mlx train --dropout 0")
    assert "--max-seq-length" in plan_module._what_fits(config, entry.shape, smallest - 1, 32)


def test_a_dataset_without_any_usable_record(config, make_dataset):
    long = [make_record(number, repository="long", output="feat: " + "add more of it " * 60) for number in range(3)]
    config = replace(config, data=make_dataset(long, name="long"), max_seq_length=256)
    for attempt in (train, plan_run):
        with pytest.raises(InputError, match=r"record long-0 has \d+ tokens, which leaves no room for its diff in 256"):
            attempt(config)
    assert not config.out.exists()


def test_a_run_with_less_memory_learns_the_same(config, monkeypatch, tmp_path):
    train(config)
    monkeypatch.setattr(memory, "this_machine_budget", lambda: 10**3)
    train(replace(config, out=tmp_path / "smaller"))
    ours, theirs = (mx.load(str(out / "adapters/adapters.safetensors")) for out in (config.out, tmp_path / "smaller"))
    assert all(mx.allclose(ours[name], theirs[name], atol=1e-5) for name in ours)
