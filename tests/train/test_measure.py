"""Hours from a few steps: the arithmetic to the digit, and real steps of a tiny model."""

import json
from dataclasses import replace

import pytest
from tiny_records import make_record
from typer.testing import CliRunner

from joco_mlx.cli.main import app
from joco_mlx.models.compute import mx
from joco_mlx.train import measure as measure_module
from joco_mlx.train.measure import between, measure

LONG = "diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -0,0 +1,40 @@\n" + "+    value = value + 1\n" * 40


@pytest.fixture
def config(tiny_config):
    records = [make_record(number) for number in range(5)] + [make_record(5, diff=LONG)]
    return tiny_config(
        records,
        [make_record(9)],
        steps=12,
        grad_accumulation=2,
        max_seq_length=1_024,
        eval_every=5,
        prompt_variants=0.0,
        out=None,
    )


@pytest.mark.parametrize(
    ("points", "tokens", "value"),
    [
        ([(100, 2.0)], 300, 6.0),
        ([(100, 2.0), (100, 2.0)], 50, 1.0),
        ([(100, 2.0), (300, 10.0)], 200, 6.0),
        ([(300, 10.0), (100, 2.0)], 400, 14.0),
        ([(100, 2.0), (300, 10.0)], 50, 1.0),
        ([(100, 2.0), (300, 1.0)], 600, 0.0),
    ],
)
def test_a_line_through_what_was_measured(points, tokens, value):
    assert between(points, tokens) == pytest.approx(value)


def test_the_commonest_and_the_largest_shape_are_timed(config):
    found = measure(config)
    assert [shape.tokens for shape in found.shapes] == sorted(shape.tokens for shape in found.shapes)
    assert len(found.shapes) == 2
    assert all(shape.seconds > 0 and shape.validation_seconds > 0 for shape in found.shapes)
    assert all(shape.peak_bytes <= shape.planned_bytes * 1.5 for shape in found.shapes)
    assert (found.steps, found.batches, found.validations) == (12, 24, 3)


def test_what_the_process_held_before_is_no_part_of_the_peak(config):
    held = mx.zeros((64 << 20,), mx.uint8)
    mx.eval(held)
    found = measure(config)
    assert all(shape.peak_bytes < held.nbytes for shape in found.shapes)


def test_the_hours_are_those_of_all_batches_updates_and_validations(config, monkeypatch):
    """Each batch takes a second for 64 tokens, each loss a quarter of it, each update two seconds."""

    def timed(step, prepared, batch, shape, shown):
        return measure_module.Timed(*shape, "none", shape.tokens / 64, shape.tokens / 256, 2.0, 1, 1)

    monkeypatch.setattr(measure_module, "_timed", timed)
    found = measure(config)
    short, long = found.shapes
    mean = (5 * short.tokens + long.tokens) / 6 / 64
    assert found.training_hours * 3_600 == pytest.approx(24 * mean + 12 * 2.0)
    assert found.step_seconds == pytest.approx(2 * mean + 2.0)
    assert found.validation_hours * 3_600 == pytest.approx(3 * short.tokens / 256)
    assert found.hours == found.training_hours + found.validation_hours


def test_without_validation_none_is_counted(config, make_dataset):
    found = measure(replace(config, data=make_dataset([make_record(1)], name="alone")))
    assert (found.validations, found.validation_hours) == (0, 0.0)
    assert len(found.shapes) == 1


def test_the_command_prints_hours_and_json(config):
    words = ["--model", config.model, "--data", str(config.data), "--steps", "12", "--max-seq-length", "1024"]
    shown = CliRunner().invoke(app, ["plan", "--measure", *words])
    assert shown.exit_code == 0, shown.output
    assert "12 steps of " in shown.output
    assert "In all about 0.00 hours." in shown.output
    found = json.loads(CliRunner().invoke(app, ["plan", "--measure", *words, "--json"]).stdout)
    assert found["hours"] == pytest.approx(found["training_hours"] + found["validation_hours"])
    assert {shape["checkpointing"] for shape in found["shapes"]} == {"none"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--measure", "--memory", "5GB"], "--memory plans for another machine"),
        (["--model", "x"], "--model x is for --measure only"),
        (["--steps", "5"], "--steps 5 is for --measure only"),
    ],
)
def test_what_does_not_go_together(words, message):
    done = CliRunner().invoke(app, ["plan", *words])
    assert done.exit_code != 0
    assert message in str(done.exception) + done.output
