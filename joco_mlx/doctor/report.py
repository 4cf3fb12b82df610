"""What an examination found, and which of it stands in the way.

Decides the shape of `joco-mlx doctor --json` and what the exit code follows: a problem that keeps the default way from
working is blocking, anything else is advice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from joco_mlx.train.backends.verdicts import Verdict


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and the command that repairs it."""

    what: str
    fix: str
    blocking: bool = False
    """Whether training, or writing a GGUF, cannot work before it is repaired."""


@dataclass(frozen=True)
class Package:
    """One installed package beside what is supported."""

    version: str
    supported: str
    """A range, as requirements are written."""
    is_supported: bool


@dataclass(frozen=True)
class Hub:
    """The model hub, from here."""

    address: str
    reachable: bool
    reason: str


@dataclass(frozen=True)
class Ollama:
    """Ollama, from here."""

    installed: bool
    """Whether the program is on PATH."""
    running: bool
    version: str | None
    new_enough: bool
    reason: str


@dataclass(frozen=True)
class Disk:
    """Room below the current folder, and what the default model takes."""

    free_bytes: int
    download_bytes: int
    training_bytes: int
    export_bytes: int

    @property
    def needed_bytes(self) -> int:
        """All three together."""
        return self.download_bytes + self.training_bytes + self.export_bytes


@dataclass(frozen=True)
class Report:
    """Everything that was found."""

    platform: Mapping[str, str]
    memory: Mapping[str, int]
    """`physical_bytes` and `budget_bytes`, what training may plan for."""
    device: str
    """What MLX computes on: metal, cuda or cpu."""
    card: Mapping[str, Any] | None
    """The NVIDIA card: name, memory_bytes, driver, capability."""
    backends: Mapping[str, Verdict]
    auto: str | None
    """What `--backend auto` takes."""
    packages: Mapping[str, Package]
    hub: Hub
    ollama: Ollama
    disk: Disk
    blas: str | None
    """The fast BLAS that MLX's CPU backend uses; None where none is needed, too."""
    problems: Sequence[Problem]

    @property
    def is_able(self) -> bool:
        """Whether nothing stands in the way."""
        return not any(problem.blocking for problem in self.problems)

    def to_json(self) -> dict[str, Any]:
        """Return it as `joco-mlx doctor --json` prints it."""
        return {**asdict(self), "able": self.is_able}
