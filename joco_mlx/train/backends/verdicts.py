"""Which backend can train on a machine, why not the others, and what repairs that.

Decides from facts alone, so that every case can be put on a table. `auto` takes the first that is able: MLX on Apple
Silicon; on Linux with a card Unsloth, then TRL, then MLX. An explicit choice is never replaced by another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from joco_mlx.config import Backend
from joco_mlx.errors import MachineError
from joco_mlx.train.backends.machine import Card, Machine, numbers

Trainer = Literal["mlx", "trl", "unsloth"]
"""A backend that trains inside this tool."""

SUPPORTED: Mapping[str, tuple[str, str | None]] = {
    "mlx": ("0.32.4", "0.33"),
    "mlx-lm": ("0.32.2", "0.33"),
    "transformers": ("5.17", "6"),
    "trl": ("1.15", "1.17"),
    "peft": ("0.21", "0.22"),
    "bitsandbytes": ("0.50", None),
    "unsloth": ("2026.10.7", None),
}
"""Package -> the first version that is supported, and the first that is not. pyproject.toml says the same."""
CUDA_EXTRA = "uv pip install 'joco-mlx[cuda]'"
UNSLOTH_EXTRA = "uv pip install 'joco-mlx[unsloth]'"
_OLDEST_DRIVER = {13: 580, 12: 525, 11: 450}
"""CUDA's major version -> the first driver that runs it (CUDA toolkit release notes, minor version compatibility)."""
_LEAST_CAPABILITY = (7, 0)
"""Volta: what Unsloth's and bitsandbytes' kernels need."""


@dataclass(frozen=True)
class Verdict:
    """Whether a backend can train, in one sentence, and the command that makes it able."""

    usable: bool
    reason: str
    fix: str | None = None


def verdicts(machine: Machine) -> dict[Trainer, Verdict]:
    """Return what can be said of every backend on `machine`."""
    return {"mlx": _mlx(machine), "trl": _trl(machine), "unsloth": _unsloth(machine)}


def choose(wanted: Backend, machine: Machine) -> tuple[Trainer, str]:
    """Return the backend to train with, and a sentence on why it is this one.

    Args:
        wanted: A backend, or `auto`.
        machine: From `machine.this_machine`.

    Raises:
        MachineError: What is wanted cannot train here; the reason and the repair are told.
    """
    found = verdicts(machine)
    if wanted != "auto":
        named = next(name for name in get_args(Trainer) if name == wanted)
        if not found[named].usable:
            raise MachineError(f"--backend {named} cannot train here: {found[named].reason}.", found[named].fix or "")
        return named, found[named].reason
    order: Sequence[Trainer] = ("unsloth", "trl", "mlx") if machine.card else ("mlx",)
    for name in order:
        if found[name].usable:
            return name, found[name].reason
    raise MachineError(f"Nothing can train here: {found['mlx'].reason}.", found["mlx"].fix or "joco-mlx doctor")


def _mlx(machine: Machine) -> Verdict:
    if machine.system == "darwin" and not machine.has_apple_gpu:
        return Verdict(False, "MLX needs Apple Silicon, and this is an Intel Mac", "Train on another machine.")
    wrong = _packages(machine, ("mlx", "mlx-lm"), "uv pip install joco-mlx")
    if wrong:
        return wrong
    if machine.has_apple_gpu:
        return Verdict(True, "MLX on Metal")
    cuda = next((major for major in (13, 12) if machine.version(f"mlx-cuda-{major}")), None)
    if machine.card and cuda:
        old = _driver(machine.card, cuda)
        return old or Verdict(True, f"MLX on {machine.card.name}, experimental: it has not been run on a card yet")
    slow = "MLX on the CPU, which is slow: minutes for a small model, days for a large one"
    if machine.card:
        return Verdict(True, f"{slow}; {machine.card.name} is not used", CUDA_EXTRA)
    return Verdict(True, f"{slow}{_why_no_card(machine)}")


def _trl(machine: Machine) -> Verdict:
    if machine.system != "linux":
        return Verdict(False, "TRL is supported on Linux only", "Use --backend mlx.")
    wrong = _packages(machine, ("torch", "transformers", "trl", "peft"), CUDA_EXTRA)
    if wrong:
        return wrong
    if machine.card is None:
        return Verdict(True, f"TRL on the CPU in float32, which is slow{_why_no_card(machine)}")
    return (
        _packages(machine, ("bitsandbytes",), CUDA_EXTRA)
        or _torch_on(machine, machine.card)
        or Verdict(True, f"TRL on {machine.card.name}")
    )


def _unsloth(machine: Machine) -> Verdict:
    if machine.system != "linux":
        return Verdict(False, "Unsloth is supported on Linux only", "Use --backend mlx.")
    if machine.card is None:
        return Verdict(False, f"Unsloth needs an NVIDIA card{_why_no_card(machine)}", "Use --backend trl or mlx.")
    return (
        _packages(machine, ("unsloth", "torch", "transformers", "trl", "peft", "bitsandbytes"), UNSLOTH_EXTRA)
        or _torch_on(machine, machine.card)
        or Verdict(True, f"Unsloth on {machine.card.name}")
    )


def _packages(machine: Machine, names: Sequence[str], fix: str) -> Verdict | None:
    absent = [name for name in names if machine.version(name) is None]
    if absent:
        return Verdict(False, f"{', '.join(absent)} {'is' if len(absent) == 1 else 'are'} not installed", fix)
    wrong = [text for name in names if (text := out_of_range(name, machine.version(name) or ""))]
    return Verdict(False, "; ".join(wrong), fix) if wrong else None


def out_of_range(package: str, version: str) -> str | None:
    """Return what is wrong with the version of a package, or None when it is supported or has no range."""
    first, end = SUPPORTED.get(package, ("0", None))
    have = numbers(version)
    if have >= numbers(first) and (end is None or have < numbers(end)):
        return None
    return f"{package} is {version}, and {first} or newer{f', older than {end},' if end else ''} is supported"


def _torch_on(machine: Machine, card: Card) -> Verdict | None:
    """Whether torch and the driver can use the card."""
    if machine.torch_cuda is None:
        text = f"torch {machine.version('torch')} was built without CUDA, so it cannot use {card.name}"
        return Verdict(False, text, "uv pip install --reinstall torch")
    if card.capability < _LEAST_CAPABILITY:
        shown = ".".join(map(str, card.capability))
        return Verdict(False, f"{card.name} has compute capability {shown}, and 7.0 is needed", "Use --backend mlx.")
    return _driver(card, machine.torch_cuda[0])


def _driver(card: Card, cuda: int) -> Verdict | None:
    oldest = _OLDEST_DRIVER.get(cuda, max(_OLDEST_DRIVER.values()))
    if card.driver[0] >= oldest:
        return None
    shown = ".".join(map(str, card.driver))
    return Verdict(
        False,
        f"the NVIDIA driver is {shown}, and CUDA {cuda} needs {oldest} or newer",
        f"Install the driver {oldest} or newer (Ubuntu: sudo ubuntu-drivers install), then restart.",
    )


def _why_no_card(machine: Machine) -> str:
    return f" ({machine.card_problem})" if machine.card_problem else ""
