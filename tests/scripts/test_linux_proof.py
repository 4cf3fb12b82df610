"""The page of the Linux proof, and what it counts as equal losses."""

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[2] / "scripts" / "proofs"))

import linux
from linux_page import page

FIGURES: list[dict[str, Any]] = [
    {"name": "peft", "value": {"kind": "dora", "logits": 1e-6, "fused": 2e-7, "back": 0.0}},
    {"name": "trained", "value": {"kind": "lora", "base": "nf4", "loss": [7.0, 6.5], "logits": 3e-6}},
    {"name": "rows", "value": {"who": "read by TRL", "equal": 200}},
]
CURVES = {"losses": {"mlx": [4.0, 2.0], "trl": [4.0, 2.01]}, "seconds": {"mlx": 1.0, "trl": 2.0}}


def test_losses_are_apart_by_the_widest_step() -> None:
    assert linux.apart(CURVES["losses"]) == pytest.approx(0.005)
    assert linux.apart({"mlx": [1.0], "trl": [1.02]}) > linux.CLOSE


def test_losses_of_unlike_lengths_are_no_comparison() -> None:
    with pytest.raises(ValueError, match="shorter"):
        linux.apart({"mlx": [1.0, 2.0], "trl": [1.0]})


def test_the_page_says_what_was_measured_and_what_was_not() -> None:
    text = page(FIGURES, CURVES, 0.005, "30 passed, 3 skipped", {"torch": "2.13.0"}, 61.0)
    for part in ("| dora | 1.0e-06 | 2.0e-07 |", "| lora | nf4 | 7.000 to 6.500 |", "| read by TRL | 200 of 200 |"):
        assert part in text
    assert "differ by 0.500% at most" in text
    assert "No card was used" in text


def test_what_was_left_out_is_said() -> None:
    assert "SmolLM2 was left out" in page(FIGURES, None, None, "30 passed", {}, 1.0)


def test_figures_of_a_card_stand_by_themselves() -> None:
    card = {"backend": "trl", "card": "NVIDIA L4", "tokens_per_second": 1234.5, "peak_bytes": 2_000_000_000}
    text = page([{"name": "card", "value": card}], None, None, "1 passed", {}, 1.0)
    assert "| trl | NVIDIA L4 | 1,234 | 2.00 GB |" in text
    assert "No card was used" not in text
