"""`joco-mlx plan`: every figure of the memory plan, for this machine or another."""

import json

import pytest
from typer.testing import CliRunner

from joco_mlx.cli.main import app
from joco_mlx.cli.plan import GUIDE_MODELS, read_bytes
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
