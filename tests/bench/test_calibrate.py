"""A prior of types for a real engine: it learns from held-out records, and words from repositories of others."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bench_records import record, write

from joco_mlx import artifacts
from joco_mlx.bench import calibrate as module
from joco_mlx.bench.calibrate import calibrate
from joco_mlx.bench.cases import as_cases
from joco_mlx.commit.grammar import TYPES
from joco_mlx.commit.record import Record
from joco_mlx.config import BenchConfig
from joco_mlx.errors import InputError
from joco_mlx.suggest.type_prior import TypePrior
from joco_mlx.suggest.type_words import TypeWords

HELD_OUT = [record(number) for number in range(200, 224)]


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    return write(tmp_path / "cases.jsonl", HELD_OUT)


@pytest.fixture
def config(tiny_model: Callable[..., Path], make_dataset: Callable[[Sequence[Record]], Path]) -> BenchConfig:
    return BenchConfig(model=str(tiny_model("qwen2")), train=make_dataset([record(number) for number in range(60)]))


def right(prior: TypePrior, records: Sequence[Record]) -> float:
    """The share of types that are believed most, where the model is undecided."""
    undecided = np.full((len(records), len(TYPES)), -np.log(len(TYPES)))
    found = prior.believed(undecided, [one.input for one in records])
    return float(
        np.mean([TYPES[place] == one.metadata.type for place, one in zip(found.argmax(1), records, strict=True)])
    )


def test_what_is_fitted_is_written_and_knows_the_types(
    config: BenchConfig, tmp_path: Path, make_dataset: Callable[..., Path]
) -> None:
    alone = make_dataset([record(number, repository="tool") for number in range(60)], name="alone")
    own = [record(number, repository="tool") for number in range(200, 224)]
    prior = calibrate(replace(config, train=alone), write(tmp_path / "own.jsonl", own), tmp_path / "types.json")
    assert TypePrior.read(tmp_path / "types.json") == prior
    assert (prior.records, prior.words, prior.words_scale) == (24, None, 0.0)
    assert prior.cases == tuple(case.key for case in as_cases(own))
    assert prior.words_from is None
    assert right(prior, [record(number) for number in range(300, 324)]) > 0.5


def test_words_of_the_training_split_are_learned_too(config: BenchConfig, cases: Path, tmp_path: Path) -> None:
    prior = calibrate(config, cases, tmp_path / "types.json", with_words=True)
    assert prior.words is not None
    assert prior.words_scale > 0
    assert config.train is not None
    assert prior.words_from == artifacts.sha256(config.train / "train.jsonl")
    assert right(prior, [record(number) for number in range(300, 324)]) > 0.9
    kept = TypePrior.read(tmp_path / "types.json")
    assert kept.words_scale == prior.words_scale
    assert right(kept, HELD_OUT) == right(prior, HELD_OUT)


def test_words_are_never_learned_from_the_repository_of_the_case(
    config: BenchConfig, cases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_diff = {one.input: one.metadata.repository for one in HELD_OUT}

    class Watched(TypeWords):
        def log_probabilities(self, diffs: Sequence[str], types: Sequence[str]) -> np.ndarray:
            assert not {of_diff[diff] for diff in diffs} & set(self.types)
            asked.extend(diffs)
            return np.zeros((len(diffs), len(types)))

    asked: list[str] = []
    monkeypatch.setattr(
        module, "type_words", lambda train: Watched(tuple({one.metadata.repository for one in train}), (), {})
    )
    calibrate(config, cases, tmp_path / "types.json", with_words=True)
    assert sorted(asked) == sorted(of_diff)


def test_a_repository_that_was_not_trained_on_is_asked_what_all_training_records_say(
    config: BenchConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned: list[set[str]] = []

    def watched(train: Sequence[Record]) -> TypeWords:
        learned.append({one.metadata.repository for one in train})
        return TypeWords(("fix",), (0.0,), {})

    monkeypatch.setattr(module, "type_words", watched)
    cases = [record(number, repository="new") for number in range(200, 224)]
    calibrate(config, write(tmp_path / "new.jsonl", cases), tmp_path / "types.json", with_words=True)
    assert learned == [{"tool", "other"}] * 2  # for the fit, and for what is written


def test_one_repository_teaches_itself(
    config: BenchConfig, tmp_path: Path, make_dataset: Callable[..., Path], tiny_model: Callable[..., Path]
) -> None:
    alone = [record(number, repository="tool") for number in range(60)]
    own = BenchConfig(model=config.model, train=make_dataset(alone, name="alone"))
    held = write(tmp_path / "own.jsonl", [record(number, repository="tool") for number in range(200, 224)])
    assert calibrate(own, held, tmp_path / "types.json", with_words=True).words_scale > 0


def test_a_part_of_a_split_is_drawn_from_all_of_it(config: BenchConfig, tmp_path: Path) -> None:
    """The first half are changes of documents only; of ten that are drawn some are not."""
    ordered = sorted((record(number) for number in range(200, 240)), key=lambda one: one.metadata.type != "docs")
    cases = write(tmp_path / "ordered.jsonl", ordered)
    prior = calibrate(replace(config, max_cases=10), cases, tmp_path / "types.json")
    assert prior.records == 10
    assert len(prior.by_paths) > 1


@pytest.mark.parametrize(
    ("trained", "asked", "habit"),
    [
        ("a", "a", True),
        ("ab", "a", False),
        ("ab", "c", False),
        ("a", "c", False),
        ("a", "abc", False),
        ("", "a", True),
        ("", "ab", False),
    ],
)
def test_habits_of_one_repository_are_learned_for_itself_only(
    config: BenchConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_dataset: Callable[..., Path],
    trained: str,
    asked: str,
    habit: bool,
) -> None:
    """The model is undecided, and people always say `perf`; one letter is a repository, no letter an unknown dataset."""
    monkeypatch.setattr(
        module, "_said", lambda engine, asked, *_: np.full((len(asked), len(TYPES)), -np.log(len(TYPES)))
    )
    cases = [
        record(number, f"perf: change {number}", repository=asked[number % len(asked)]) for number in range(500, 548)
    ]
    known = [record(number, repository=trained[number % len(trained)]) for number in range(12 if trained else 0)]
    own = replace(config, train=make_dataset(known, name="known") if trained else None)
    prior = calibrate(own, write(tmp_path / "habits.jsonl", cases), tmp_path / "types.json")
    strongest = max(map(abs, prior.bias.values()))
    assert strongest > 1 if habit else strongest == 0


def test_without_a_typed_message_there_is_nothing_to_fit(
    config: BenchConfig, cases: Path, tmp_path: Path, make_dataset: Callable[..., Path]
) -> None:
    untyped = write(tmp_path / "untyped.jsonl", [record(900, "no type here")])
    with pytest.raises(InputError, match="has no message with a type"):
        calibrate(config, untyped, tmp_path / "types.json")
    empty = BenchConfig(model=config.model, train=make_dataset([record(0, "none either")], name="empty"))
    with pytest.raises(InputError, match=r"train\.jsonl has no message with a type"):
        calibrate(empty, cases, tmp_path / "types.json", with_words=True)
    assert not (tmp_path / "types.json").exists()
