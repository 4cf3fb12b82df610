"""Which model answers, and where, when a person says little or nothing.

Decides the order: what is named, here before in Ollama; when nothing is, Ollama's `joco` if it is there, else the latest
finished run. An Ollama on another computer is only asked when somebody names it: a diff leaves no machine by default.
"""

from dataclasses import dataclass
from pathlib import Path

from joco_mlx.config import OLLAMA_MODEL, SuggestConfig, SuggestEngine
from joco_mlx.models import registry
from joco_mlx.ollama.server import Server
from joco_mlx.progress import Progress
from joco_mlx.suggest.engines import Engine, MlxEngine, choose, is_run
from joco_mlx.suggest.in_ollama import OllamaEngine, has_model


@dataclass(frozen=True)
class Choice:
    """A model and what runs it."""

    engine: SuggestEngine
    model: str | None
    """None is the latest finished run."""

    @property
    def name(self) -> str:
        """What a person calls it."""
        return self.model or "the latest finished run"


def decide(config: SuggestConfig) -> Choice:
    """Return what answers under `config`; asks Ollama only when that could change the answer."""
    if config.engine == "ollama":
        return Choice("ollama", config.model or OLLAMA_MODEL)
    if config.engine == "mlx" or (config.model is not None and is_here(config.model)):
        return Choice("mlx", config.model)
    server, wanted = Server.at(config.url), config.model or OLLAMA_MODEL
    may_ask = server.is_here or config.url is not None
    return Choice("ollama", wanted) if may_ask and has_model(wanted, server) else Choice("mlx", config.model)


def open_engine(config: SuggestConfig, *, progress: Progress) -> Engine:
    """Load what answers under `config`, or find it in Ollama.

    Raises:
        InputError: There is no such model.
        MachineError: It must be fetched and cannot be, or no Ollama answers.
    """
    choice = decide(config)
    if choice.engine == "ollama" and choice.model is not None:
        return OllamaEngine(choice.model, Server.at(config.url))
    return MlxEngine(choose(choice.model, progress=progress), progress=progress)


def is_here(model: str) -> bool:
    """Whether a name means a run, a base model of the registry, or something on this disk."""
    return is_run(model) or registry.find(model) is not None or Path(model).expanduser().exists()
