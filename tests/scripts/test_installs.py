"""The check of the install sets notices a resolver that steps back, and one that leaves a package out."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "scripts" / "proofs"))

import installs

GOOD = {
    "torch": "2.14.1", "unsloth": "2026.10.9", "unsloth-zoo": "2026.10.7", "transformers": "5.17.0", "trl": "1.15.0",
    "peft": "0.21.2", "bitsandbytes": "0.50.2", "mlx": "0.32.4", "mlx-lm": "0.32.2",
}  # fmt: skip


def test_a_set_of_today_is_accepted() -> None:
    assert installs.steps_back("unsloth", GOOD) == []


@pytest.mark.parametrize(
    ("name", "version"), [("unsloth", "2025.7.11"), ("unsloth-zoo", "2025.7.11"), ("trl", "0.24.0"), ("torch", "2.7.1")]
)
def test_a_step_back_is_named(name: str, version: str) -> None:
    (complaint,) = installs.steps_back("unsloth", {**GOOD, name: version})
    assert complaint.startswith(f"{name} went back to {version}")


def test_a_package_that_is_left_out_is_named() -> None:
    left = {name: version for name, version in GOOD.items() if name != "bitsandbytes"}
    assert installs.steps_back("unsloth", left) == ["bitsandbytes is not in it"]


def test_every_package_has_a_floor() -> None:
    assert {name for names in installs.SETS.values() for name in names} <= set(installs.FLOORS)


def test_what_did_not_resolve_is_reported() -> None:
    text = installs.report([installs.Resolved("cuda", {}, ["does not resolve: no such version"])])
    assert "| `cuda` |  | does not resolve: no such version |" in text
