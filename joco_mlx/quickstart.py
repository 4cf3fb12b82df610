"""The whole line on one model: dataset, training, GGUF and Modelfile, with messages before and after.

Decides what is shown and measured. Everything else is the stages', called as the command line calls them. A message is
judged as the model wrote it, free and uncleaned: strict validity means that commitlint would take it.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from joco_mlx.commit.message import is_valid
from joco_mlx.commit.prompt import diff_budget, render, user_text
from joco_mlx.commit.record import Record
from joco_mlx.config import FuseConfig, TrainConfig
from joco_mlx.export import OllamaFiles, export_run
from joco_mlx.models.compute import matmul_rate
from joco_mlx.models.registry import BaseModel
from joco_mlx.models.runs import Run, open_run
from joco_mlx.progress import Progress, Silent, task
from joco_mlx.suggest.engines import Engine, MlxEngine, choose
from joco_mlx.train.data import find_dataset, read_splits
from joco_mlx.train.run import train

ANSWER_TOKENS = 48
"""A longer answer is no header of a commit; the untuned model rambles to the end of any limit."""
CASES = 20
"""Validation records that are answered: each costs six seconds on two busy cores, twice."""
SHOWN = 3


_CHARS_PER_TOKEN = 3.3
"""Of a diff, in Qwen's vocabulary and in SmolLM2's."""
_LINK_BITS_PER_SECOND = 50e6


@dataclass(frozen=True)
class Cost:
    """What a quickstart will take, estimated before anything is fetched."""

    download_bytes: int
    disk_bytes: int
    """Base model, adapter and GGUF."""
    download_seconds: float
    """At 50 Mbit/s; nothing when the model is there already."""
    training_seconds: float
    """From a matrix product on this machine; no more than a guess within a factor of two."""


def estimate(config: TrainConfig, base: BaseModel) -> Cost:
    """Return what `quickstart` will take for a model of the registry."""
    records = read_splits(find_dataset(config.data)).train
    tokens = sum(min(len(record.input) / _CHARS_PER_TOKEN, config.max_seq_length) for record in records) / len(records)
    shape = base.shape
    weights = shape.parameters - shape.vocabulary * shape.hidden
    # Two operations a weight and token forward, two backward: the weights themselves get no gradient.
    work = 4 * weights * tokens * config.steps * config.grad_accumulation * config.batch_size
    return Cost(
        download_bytes=base.download_bytes,
        disk_bytes=round(2.3 * base.download_bytes),
        download_seconds=8 * base.download_bytes / _LINK_BITS_PER_SECOND,
        training_seconds=work / matmul_rate(),
    )


@dataclass(frozen=True)
class Case:
    """One held-out commit and what was written for it."""

    record: Record
    base: str
    tuned: str


@dataclass(frozen=True)
class Report:
    """What the quickstart made and measured."""

    run: Run
    files: OllamaFiles
    cases: tuple[Case, ...]
    validation_records: int
    seconds: dict[str, float]
    """Stage -> wall seconds."""

    @property
    def valid_before(self) -> int:
        """Messages of the base model that are strictly valid."""
        return sum(is_valid(case.base) for case in self.cases)

    @property
    def valid_after(self) -> int:
        """Messages of the tuned model that are strictly valid."""
        return sum(is_valid(case.tuned) for case in self.cases)

    @property
    def shown(self) -> tuple[Case, ...]:
        """The cases to look at: of different types as far as there are, the newest first."""
        firsts = {case.record.metadata.type: case for case in reversed(self.cases)}
        others = [case for case in self.cases if case not in firsts.values()]
        return (*firsts.values(), *others)[:SHOWN]


def quickstart(config: TrainConfig, *, progress: Progress | None = None) -> Report:
    """Train, export and compare with the base model.

    Args:
        config: As for `train`; the GGUF and the Modelfile go into the run's folder `ollama`.
        progress: Who watches.

    Raises:
        JocoError: As for `train` and `export_run`.
    """
    shown = progress or Silent()
    seconds: dict[str, float] = {}
    splits = read_splits(find_dataset(config.data))
    cases = splits.validation[:CASES]
    with _timed(seconds, "base model's messages"):
        before = _messages(config.model, config.max_seq_length, cases, "Base model's messages", shown)
    with _timed(seconds, "training"):
        run = open_run(train(config, progress=shown).folder)
    with _timed(seconds, "tuned model's messages"):
        after = _messages(str(run.folder), config.max_seq_length, cases, "Tuned model's messages", shown)
    with _timed(seconds, "export and verification"):
        files = export_run(FuseConfig(out=run.folder / "ollama"), run, progress=shown)
    made = tuple(Case(*triple) for triple in zip(cases, before, after, strict=True))
    return Report(run, files, made, splits.validation_size, seconds)


def _messages(model: str, max_seq_length: int, records: Sequence[Record], title: str, progress: Progress) -> list[str]:
    """Return a model's greedy answer to the diff of each record."""
    chosen = replace(choose(model, progress=Silent()), max_seq_length=max_seq_length)
    engine: Engine = MlxEngine(chosen, progress=progress)
    budget = diff_budget(engine.template, engine.max_seq_length, engine.count)
    answers = []
    with task(progress, title, len(records), "diffs") as shown:
        for record in records:
            prompt = render(engine.template, user_text(record.input, budget, engine.count))
            answers.append(engine.complete(prompt, max_tokens=ANSWER_TOKENS, temperature=0.0))
            shown.advance(1)
    return answers


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    seconds[stage] = time.monotonic() - began
