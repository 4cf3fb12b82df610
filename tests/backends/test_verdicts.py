"""Which backend trains where: a table of machines, and what repairs each."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from joco_mlx.config import Backend
from joco_mlx.errors import MachineError
from joco_mlx.train.backends.machine import Card, Machine
from joco_mlx.train.backends.verdicts import SUPPORTED, choose, out_of_range, verdicts

MLX = {"mlx": "0.32.4", "mlx-lm": "0.32.2"}
CUDA = {
    **MLX, "torch": "2.13.0", "transformers": "5.23.0", "trl": "1.16.0", "peft": "0.21.2", "bitsandbytes": "0.50.2",
}  # fmt: skip
UNSLOTH = {**CUDA, "unsloth": "2026.10.8", "trl": "1.15.0", "transformers": "5.17.0"}
L4 = Card("NVIDIA L4", 23 << 30, (580, 65, 6), (8, 9))
OLD_DRIVER = Card("NVIDIA L4", 23 << 30, (535, 183, 1), (8, 9))
OLD_CARD = Card("Tesla P4", 8 << 30, (580, 65, 6), (6, 1))


def linux(card: Card | None = None, packages: dict[str, str] = CUDA, cuda: Any = (13, 0), **more: Any) -> Machine:
    return Machine("linux", "x86_64", card, packages=packages, torch_cuda=cuda, **more)


MAC = Machine("darwin", "arm64", packages=MLX)
INTEL_MAC = Machine("darwin", "x86_64", packages=MLX)


@pytest.mark.parametrize(
    ("machine", "chosen"),
    [
        pytest.param(MAC, "mlx", id="Apple Silicon"),
        pytest.param(linux(), "mlx", id="no card"),
        pytest.param(linux(L4, UNSLOTH), "unsloth", id="card with everything"),
        pytest.param(linux(L4), "trl", id="card without Unsloth"),
        pytest.param(linux(L4, MLX, None), "mlx", id="card without torch"),
        pytest.param(linux(L4, {**MLX, "mlx-cuda-13": "0.32.4"}, None), "mlx", id="card with MLX for it"),
        pytest.param(linux(L4, UNSLOTH, None), "mlx", id="torch without CUDA"),
        pytest.param(linux(OLD_DRIVER, UNSLOTH), "mlx", id="old driver"),
        pytest.param(linux(OLD_DRIVER, UNSLOTH, (12, 8)), "unsloth", id="old driver with a torch for it"),
        pytest.param(linux(L4, {**UNSLOTH, "unsloth": "2025.7.1"}), "trl", id="Unsloth of last year"),
    ],
)
def test_auto_takes_the_best_that_is_able(machine: Machine, chosen: str) -> None:
    assert choose("auto", machine)[0] == chosen


@pytest.mark.parametrize(
    ("machine", "backend", "reason", "fix"),
    [
        pytest.param(MAC, "trl", "on Linux only", "--backend mlx", id="TRL on a Mac"),
        pytest.param(linux(packages=UNSLOTH), "unsloth", "needs an NVIDIA card", "--backend trl", id="no card"),
        pytest.param(linux(L4, MLX), "trl", "torch, transformers, trl, peft are not", "joco-mlx[cuda]", id="no torch"),
        pytest.param(linux(L4, CUDA), "unsloth", "unsloth is not installed", "joco-mlx[unsloth]", id="missing extra"),
        pytest.param(linux(L4, CUDA, None), "trl", "built without CUDA", "--reinstall torch", id="torch without CUDA"),
        pytest.param(linux(OLD_DRIVER), "trl", "535.183.1, and CUDA 13 needs 580", "driver 580", id="old driver"),
        pytest.param(linux(OLD_CARD), "trl", "compute capability 6.1", "--backend mlx", id="old card"),
        pytest.param(linux(packages={**CUDA, "trl": "1.17.0"}), "trl", "trl is 1.17.0", "joco-mlx[cuda]", id="new TRL"),
        pytest.param(linux(packages={**CUDA, "peft": "0.20.9"}), "trl", "peft is 0.20.9", "[cuda]", id="old PEFT"),
        pytest.param(INTEL_MAC, "mlx", "Intel Mac", "another machine", id="Intel"),
        pytest.param(linux(packages={"mlx": "0.31.0"}), "mlx", "mlx-lm is not installed", "install", id="no mlx-lm"),
    ],
)
def test_an_explicit_choice_is_refused_and_never_replaced(
    machine: Machine, backend: Backend, reason: str, fix: str
) -> None:
    with pytest.raises(MachineError, match=re.escape(reason)) as refused:
        choose(backend, machine)
    assert f"--backend {backend} cannot train here" in refused.value.message
    assert fix in refused.value.hint


def test_trl_trains_on_a_cpu_when_it_is_asked_to() -> None:
    chosen, reason = choose("trl", linux(cuda=None))
    assert (chosen, reason) == ("trl", "TRL on the CPU in float32, which is slow")


def test_a_card_that_is_not_used_is_named() -> None:
    verdict = verdicts(linux(L4, MLX, None))["mlx"]
    assert verdict.usable
    assert "NVIDIA L4 is not used" in verdict.reason
    assert verdict.fix is not None


def test_why_there_is_no_card_is_passed_on() -> None:
    machine = linux(packages=MLX, card_problem="CUDA_VISIBLE_DEVICES hides every card")
    assert "hides every card" in choose("auto", machine)[1]


def test_nothing_is_able_on_an_intel_mac() -> None:
    with pytest.raises(MachineError, match="Nothing can train here"):
        choose("auto", INTEL_MAC)


@pytest.mark.parametrize(
    ("package", "version", "is_supported"),
    [
        ("trl", "1.14.9", False), ("trl", "1.15.0", True), ("trl", "1.16.3", True), ("trl", "1.17.0", False),
        ("transformers", "6.0.0", False), ("unsloth", "2026.10.7", True), ("unsloth", "2025.7.11", False),
        ("bitsandbytes", "1.0", True), ("unknown", "0.1", True),
    ],
)  # fmt: skip
def test_ranges(package: str, version: str, is_supported: bool) -> None:
    assert (out_of_range(package, version) is None) == is_supported


def test_the_ranges_are_those_that_are_installed() -> None:
    """pyproject.toml asks for exactly what the verdicts accept."""
    document = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    extras = document["optional-dependencies"]
    declared = {}
    for entry in [*document["dependencies"], *extras["cuda"], *extras["unsloth"]]:
        found = re.match(r"([\w-]+)(?:\[\w+\])?>=([\d.]+)(?:,<([\d.]+))?", entry)
        assert found, entry
        declared[found[1]] = (found[2], found[3])
    assert {name: declared[name] for name in SUPPORTED} == dict(SUPPORTED)
