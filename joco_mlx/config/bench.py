"""What the commands of `bench` can be told."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from joco_mlx.config.agreed import ANSWER_TOKENS
from joco_mlx.config.options import option, require

EngineName = Literal["mlx", "ollama", "openai"]
PromptName = Literal["trained", "baseline-v1", "two-step"]
"""Of a benchmark; joco_mlx/bench/prompts.py has their words."""


@dataclass(frozen=True)
class BenchConfig:
    """How `bench run` asks a model or a baseline."""

    model: str | None = option(
        None,
        "Run, model folder, registry name, a server's name for a model, or baseline:NAME (majority, paths, tfidf, "
        "neighbour, style); the latest finished run when not given.",
    )
    engine: EngineName = option("mlx", "What answers: mlx (in this process), ollama or openai (a server).")
    url: str | None = option(None, "Address of the server; the engine's usual one on this machine when not given.")
    max_cases: int | None = option(None, "Ask only the first cases of the file.", spelt="--max")
    temperature: float = option(0.0, "Sampling temperature; 0 always gives the likeliest message.")
    max_tokens: int = option(ANSWER_TOKENS, "Longest answer in tokens.")
    timeout_seconds: float = option(120.0, "How long a server may take for one answer.", spelt="--timeout")
    prompt: PromptName = option("trained", "trained (ours), or the original's: baseline-v1 or two-step.")
    constrained: bool = option(False, "Let the model write valid headers of at most 72 characters only.")
    type_prior: Path | None = option(
        None, "Decide the type first, corrected by this file of `bench calibrate`; answers are constrained."
    )
    tried_types: int = option(1, "With --type-prior: types that get words; the likeliest type and words are taken.")
    batch_size: int = option(8, "Cases that a model in this process answers at once; 1 takes the least memory.")
    like: str | None = option(
        None, "Run that fits the diffs, for its base model or for a server's: its length, its tokens, and its dataset."
    )
    seed: int = option(0, "Seed of the answers and of the intervals.")
    train: Path | None = option(
        None, "Dataset that baselines learn from and that cases must not be in; the model's own when not given."
    )
    allow_leak: bool = option(False, "Leave out cases that were trained on, instead of refusing to run.")

    def __post_init__(self) -> None:
        """Refuse values that ask nothing."""
        require(self.max_cases is None or self.max_cases >= 1, "max_cases", self.max_cases, "at least 1")
        require(0 <= self.temperature <= 2, "temperature", self.temperature, "0 to 2")
        require(self.max_tokens >= 1, "max_tokens", self.max_tokens, "at least 1")
        require(self.timeout_seconds > 0, "timeout_seconds", self.timeout_seconds, "more than 0")
        require(self.batch_size >= 1, "batch_size", self.batch_size, "at least 1")
        ours = self.prompt == "trained" or not (self.constrained or self.type_prior)
        require(ours, "prompt", self.prompt, "trained when answers are constrained")
        require(1 <= self.tried_types <= 11, "tried_types", self.tried_types, "1 to 11")
        require(
            self.type_prior is None or self.engine == "mlx", "type_prior", self.type_prior, "used with --engine mlx"
        )
        require(self.seed >= 0, "seed", self.seed, "0 or more")


@dataclass(frozen=True)
class OpinionConfig:
    """Which model `bench judge` asks what it thinks of answers."""

    judge: str = option("", "Name of the model that marks, as its server knows it.")
    url: str | None = option(None, "OpenAI-compatible address; http://127.0.0.1:8080/v1 when not given.")
    timeout_seconds: float = option(120.0, "How long the server may take for one mark.", spelt="--timeout")
    seed: int = option(0, "Seed of the marks and of the interval.")

    def __post_init__(self) -> None:
        """Refuse values that ask nobody."""
        require(bool(self.judge.strip()), "judge", self.judge or "empty", "the name of a model")
        require(self.timeout_seconds > 0, "timeout_seconds", self.timeout_seconds, "more than 0")
