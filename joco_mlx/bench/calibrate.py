"""A prior of types is fitted for one model, on records that it was not trained on.

Decides which records: those of the validation split whose messages are conventional, and none that were trained on.
Leaves what is fitted to `suggest.type_prior`.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from joco_mlx.bench.cases import Case, read_cases
from joco_mlx.bench.in_process import in_process
from joco_mlx.bench.run import without_leaks
from joco_mlx.commit.grammar import TYPES
from joco_mlx.commit.prompt import diff_budget, render, user_text
from joco_mlx.config import BenchConfig
from joco_mlx.errors import InputError
from joco_mlx.progress import Progress, Silent, task
from joco_mlx.suggest.engines import MlxEngine, choose
from joco_mlx.suggest.type_first import paths_of
from joco_mlx.suggest.type_prior import Floats, TypePrior, fit


def calibrate(config: BenchConfig, cases: Path, out: Path, *, progress: Progress | None = None) -> TypePrior:
    """Fit a prior of types to a model and write it to `out`.

    Args:
        config: Which model, its batches, its dataset, and how many cases.
        cases: Held-out records: the validation split of the dataset that the model was trained on.
        out: File to write.
        progress: Who watches.

    Raises:
        InputError: The model or the cases cannot be read, cases were trained on, or none has a known type.
    """
    shown = progress or Silent()
    subject = in_process(config, progress=shown)
    kept = without_leaks(subject, read_cases(cases, config.max_cases), config, shown)[0]
    typed = [case for case in kept if case.type in TYPES]
    if not typed:
        raise InputError(
            f"{cases} has no message with a type.", "Name a validation split: --cases dataset/validation.jsonl"
        )
    engine = MlxEngine(choose(config.model, progress=shown), progress=shown)
    prior = fit(
        _said(engine, typed, config, shown),
        [paths_of(case.record.input) for case in typed],
        [case.type or "" for case in typed],
    )
    prior.write(out)
    return prior


def _said(engine: MlxEngine, cases: Sequence[Case], config: BenchConfig, progress: Progress) -> Floats:
    """Return the log-probability of each type for each case, (cases, types)."""
    budget = diff_budget(engine.template, engine.max_seq_length, engine.count)
    found = []
    with task(progress, "Asking for types", len(cases), "cases") as shown:
        for start in range(0, len(cases), config.batch_size):
            texts = [
                user_text(case.record.input, budget, engine.count) for case in cases[start : start + config.batch_size]
            ]
            found.append(engine.read([render(engine.template, text) for text in texts]).log_probabilities(TYPES))
            shown.advance(len(texts))
    return np.concatenate(found)
