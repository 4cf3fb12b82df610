"""From files of records to a sealed dataset: what is dropped, which files there are, and what is repeatable."""

import json
from pathlib import Path

import pytest
from dataset_records import Notes, record, write

from joco_mlx import artifacts
from joco_mlx.commit.record import read_records
from joco_mlx.config import CurateConfig
from joco_mlx.dataset.curate import curate
from joco_mlx.dataset.stats import stats
from joco_mlx.errors import ConflictError, InputError

DEFAULTS = CurateConfig()


def test_a_dataset_is_a_sealed_folder(tmp_path: Path) -> None:
    source = write(tmp_path / "commits.jsonl", *map(record, range(20, 0, -1)))
    made = curate(DEFAULTS, [source], tmp_path / "data")
    assert made.folder == tmp_path / "data"
    assert made.manifest.kind == "dataset"
    assert made.manifest.parents == {"commits.jsonl": artifacts.sha256(source)}
    assert made.manifest.config["maximum_diff_chars"] == 8_000
    assert sorted(made.manifest.files) == ["README.md", "stats.json", "test.jsonl", "train.jsonl", "validation.jsonl"]
    assert artifacts.open_artifact(tmp_path / "data", "dataset", checked=True) == made
    assert [item.metadata.commit_hash[-2:] for item in read_records(tmp_path / "data" / "validation.jsonl")] == [
        "13",
        "14",
    ]
    assert (tmp_path / "data" / "test.jsonl").read_bytes() == b""
    told = json.loads((tmp_path / "data" / "stats.json").read_text())
    assert told == stats(tmp_path / "data").to_json()
    assert told["training_examples"] == 18


def test_the_guides_filters_apply_to_records_that_were_not_filtered(tmp_path: Path) -> None:
    records = [
        record(1),
        record(2, "Open the store"),
        record(3, "fix(store): keep a value alive."),
        record(4, quality_score=69),
        record(5, "fix(store): keep " + "v" * 60),
    ]
    notes = Notes()
    curate(DEFAULTS, [write(tmp_path / "a.jsonl", *records)], tmp_path / "data", progress=notes)
    assert stats(tmp_path / "data").records == 1
    assert notes.lines == [
        "a.jsonl: kept 1 of 5 (subject line of 72 characters or more: 1; score too low: 1; "
        "no conventional subject line: 1; period at the end of the subject line: 1)."
    ]


def test_of_equal_messages_the_oldest_stays(tmp_path: Path) -> None:
    message = "fix(store): keep the value alive"
    first = write(tmp_path / "a.jsonl", record(9, message), record(2), record(3))
    second = write(tmp_path / "b.jsonl", record(1, f"{message} (#12)"), record(4))
    notes = Notes()
    curate(DEFAULTS, [first, second], tmp_path / "data", progress=notes)
    found = list(read_records(tmp_path / "data" / "train.jsonl"))
    assert [int(item.metadata.commit_hash, 16) for item in found] == [1, 2, 3]
    assert found[0].output == message
    assert notes.lines == ["a.jsonl, b.jsonl: kept 4 of 5 (message of an older one: 1)."]


def test_the_order_of_files_and_lines_does_not_matter(tmp_path: Path) -> None:
    one = write(tmp_path / "one.jsonl", *map(record, range(12)))
    two = write(tmp_path / "two.jsonl", *map(record, range(30, 10, -1)))
    curate(DEFAULTS, [one, two], tmp_path / "first")
    curate(DEFAULTS, [two, one], tmp_path / "second")
    for name in ("train.jsonl", "validation.jsonl", "test.jsonl", "stats.json", "README.md"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes(), name


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "x.jsonl", record(ord(folder)))
    made = curate(DEFAULTS, [tmp_path / "a" / "x.jsonl", tmp_path / "b" / "x.jsonl"], tmp_path / "data")
    assert list(made.manifest.parents) == ["x.jsonl", "x.jsonl (2)"]


def test_a_broken_line_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl", record(1))
    source.write_bytes(source.read_bytes() + b'{"instruction": "x"}\n')
    with pytest.raises(InputError, match=r"a\.jsonl, line 2"):
        curate(DEFAULTS, [source], tmp_path / "data")
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_nothing_left_is_an_error_that_says_why(tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl", record(1, quality_score=10), record(2, quality_score=20))
    with pytest.raises(InputError, match=r"No record is left of 2\. a\.jsonl: kept 0 of 2 \(score too low: 2\)"):
        curate(DEFAULTS, [source], tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_an_existing_output_is_replaced_only_on_request(tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl", record(1))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine").write_text("mine")
    with pytest.raises(ConflictError, match="exists already"):
        curate(DEFAULTS, [source], tmp_path / "data")
    assert (tmp_path / "data" / "mine").read_text() == "mine"
    curate(DEFAULTS, [source], tmp_path / "data", force=True)
    assert not (tmp_path / "data" / "mine").exists()
