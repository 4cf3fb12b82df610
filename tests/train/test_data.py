"""Which dataset a run uses, and what a user is told about it."""

import pytest
from tiny_records import make_record

from joco_mlx import config
from joco_mlx.artifacts import seal
from joco_mlx.errors import InputError
from joco_mlx.train import data
from joco_mlx.train.data import VALIDATION_LIMIT, find_dataset, read_splits

ONE = [make_record(1)]


def test_the_named_one_wins_over_the_one_that_is_here(make_dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_dataset(ONE, name="dataset")
    other = make_dataset(ONE, name="other")
    assert find_dataset(other) == other
    assert find_dataset(None) == config.LOCAL_DATASET


def test_without_any_the_shipped_one_is_used(make_dataset, tmp_path, monkeypatch):
    shipped = make_dataset(ONE, name="shipped")
    monkeypatch.setattr(data, "SHIPPED_DATASETS", (tmp_path / "nowhere", shipped))
    monkeypatch.chdir(tmp_path)
    assert find_dataset(None) == shipped


def test_no_dataset_anywhere_names_the_commands_that_make_one(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "SHIPPED_DATASETS", ())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="There is no dataset at dataset") as problem:
        find_dataset(None)
    assert "joco-mlx dataset extract" in problem.value.hint


def test_a_large_validation_split_is_bounded_always_alike(make_dataset):
    folder = make_dataset(ONE, [make_record(number) for number in range(100)])
    splits = read_splits(folder)
    assert len(splits.validation) == VALIDATION_LIMIT
    assert splits.validation_size == 100
    assert splits.validation == read_splits(folder).validation


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        (ONE, "1 record of 1 repository"),
        ([make_record(n) for n in range(1_000)], None),
        ([make_record(1), make_record(2, repository="other")], None),
    ],
    ids=["few", "many", "two repositories"],
)
def test_pilot_data_is_called_so(make_dataset, records, expected):
    note = read_splits(make_dataset(records)).pilot_note
    assert note is None if expected is None else note.startswith(expected)


def broken(folder):
    """A dataset whose second line is half a record."""
    with (folder / "train.jsonl").open("a") as file:
        file.write('{"instruction": \n')
    return folder


def test_a_broken_line_is_named(make_dataset):
    folder = broken(make_dataset(ONE))
    seal(folder, "dataset", config={}, parents={}, files=sorted(folder.glob("*.jsonl")))
    with pytest.raises(InputError, match=r"train\.jsonl, line 2"):
        read_splits(folder)


def test_a_split_that_was_changed_is_refused_at_once_and_not_by_resume(make_dataset):
    with pytest.raises(InputError, match=r"train\.jsonl was changed after it was finished"):
        read_splits(broken(make_dataset(ONE)))
