"""What answers a prompt: the five things that an engine has, and MLX in this process, which has them.

Decides which model and adapter a name means, and how long a prompt it was trained for. The other engine is
`in_ollama`'s. Leaves the words of the prompt to `commit.prompt` and what becomes of the answer to `message`.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from joco_mlx import artifacts
from joco_mlx.commit.prompt import Template
from joco_mlx.config import RUNS_FOLDER, TrainConfig, default_of
from joco_mlx.models.batched import Reading
from joco_mlx.models.drafts import Constraint, Draft, Memory, draft
from joco_mlx.models.folder import ModelFolder
from joco_mlx.models.generate import complete
from joco_mlx.models.hub import locate
from joco_mlx.models.load import load_model, merge_exact
from joco_mlx.models.runs import RUN_FILE, Run, base_folder, open_run
from joco_mlx.models.tokens import Tokenizer
from joco_mlx.progress import Progress, task
from joco_mlx.suggest.grammar import Form

Watch: TypeAlias = Callable[[str], None]
"""Told the text of an answer so far, after each token; what it raises ends the answer."""


class Engine(Protocol):
    """Something that answers a prompt in one template."""

    @property
    def template(self) -> Template:
        """How it is spoken to."""

    @property
    def max_seq_length(self) -> int:
        """Tokens of prompt and answer that it was trained for."""

    def count(self, text: str) -> int:
        """Return how many tokens `text` has as text."""

    def complete(self, prompt: str, *, max_tokens: int, temperature: float, seed: int | None = None) -> str:
        """Return the answer to a rendered prompt; above temperature 0 the same one for the same seed."""

    def drafts(
        self,
        prompt: str,
        *,
        form: Form | None,
        temperatures: Sequence[float],
        max_tokens: int,
        watch: Watch | None = None,
    ) -> list[Draft]:
        """Return one answer for each temperature, held to `form` if there is one; `watch` may see them grow."""


@dataclass(frozen=True)
class Chosen:
    """The model that a name means."""

    folder: ModelFolder
    adapter: Path | None
    max_seq_length: int


class MlxEngine:
    """A model in this process's memory."""

    def __init__(self, chosen: Chosen, *, progress: Progress) -> None:
        self.template = chosen.folder.template
        self.max_seq_length = chosen.max_seq_length
        self._tokenizer = Tokenizer.from_folder(chosen.folder.path)
        self._constraint: Constraint | None = None
        self._memory = Memory()
        with task(progress, f"Loading {chosen.folder.name}"):
            self._model: Any = load_model(chosen.folder, adapter=chosen.adapter)
            merge_exact(self._model)

    def count(self, text: str) -> int:
        """Return how many tokens `text` has as text."""
        return self._tokenizer.count(text)

    def complete(self, prompt: str, *, max_tokens: int, temperature: float, seed: int | None = None) -> str:
        """Return the answer; without a seed and above temperature 0 another one each time."""
        return complete(
            self._model,
            self._tokenizer,
            self.template,
            prompt,
            max_tokens=max_tokens,
            temperature=temperature,
            seed=secrets.randbits(32) if seed is None else seed,
        )

    def answers(
        self, prompts: Sequence[str], *, form: Form | None, temperature: float, max_tokens: int, seeds: Sequence[int]
    ) -> list[Draft]:
        """Return one answer to each of several prompts; together they take less time than one after the other."""
        return self.read(prompts).drafts(
            range(len(prompts)),
            rules=(self.rules(), [form.grammar()] * len(prompts)) if form else None,
            temperature=temperature,
            max_tokens=max_tokens,
            seeds=seeds,
        )

    def read(self, prompts: Sequence[str]) -> Reading:
        """Return several prompts, read, for whoever answers them in steps."""
        return Reading(self._model, self._tokenizer, self.template, prompts)

    def drafts(
        self,
        prompt: str,
        *,
        form: Form | None,
        temperatures: Sequence[float],
        max_tokens: int,
        watch: Watch | None = None,
    ) -> list[Draft]:
        """Return one answer for each temperature; the likeliest for 0. The prompt is remembered for the next call."""
        return draft(
            self._model,
            self._tokenizer,
            self.template,
            prompt,
            rules=(self.rules(), form.grammar()) if form else None,
            temperatures=temperatures,
            max_tokens=max_tokens,
            seed=secrets.randbits(32),
            memory=self._memory,
            watch=watch,
        )

    def rules(self) -> Constraint:
        """Return what holds an answer to a grammar; made when it is first needed."""
        if self._constraint is None:
            self._constraint = Constraint(self._tokenizer, self.template)
        return self._constraint


def choose(model: str | None, *, progress: Progress) -> Chosen:
    """Find the model that `model` means: a run, a model folder, a registry or Hub name; None is the latest finished run.

    Raises:
        InputError: There is no such model, or no finished run.
        MachineError: It must be fetched and cannot be.
    """
    if model is None or is_run(model):
        return _of_run(open_run(model), progress)
    folder = locate(model, progress=progress)
    trained = _trained_length(folder)
    if trained is None:
        progress.note(f"{folder.name} was not trained on commit messages by joco-mlx; its answers may be in any form.")
    return Chosen(folder, None, trained or default_of(TrainConfig, "max_seq_length"))


def is_run(model: str) -> bool:
    """Whether a name means a run: a folder, or one in `runs/`."""
    return any((place / model / RUN_FILE).is_file() for place in (Path(), RUNS_FOLDER))


def _of_run(run: Run, progress: Progress) -> Chosen:
    return Chosen(base_folder(run, progress=progress), run.adapter, run.config.max_seq_length)


def _trained_length(folder: ModelFolder) -> int | None:
    """Return what `fuse` wrote down, or None for a model that is none of ours."""
    if not artifacts.is_finished(folder.path):
        return None
    found = artifacts.open_artifact(folder.path, "fused").manifest.config.get("max_seq_length")
    return found if isinstance(found, int) else None
