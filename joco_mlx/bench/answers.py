"""What a model's name means: a baseline, a model in this process, or a model behind a server.

Nothing heavy is loaded before `Subject.open`: a run that is already finished needs no model, and a baseline never does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from joco_mlx import artifacts
from joco_mlx.bench import baselines
from joco_mlx.bench.prompts import PROMPTS
from joco_mlx.bench.servers import Server
from joco_mlx.bench.subject import DIFF_MARK, Answerer, Subject, one_by_one
from joco_mlx.commit.fit import CountTokens
from joco_mlx.commit.prompt import SYSTEM, TEMPLATES, diff_budget, user_text
from joco_mlx.commit.record import Record, read_records
from joco_mlx.config import BenchConfig, TrainConfig, default_of
from joco_mlx.errors import InputError, UsageError
from joco_mlx.models.runs import base_folder, open_run
from joco_mlx.models.tokens import Tokenizer
from joco_mlx.progress import Progress
from joco_mlx.suggest.grammar import Form

CHARS_PER_TOKEN = 3
"""A server does not say how many tokens a text has; diffs have 3.3 characters a token, so this errs on the safe side."""


def subject(config: BenchConfig, cases: Path, *, progress: Progress) -> Subject:
    """Find what `config.model` means.

    Args:
        config: The settings.
        cases: The file of cases; a baseline learns from the `train.jsonl` beside it when no dataset is named.
        progress: Told of what is fetched or loaded.

    Raises:
        InputError: There is no such model, or a baseline has nothing to learn from.
        UsageError: There is no such baseline, or a server's model has no name.
    """
    baseline = baselines.named(config.model or "")
    if baseline is not None:
        return _baseline(baseline, config, cases)
    if config.engine == "mlx":
        from joco_mlx.bench.in_process import in_process  # noqa: PLC0415  (a baseline needs no mlx)

        return in_process(config, progress=progress)
    return _server(config, progress)


def _baseline(name: baselines.BaselineName, config: BenchConfig, cases: Path) -> Subject:
    full = baselines.PREFIX + name
    if name == "paths":
        return Subject(full, {"baseline": name}, "", config.train, None, lambda: _ignoring_seed(baselines.by_paths))
    folder = config.train or cases.parent
    train = folder / "train.jsonl"
    if not train.is_file():
        raise InputError(f"{full} learns from a dataset, but {folder} has no train.jsonl.", "Name one: --train dataset")
    identity = {"baseline": name, "train": artifacts.sha256(train)}
    return Subject(
        full, identity, "", folder, None, lambda: _ignoring_seed(baselines.make(name, tuple(read_records(train))))
    )


def _ignoring_seed(baseline: baselines.Baseline) -> Answerer:
    return one_by_one(lambda record, _seed: baseline(record))


def _server(config: BenchConfig, progress: Progress) -> Subject:
    if config.engine == "mlx" or not config.model:
        raise UsageError("A server needs a model's name.", "Name one that it serves: --model joco")
    server = Server(config.engine, config.model, config.url, timeout_seconds=config.timeout_seconds)
    fitting = _fitting(config, progress)
    form = Form() if config.constrained else None
    foreign = PROMPTS.get(config.prompt)

    def answer(record: Record, seed: int) -> str:
        if foreign is not None:
            return foreign.ask([record.input], partial(_say, server, config, seed), config.max_tokens)[0]
        text = user_text(record.input, fitting.budget, fitting.count)
        return server.complete(text, max_tokens=config.max_tokens, temperature=config.temperature, seed=seed, form=form)

    return Subject(
        config.model,
        {"engine": config.engine, "model": config.model, **server.identity(), **fitting.identity},
        foreign.text if foreign is not None else f"{SYSTEM}\n\n{DIFF_MARK}",
        config.train or fitting.train,
        None if config.train else fitting.train_digest,
        lambda: one_by_one(answer),
    )


def _say(server: Server, config: BenchConfig, seed: int, texts: Sequence[str], max_tokens: int) -> list[str]:
    how: Any = {"max_tokens": max_tokens, "temperature": config.temperature, "seed": seed, "system": None}
    return [server.complete(text, **how) for text in texts]


@dataclass(frozen=True)
class _Fitting:
    """How diffs are cut for a server's model, and what it was trained on."""

    budget: int
    count: CountTokens
    identity: Mapping[str, Any]
    train: Path | None = None
    train_digest: str | None = None


def _fitting(config: BenchConfig, progress: Progress) -> _Fitting:
    """Cut as the run did that the model was made from; with a guess at the tokens when nobody says which one that is."""
    if config.like is None:
        length: int = default_of(TrainConfig, "max_seq_length")
        return _Fitting(diff_budget(TEMPLATES["chatml"], length, _estimate), _estimate, {"max_seq_length": length})
    run = open_run(config.like)
    count = Tokenizer.from_folder(base_folder(run, progress=progress).path).count
    length = run.config.max_seq_length
    identity = {"max_seq_length": length, "like": run.folder.name, "base": run.base.digest}
    budget = diff_budget(run.template, length, count)
    return _Fitting(budget, count, identity, Path(run.dataset.path), run.dataset.digest)


def _estimate(text: str) -> int:
    return -(-len(text) // CHARS_PER_TOKEN)
