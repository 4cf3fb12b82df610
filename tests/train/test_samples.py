"""Samples show what the model has learned, and change nothing of it."""

import json
from dataclasses import replace

import pytest
from tiny_records import make_record

from joco_mlx.artifacts import open_artifact, sha256
from joco_mlx.errors import StoppedError
from joco_mlx.progress import Silent
from joco_mlx.train import samples as samples_module
from joco_mlx.train.live_run import SAMPLES
from joco_mlx.train.run import resume, train

HELD_OUT = [make_record(number) for number in range(6, 9)]
TIMES = {"seconds", "tokens_per_second", "peak_bytes"}


@pytest.fixture
def config(tiny_config):
    return tiny_config(
        [make_record(number) for number in range(6)],
        HELD_OUT,
        steps=4,
        grad_accumulation=2,
        learning_rate=1e-2,
        dropout=0.1,
        save_every=2,
        eval_every=2,
        samples=2,
    )


class Noting(Silent):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


def lines(folder, name=SAMPLES):
    return [json.loads(line) for line in (folder / name).read_text("utf-8").splitlines()]


def test_samples_are_written_sealed_and_told(config):
    progress = Noting()
    train(config, progress=progress)
    written = lines(config.out)
    assert [(line["step"], line["record"]) for line in written] == [
        (step, record.metadata.id) for step in (2, 4) for record in HELD_OUT[:2]
    ]
    assert [line["expected"] for line in written[:2]] == [record.output for record in HELD_OUT[:2]]
    assert all(line.keys() == {"step", "record", "expected", "message", "valid"} for line in written)
    assert SAMPLES in open_artifact(config.out, "run", checked=True).manifest.files
    card = (config.out / "README.md").read_text("utf-8")
    assert "## Messages after step 4\n\n| a person | the model |\n|---|---|\n" in card
    assert card.count("| feat(module\\_") == 2
    told = [note for note in progress.notes if note.startswith("After step ")]
    assert len(told) == 4
    assert "(a person: feat(module_6): add 6 to the value)" in told[0]


def test_a_run_learns_the_same_with_and_without(config, tmp_path):
    """Dropout draws from the random state at each step, so a single draw for a sample would show."""
    for name, count in (("with", 3), ("without", 0)):
        train(replace(config, out=tmp_path / name, samples=count))
    files = [tmp_path / name / "adapters" / "adapters.safetensors" for name in ("with", "without")]
    assert sha256(files[0]) == sha256(files[1])
    figures = [
        [
            {key: value for key, value in line.items() if key not in TIMES}
            for line in lines(path.parent.parent, "metrics.jsonl")
        ]
        for path in files
    ]
    assert figures[0] == figures[1]
    assert not (tmp_path / "without" / SAMPLES).exists()


def test_a_resumed_run_has_each_sample_once(config, tmp_path):
    class Stopping(Silent):
        def start(self, title, total=None, unit=""):
            if title == "Sampling":
                raise KeyboardInterrupt
            return super().start(title, total, unit)

    train(replace(config, out=tmp_path / "unbroken"))
    with pytest.raises((KeyboardInterrupt, StoppedError)):
        train(config, progress=Stopping())
    resume(config.out)
    assert lines(config.out) == lines(tmp_path / "unbroken")


def test_what_a_model_writes_cannot_steer_a_terminal(config, monkeypatch):
    monkeypatch.setattr(samples_module, "complete", lambda *_, **__: "fix: \x1b[2J clear\nbody")
    progress = Noting()
    train(replace(config, steps=2, samples=1), progress=progress)
    assert lines(config.out)[0]["message"] == "fix: \x1b[2J clear\nbody"
    told = next(note for note in progress.notes if note.startswith("After step 2"))
    assert told.startswith("After step 2: fix: \ufffd[2J clear  (")


def test_an_empty_answer_is_called_so(config, monkeypatch):
    monkeypatch.setattr(samples_module, "complete", lambda *_, **__: "")
    progress = Noting()
    train(replace(config, steps=2, samples=1), progress=progress)
    assert not lines(config.out)[0]["valid"]
    assert any("(nothing)" in note for note in progress.notes)


def test_without_validation_records_there_is_nothing_to_sample(config, make_dataset):
    train(replace(config, data=make_dataset([make_record(1)], name="alone"), steps=1))
    assert not (config.out / SAMPLES).exists()
