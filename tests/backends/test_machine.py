"""What is found of card, driver, packages and torch's CUDA, without importing any of them."""

import subprocess
import sys
from pathlib import Path

import pytest
from machine_fixture import put_card, put_package, put_stack

from joco_mlx.train.backends.machine import Card, numbers, this_machine


def test_a_card_is_read_from_its_own_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_card(tmp_path / "bin", monkeypatch)
    machine = this_machine()
    assert machine.card == Card("NVIDIA L4", 23034 << 20, (580, 65, 6), (8, 9))
    assert machine.card_problem is None


def test_without_the_program_nothing_points_to_a_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (this_machine().card, this_machine().card_problem) == (None, None)


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_hidden_cards_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hidden: str) -> None:
    put_card(tmp_path / "bin", monkeypatch)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert this_machine().card is None
    assert this_machine().card_problem == "CUDA_VISIBLE_DEVICES hides every card"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver.", 9),
        ("Failed to initialize NVML: Driver/library version mismatch", 18),
        ("No devices were found", 0),
    ],
)
def test_a_driver_that_does_not_answer_is_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, code: int
) -> None:
    put_card(tmp_path / "bin", monkeypatch, line, code=code)
    assert this_machine().card is None
    assert this_machine().card_problem == f"nvidia-smi says: {line}"


@pytest.mark.parametrize(("cuda", "found"), [("13.0", (13, 0)), ("12.8", (12, 8)), (None, None)])
def test_the_cuda_of_torch_is_read_without_importing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cuda: str | None, found: tuple[int, ...] | None
) -> None:
    put_stack(tmp_path, monkeypatch, cuda=cuda)
    machine = this_machine()
    assert machine.torch_cuda == found
    assert machine.version("torch") == "2.13.0"
    assert machine.version("unsloth") is None


@pytest.mark.parametrize(
    ("version", "found"), [("2.13.0+cpu", (2, 13, 0)), ("5.17.0.dev1", (5, 17, 0)), ("580.65.06", (580, 65, 6))]
)
def test_versions_are_read_as_far_as_they_are_numbers(version: str, found: tuple[int, ...]) -> None:
    assert numbers(version) == found


def test_a_version_without_numbers_is_none() -> None:
    with pytest.raises(ValueError, match="unknown"):
        numbers("unknown")


def test_choosing_imports_none_of_the_backends(tmp_path: Path) -> None:
    for name in ("torch", "trl", "unsloth", "bitsandbytes", "peft"):
        put_package(tmp_path, name, "1.0", cuda="13.0")
    program = (
        "import sys\n"
        "from joco_mlx.train.backends.machine import this_machine\n"
        "from joco_mlx.train.backends.verdicts import choose, verdicts\n"
        "machine = this_machine(); verdicts(machine); choose('auto', machine)\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={"PYTHONPATH": str(tmp_path)}
    )
    assert not {"torch", "trl", "unsloth", "peft", "transformers", "mlx", "mlx_lm", "numpy"} & set(done.stdout.split())
