"""What can be told to whoever answers a diff with a message: once, or as a server."""

from dataclasses import dataclass
from typing import Literal

from joco_mlx.config.agreed import ANSWER_TOKENS, OLLAMA_MODEL
from joco_mlx.config.options import option, require

SuggestEngine = Literal["mlx", "ollama"]


@dataclass(frozen=True)
class SuggestConfig:
    """How `suggest` writes a message."""

    model: str | None = option(
        None,
        f"Run, model folder, registry name or model in Ollama; when not given, Ollama's {OLLAMA_MODEL} if it is "
        "there, else the latest finished run.",
    )
    engine: SuggestEngine | None = option(
        None, "What answers: mlx (in this process) or ollama; whichever has the model when not given."
    )
    url: str | None = option(None, "Address of Ollama; OLLAMA_HOST, else http://127.0.0.1:11434.")
    temperature: float = option(0.0, "Sampling temperature; 0 always gives the likeliest message.")
    max_tokens: int = option(ANSWER_TOKENS, "Longest answer in tokens.")
    candidates: int = option(1, "Different messages to offer, best first.")
    constrained: bool = option(True, "Let the model write valid headers of at most 72 characters only.")
    body: bool = option(False, "Let a body follow the header.")
    keep_edits: bool = option(
        False, "Let the hook keep, on this computer, each diff with what it suggested and what was committed."
    )

    def __post_init__(self) -> None:
        """Refuse values that no model can use."""
        require(1 <= self.candidates <= 20, "candidates", self.candidates, "1 to 20")
        require(self.max_tokens >= 1, "max_tokens", self.max_tokens, "at least 1")
        require(0 <= self.temperature <= 5, "temperature", self.temperature, "0 to 5")


@dataclass(frozen=True)
class ServeConfig:
    """How `serve` lets other programs on this computer ask the model."""

    model: str | None = option(None, "Run, model folder or registry name; the latest finished run when not given.")
    port: int = option(11_435, "Port on 127.0.0.1, beside Ollama's 11434; 0 takes a free one.")
    name: str = option(OLLAMA_MODEL, "Name that other programs know the model by.")
    timeout_seconds: float = option(120.0, "Longest time for one answer.", spelt="--timeout")

    def __post_init__(self) -> None:
        """Refuse values that serve nobody."""
        require(0 <= self.port <= 65_535, "port", self.port, "0 to 65535")
        require(bool(self.name.strip()), "name", self.name, "a word")
        require(self.timeout_seconds > 0, "timeout_seconds", self.timeout_seconds, "more than 0")
