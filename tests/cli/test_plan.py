"""`joco-mlx plan`: every figure of the memory plan, for this machine or another."""

import io
import json

import pytest
from rich.console import Console
from typer.testing import CliRunner

from joco_mlx.cli import render
from joco_mlx.cli.main import app
from joco_mlx.cli.plan import GUIDE_MODELS, MEMORY_COLUMNS, read_bytes
from joco_mlx.errors import UsageError


def planned(*words: str) -> dict:
    done = CliRunner().invoke(app, ["plan", *words, "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_the_guides_models_on_the_guides_machine():
    shown = planned("--memory", "5.46GB")
    assert shown["budget_bytes"] == 5_460_000_000
    assert [(made["model"], made["tokens"]) for made in shown["plans"]] == [
        (name, tokens) for name in GUIDE_MODELS for tokens in (1_024, 2_048)
    ]
    parts = ("weights", "adapters", "optimizer", "activations", "head")
    for made in shown["plans"]:
        assert made["total"] == sum(made[part] for part in parts)
        assert made["fits"] is (made["total"] <= 5_460_000_000)


def test_a_smaller_budget_is_a_smaller_form():
    forms = {
        size: planned("--memory", size)["plans"][3]["checkpointing"] for size in ("30GB", "5.46GB", "2.5GB", "1GB")
    }
    assert forms == {"30GB": "none", "5.46GB": "segments", "2.5GB": "layer", "1GB": "layer"}


@pytest.mark.parametrize("words", [[], ["--batch-size", "8"], ["--rank", "512"]], ids=["plain", "batch", "rank"])
def test_a_terminal_of_80_columns_breaks_no_word(monkeypatch, words):
    monkeypatch.setenv("COLUMNS", "80")
    shown = io.StringIO()
    monkeypatch.setattr(render, "_out", Console(file=shown, force_terminal=True, color_system=None, highlight=False))
    done = CliRunner().invoke(app, ["plan", "--memory", "5.46GB", *words])
    assert done.exit_code == 0, done.output
    heading, *lines = shown.getvalue().splitlines()
    assert heading.split() == ["model", "tokens", *MEMORY_COLUMNS, "fits"]
    rows = [line.split() for line in lines[: lines.index("")]]
    assert [row[:2] for row in rows] == [[name, tokens] for name in GUIDE_MODELS for tokens in ("1,024", "2,048")]
    assert {len(row) for row in rows} == {len(heading.split())}
    assert max(map(len, [heading, *lines])) <= 80


def test_what_the_headings_mean_is_said_below():
    shown = CliRunner().invoke(app, ["plan", "--memory", "5.46GB"]).output
    for heading in MEMORY_COLUMNS:
        assert f"{heading}:" in shown or heading == "total"


def test_what_does_not_fit_is_told_with_what_to_change():
    done = CliRunner().invoke(app, ["plan", "--memory", "1GB"])
    assert "no: fewer --max-seq-length tokens, or a smaller --model" in done.output


@pytest.mark.parametrize(("text", "size"), [("5.46GB", 5_460_000_000), ("8 GiB", 8 * 2**30), ("512mb", 512_000_000)])
def test_sizes(text, size):
    assert read_bytes(text) == size


@pytest.mark.parametrize("text", ["", "GB", "5", "-1GB", "five GB", "nanGB", "infGB"])
def test_what_is_no_size(text):
    with pytest.raises(UsageError, match="no size"):
        read_bytes(text)
