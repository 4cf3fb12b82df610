"""Splits by time: who is newest, how many, and what happens when there are few."""

from pathlib import Path

import pytest
from dataset_records import record, write

from joco_mlx.config import CurateConfig
from joco_mlx.dataset.leakage import author_file_leakage
from joco_mlx.dataset.split import Splits, age, read_splits, split
from joco_mlx.errors import InputError


def divided(count: int, **shares: float) -> tuple[int, int, int]:
    made = split([record(number) for number in range(count)], CurateConfig(**shares))
    return len(made.train), len(made.validation), len(made.test)


def test_validation_is_newer_than_training_and_test_newer_than_both() -> None:
    records = [record(number) for number in (7, 3, 9, 1, 8, 2, 5, 4, 6, 0)]
    made = split(records, CurateConfig(validation_share=0.2, test_share=0.1))
    assert [int(item.metadata.commit_hash, 16) for item in made.records()] == list(range(10))
    assert [len(part) for _, part in made.items()] == [7, 2, 1]


@pytest.mark.parametrize(
    ("count", "shares", "expected"),
    [
        (100, {}, (90, 10, 0)),
        (47, {}, (42, 5, 0)),
        (2, {}, (1, 1, 0)),
        (1, {}, (1, 0, 0)),
        (3, {"test_share": 0.1}, (1, 1, 1)),
        (2, {"test_share": 0.1}, (1, 0, 1)),
        (10, {"validation_share": 0.0}, (10, 0, 0)),
        (10, {"validation_share": 0.49, "test_share": 0.5}, (1, 4, 5)),
        (3, {"validation_share": 0.98}, (1, 2, 0)),
    ],
    ids=str,
)
def test_sizes(count: int, shares: dict[str, float], expected: tuple[int, int, int]) -> None:
    assert divided(count, **shares) == expected


def test_time_is_compared_across_offsets() -> None:
    early = record(1, authored_at="2024-01-01T10:00:00+09:00")
    late = record(2, authored_at="2024-01-01T02:00:00Z")
    unknown = record(3, authored_at=None)
    impossible = record(4, authored_at="2024-02-31T02:00:00Z")
    made = split([late, early, impossible, unknown], CurateConfig())
    assert made.train == (unknown, impossible, early)
    assert made.validation == (late,)


def test_only_train_must_be_there(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", record(1))
    assert read_splits(tmp_path) == Splits((record(1),), (), ())
    with pytest.raises(InputError, match=r"train\.jsonl cannot be read"):
        read_splits(tmp_path / "absent")


def test_whole_repositories_are_for_test_and_the_newest_of_the_others_for_validation() -> None:
    sizes = {"a": 60, "b": 40, "c": 9, "d": 8, "e": 30}
    names = [name for name, size in sizes.items() for _ in range(size)]
    records = [record(n * 20, f"fix: keep {n}", repository=name, author=f"{n:016x}") for n, name in enumerate(names)]
    made = split(records, CurateConfig(profile="many-repositories", test_share=0.15))
    tested = {item.metadata.repository for item in made.test}
    others = {item.metadata.repository for item in (*made.train, *made.validation)}
    assert tested
    assert not tested & others
    assert 0 < len(made.test) <= 0.15 * len(records)
    assert len(tuple(made.records())) == len(records)
    for name in others:
        train = [age(item) for item in made.train if item.metadata.repository == name]
        validation = [age(item) for item in made.validation if item.metadata.repository == name]
        assert max(train) < min(validation)
    assert split(records[::-1], CurateConfig(profile="many-repositories", test_share=0.15)) == made


def test_nobody_continues_in_validation_what_stands_in_training() -> None:
    minutes = 11 * 24 * 60
    records = [
        record(n * minutes // 20, f"fix: keep {n}", repository=name, author=f"{n % 2:016x}")
        for n in range(20)
        for name in ("a", "b")
    ]
    made = split(records, CurateConfig(profile="many-repositories", test_share=0.0, validation_share=0.2))
    assert len(made.validation) == 8
    assert len(made.train) < 32
    assert author_file_leakage(made.train, made.validation) == (0.0, "")


@pytest.mark.parametrize("unset", ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
def test_a_date_that_was_never_set_is_none(unset: str) -> None:
    unknown = [record(number, author="a" * 16, authored_at=unset) for number in range(4)]
    assert author_file_leakage(unknown[:2], unknown[2:])[0] is None
    made = split([*unknown, record(9, author="a" * 16)], CurateConfig(profile="many-repositories"))
    assert len(list(made.records())) == 5


def test_a_single_repository_has_no_test_split() -> None:
    records = [record(n, author=f"{n:016x}") for n in range(10)]
    made = split(records, CurateConfig(profile="many-repositories", test_share=0.2))
    assert (len(made.train), len(made.validation), len(made.test)) == (9, 1, 0)
