"""A run that goes on ends as the one that never stopped, and another one is refused."""

import json
import os
import shutil
import signal
from dataclasses import replace

import pytest
from tiny_records import make_record

from joco_mlx.artifacts import open_artifact, sha256
from joco_mlx.errors import ConflictError, InputError, StoppedError, UsageError
from joco_mlx.models.runs import open_run
from joco_mlx.progress import Silent
from joco_mlx.train import resume as resume_module
from joco_mlx.train.live_run import reopened_run
from joco_mlx.train.run import resume, train

TIMES = {"seconds", "tokens_per_second", "peak_bytes"}


@pytest.fixture
def config(tiny_config):
    """With dropout, so that MLX's random state matters, over more than one epoch."""
    return tiny_config(
        [make_record(number) for number in range(5)],
        [make_record(9)],
        steps=6,
        grad_accumulation=2,
        learning_rate=1e-2,
        dropout=0.1,
        save_every=2,
        eval_every=3,
    )


class Interrupting(Silent):
    """Presses Ctrl-C when a training step of this run is told."""

    def __init__(self, after):
        self.after, self.notes = after, []

    def start(self, title, total=None, unit=""):
        training = title.startswith("Training")
        outer = self

        class Shown:
            def advance(self, amount=1, **figures):
                outer.after -= training
                if training and outer.after == 0:
                    os.kill(os.getpid(), signal.SIGINT)

        return Shown()

    def note(self, text):
        self.notes.append(text)


def stopped(config, after):
    with pytest.raises(StoppedError):
        train(config, progress=Interrupting(after))
    return config.out


def lines(folder):
    """metrics.jsonl without what depends on the machine's mood."""
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in TIMES} for line in found]


def digest(folder):
    return sha256(folder / "adapters" / "adapters.safetensors")


@pytest.fixture
def unbroken(config, tmp_path):
    return train(replace(config, out=tmp_path / "unbroken")).folder


@pytest.mark.parametrize("after", [1, 3, 4], ids=["in the first epoch", "at a validation", "in the second epoch"])
def test_a_stopped_run_ends_as_if_it_had_not_stopped(config, unbroken, after):
    folder = stopped(config, after)
    assert open_run(folder).document["segments"][0]["state"] == "interrupted"
    made = resume(folder)
    assert digest(folder) == digest(unbroken)
    assert lines(folder) == lines(unbroken)
    document = open_artifact(made.folder, "run", checked=True) and open_run(folder).document
    assert document["state"] == "finished"
    assert [segment["from_step"] for segment in document["segments"]] == [0, after]
    assert [segment["reason"] for segment in document["segments"]] == ["begun", "resumed"]
    assert made.manifest.config == {**open_artifact(unbroken, "run").manifest.config, "out": str(folder)}


def test_a_damaged_newest_checkpoint_costs_only_the_steps_after_the_one_before(config, unbroken):
    folder = stopped(config, 5)
    newest = folder / "checkpoints" / "step-000005" / "optimizer.safetensors"
    newest.write_bytes(newest.read_bytes()[:-100])
    watching = Interrupting(0)
    resume(folder, progress=watching)
    going_on = watching.notes.index(f"Going on with {folder} after step 4 of 6.")
    damaged = watching.notes[going_on - 1]
    assert damaged.endswith("is damaged: optimizer.safetensors was changed. The one before it is used.")
    assert digest(folder) == digest(unbroken)
    assert lines(folder) == lines(unbroken)


def test_a_run_without_any_checkpoint_begins_again(config, unbroken):
    folder = stopped(config, 1)
    shutil.rmtree(folder / "checkpoints")
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "lo')  # killed while writing
    resume(folder)
    assert digest(folder) == digest(unbroken)
    assert lines(folder) == lines(unbroken)


def test_what_a_killed_process_left_half_written_is_cleared_away(config):
    folder = stopped(config, 2)
    for left in (folder / ".run.json.abc.part", folder / "adapters" / ".adapters.safetensors.abc.part"):
        left.write_text("half")
    (folder / "checkpoints" / ".step-000003.abc.part").mkdir()
    resume(folder)
    assert not list(folder.rglob("*.part"))


def test_adapters_of_a_finished_run_are_the_best(config, monkeypatch):
    from joco_mlx.train.mlx_lora import loop

    losses = iter([1.0, 2.0])
    monkeypatch.setattr(loop, "validation_loss", lambda *_: next(losses))
    folder = train(config).folder
    assert open_run(folder).document["adapter"] == {"step": 3, "val_loss": 1.0}
    assert digest(folder) == sha256(folder / "checkpoints" / "step-000003" / "adapters.safetensors")


def test_without_a_name_the_newest_unfinished_run_is_meant(config, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(resume_module, "is_held", lambda folder: folder.name == "held")
    for number, name in enumerate(("older", "newer", "held")):
        stopped(replace(config, out=tmp_path / "runs" / name), 1)
        os.utime(tmp_path / "runs" / name / "run.json", (number, number))
    assert resume_module.open_unfinished(None).folder.name == "newer"


def test_nothing_to_go_on_with(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="No run in runs was left unfinished"):
        resume()


def test_another_setting_is_refused(config):
    folder = stopped(config, 1)
    with pytest.raises(UsageError, match=rf"--rank is 8, but {folder} began with 4"):
        resume(folder, given={"rank": 8, "steps": None})
    assert resume(folder, given={"rank": 4}).folder == folder


def test_another_dataset_is_refused(config):
    folder = stopped(config, 1)
    with (config.data / "train.jsonl").open("a") as file:
        file.write("\n")
    with pytest.raises(InputError, match="was changed after it was finished"):
        resume(folder)


def test_a_dataset_that_was_made_anew_is_refused(config, make_dataset):
    folder = stopped(config, 1)
    shutil.rmtree(config.data)
    make_dataset([make_record(1)], [make_record(9)])
    with pytest.raises(InputError, match=r"The dataset .* is not the one that"):
        resume(folder)


def test_another_model_is_refused(config, tiny_model, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(config.model, model)
    folder = stopped(replace(config, model=str(model)), 1)
    shutil.rmtree(model)
    shutil.copytree(tiny_model("qwen2", dtype="float32", layers=3), model)
    with pytest.raises(InputError, match=r"The model model at .* is not the one that"):
        resume(folder)


def test_a_finished_run_is_refused(config):
    folder = train(replace(config, steps=1)).folder
    with pytest.raises(ConflictError, match="is finished already") as problem:
        resume(folder)
    assert problem.value.hint == f"Use it: joco-mlx fuse {folder}"


def test_a_run_at_work_is_refused(config):
    folder = stopped(config, 1)
    with (
        reopened_run(folder, open_run(folder).document),
        pytest.raises(ConflictError, match="in use by another process"),
    ):
        resume(folder)
