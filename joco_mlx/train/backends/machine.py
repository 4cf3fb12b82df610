"""What this machine has for training: system, card, driver and packages, found without importing any of them.

Decides where each fact is read: the card from `nvidia-smi`, versions from the installed packages' own records, the CUDA
that torch was built for from the text of its `version.py`. Importing torch takes seconds, and Unsloth raises at import
where there is no card. Leaves what follows from the facts to `verdicts`.
"""

import os
import platform
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from joco_mlx import process
from joco_mlx.errors import MachineError

PACKAGES = (
    "mlx", "mlx-lm", "mlx-cuda-12", "mlx-cuda-13", "torch", "transformers", "trl", "peft", "bitsandbytes", "unsloth",
)  # fmt: skip
"""What a backend may need."""
_QUERY = "--query-gpu=name,memory.total,driver_version,compute_cap"
_ANSWER_SECONDS = 5.0


@dataclass(frozen=True)
class Card:
    """An NVIDIA card, the first of the visible ones."""

    name: str
    memory_bytes: int
    driver: tuple[int, ...]
    """580, 65, 6 for driver 580.65.06."""
    capability: tuple[int, ...]
    """Compute capability: 8, 6."""


@dataclass(frozen=True)
class Machine:
    """What decides which backend can train here."""

    system: str
    """`darwin` or `linux`."""
    architecture: str
    """`arm64`, `x86_64`, `aarch64`."""
    card: Card | None = None
    card_problem: str | None = None
    """Why there is no card to use although there is a driver; None where nothing points to a card."""
    packages: Mapping[str, str] | None = None
    """Installed packages of PACKAGES -> version."""
    torch_cuda: tuple[int, ...] | None = None
    """CUDA that torch was built for; None without torch, and for a build without CUDA."""

    def version(self, package: str) -> str | None:
        """Return the version of an installed package."""
        return (self.packages or {}).get(package)

    @property
    def has_apple_gpu(self) -> bool:
        """Whether this is an Apple Silicon Mac."""
        return (self.system, self.architecture) == ("darwin", "arm64")


def this_machine() -> Machine:
    """Return what is here; takes as long as `nvidia-smi` does, and some milliseconds where there is none."""
    card, problem = _card()
    return Machine(sys.platform, platform.machine(), card, problem, _versions(), _torch_cuda())


def _card() -> tuple[Card | None, str | None]:
    if sys.platform == "darwin" or shutil.which("nvidia-smi") is None:
        return None, None
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return None, "CUDA_VISIBLE_DEVICES hides every card"
    try:
        done = process.run(("nvidia-smi", _QUERY, "--format=csv,noheader,nounits"), timeout_seconds=_ANSWER_SECONDS)
    except MachineError as problem:
        return None, problem.message
    lines = done.stdout.decode("utf-8", "replace").strip().splitlines()
    if done.code != 0 or not lines:
        said = lines[0] if lines else done.complaint
        return None, f"nvidia-smi says: {said}"
    return _parsed(lines[0])


def _parsed(line: str) -> tuple[Card | None, str | None]:
    """Read a line like `NVIDIA L4, 23034, 580.65.06, 8.9`."""
    try:
        name, megabytes, driver, capability = (field.strip() for field in line.rsplit(",", 3))
        return Card(name, int(megabytes) << 20, numbers(driver), numbers(capability)), None
    except ValueError:
        return None, f"nvidia-smi says: {line}"


def numbers(version: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with: 2.13.0+cpu -> 2, 13, 0; 5.17.0.dev1 -> 5, 17, 0.

    Raises:
        ValueError: It begins with none.
    """
    found = re.match(r"\d+(?:\.\d+)*", version)
    if found is None:
        raise ValueError(version)
    return tuple(map(int, found[0].split(".")))


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _torch_cuda() -> tuple[int, ...] | None:
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    try:
        text = Path(spec.origin).with_name("version.py").read_text("utf-8")
    except OSError:  # a torch that is laid out otherwise says nothing of CUDA
        return None
    found = re.search(r"^cuda\b[^=\n]*=\s*['\"]([\d.]+)['\"]", text, re.MULTILINE)
    return numbers(found[1]) if found else None
