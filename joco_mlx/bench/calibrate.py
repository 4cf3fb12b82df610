"""A prior of types is fitted for one model, on records that it was not trained on.

Decides which records: some of those that are given, drawn, whose messages are conventional, and none that were trained
on. In a dataset of one repository its validation split is what is asked later too, and its habits are learned as biases.
A dataset of several, or cases of another repository, are for others: there are no biases, which would hand over habits,
and the words of a diff are learned, for the fit, without the repository of the record. Where nobody knows the dataset, the
cases' repositories decide. Leaves what is fitted to `suggest.type_prior`.
"""

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from joco_mlx import artifacts
from joco_mlx.bench.cases import Case, read_cases
from joco_mlx.bench.in_process import in_process
from joco_mlx.bench.learned import type_words
from joco_mlx.bench.run import training_file, training_records, without_leaks
from joco_mlx.commit.grammar import TYPES
from joco_mlx.commit.message import parse
from joco_mlx.commit.prompt import diff_budget, render, user_text
from joco_mlx.commit.record import Record, read_records
from joco_mlx.config import BenchConfig
from joco_mlx.errors import InputError
from joco_mlx.progress import Progress, Silent, task
from joco_mlx.suggest.engines import MlxEngine, choose
from joco_mlx.suggest.type_prior import Floats, TypePrior, fit, paths_of

FOLDS = 5
"""Of the repositories; each time words are learned from four of them and asked of the fifth."""


def calibrate(
    config: BenchConfig, cases: Path, out: Path, *, with_words: bool = False, progress: Progress | None = None
) -> TypePrior:
    """Fit a prior of types to a model and write it to `out`.

    Args:
        config: Which model, its batches, its dataset, and how many cases.
        cases: Held-out records. The validation split of several repositories flatters the model, which has seen others
            of the same; records of repositories that it was not trained on do not.
        out: File to write.
        with_words: Also learn what the words of the training diffs say.
        progress: Who watches.

    Raises:
        InputError: The model, its dataset or the cases cannot be read, cases were trained on, or none has a known type.
        MachineError: scikit-learn, which learns the words, is not installed.
    """
    shown = progress or Silent()
    subject = in_process(config, progress=shown)
    kept = without_leaks(subject, _drawn(read_cases(cases), config), config, shown)[0]
    typed = [case for case in kept if case.type in TYPES]
    if not typed:
        raise InputError(
            f"{cases} has no message with a type.", "Name a validation split: --cases dataset/validation.jsonl"
        )
    split = training_file(subject) if subject.train else cases.parent / "train.jsonl"
    trained_on = training_records(subject) if subject.train else ()
    learned_from = _with_types(trained_on or read_records(split), split) if with_words else []
    elsewhere = _words_of_others(learned_from, typed, shown) if learned_from else None
    engine = MlxEngine(choose(config.model, progress=shown), progress=shown)
    prior = fit(
        _said(engine, typed, config, shown),
        [paths_of(case.record.input) for case in typed],
        [case.type or "" for case in typed],
        elsewhere,
        biased=len({record.metadata.repository for record in (*trained_on, *(case.record for case in typed))}) == 1,
    )
    prior = replace(prior, cases=tuple(case.key for case in typed))
    if learned_from:
        prior = replace(prior, words=type_words(learned_from), words_from=artifacts.sha256(split))
    prior.write(out)
    return prior


def _drawn(cases: Sequence[Case], config: BenchConfig) -> Sequence[Case]:
    """Return as many cases as were asked for; a split begins with one repository, so that they are drawn."""
    if config.max_cases is None or config.max_cases >= len(cases):
        return cases
    return random.Random(config.seed).sample(cases, config.max_cases)  # noqa: S311  (a sample, no secrets)


def _with_types(train: Iterable[Record], split: Path) -> list[Record]:
    """Return the training records, of the file `split`, whose messages have a type of ours."""
    found = [record for record in train if (message := parse(record.output)) and message.type in TYPES]
    if not found:
        raise InputError(f"{split} has no message with a type.", "Name the dataset that was trained on: --train DIR")
    return found


def _words_of_others(train: Sequence[Record], cases: Sequence[Case], progress: Progress) -> Floats:
    """Return what words say of each case that were learned from other repositories than its own, (cases, types).

    A dataset of one repository teaches its own: what is asked there later is of that repository too.
    """
    found = np.zeros((len(cases), len(TYPES)))
    folds = _folds(record.metadata.repository for record in train)
    asked = defaultdict[frozenset[str], list[int]](list)
    for row, case in enumerate(cases):
        own = (fold for fold in folds if case.record.metadata.repository in fold and len(folds) > 1)
        asked[next(own, frozenset())].append(row)
    with task(progress, "Learning words", len(asked), "folds") as shown:
        for held, rows in asked.items():
            words = type_words([record for record in train if record.metadata.repository not in held])
            found[rows] = words.log_probabilities([cases[row].record.input for row in rows], TYPES)
            shown.advance()
    return found


def _folds(repositories: Iterable[str]) -> list[frozenset[str]]:
    """Return the repositories in at most `FOLDS` groups, drawn with a fixed seed."""
    names = sorted(set(repositories))
    random.Random(0).shuffle(names)  # noqa: S311  (groups, no secrets)
    return [frozenset(names[start::FOLDS]) for start in range(min(FOLDS, len(names)))]


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
