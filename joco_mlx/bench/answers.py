"""What a model's name means: a baseline, a model in this process, or a model behind a server.

Nothing heavy is loaded before `Subject.open`: a run that is already finished needs no model, and a baseline never does.
"""

from pathlib import Path

from joco_mlx import artifacts
from joco_mlx.bench import baselines
from joco_mlx.bench.servers import Server
from joco_mlx.bench.subject import DIFF_MARK, Answerer, Subject, one_by_one
from joco_mlx.commit.prompt import SYSTEM, TEMPLATES, diff_budget, user_text
from joco_mlx.commit.record import Record, read_records
from joco_mlx.config import BenchConfig, TrainConfig, default_of
from joco_mlx.errors import InputError, UsageError
from joco_mlx.progress import Progress

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
    return _server(config)


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


def _server(config: BenchConfig) -> Subject:
    if config.engine == "mlx" or not config.model:
        raise UsageError("A server needs a model's name.", "Name one that it serves: --model joco")
    server = Server(config.engine, config.model, config.url, timeout_seconds=config.timeout_seconds)
    length: int = default_of(TrainConfig, "max_seq_length")
    budget = diff_budget(TEMPLATES["chatml"], length, _estimate)

    def answer(record: Record, seed: int) -> str:
        text = user_text(record.input, budget, _estimate)
        return server.complete(text, max_tokens=config.max_tokens, temperature=config.temperature, seed=seed)

    identity = {"engine": config.engine, "model": config.model, "max_seq_length": length}
    return Subject(config.model, identity, f"{SYSTEM}\n\n{DIFF_MARK}", config.train, None, lambda: one_by_one(answer))


def _estimate(text: str) -> int:
    return -(-len(text) // CHARS_PER_TOKEN)
