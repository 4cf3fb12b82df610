"""Every way in which a dataset can be wrong is found and named by file and line."""

import dataclasses
import json
from pathlib import Path

import pytest
from dataset_records import Notes, record, write

from joco_mlx.commit.record import encode_line
from joco_mlx.config import CurateConfig
from joco_mlx.dataset.curate import curate
from joco_mlx.dataset.validate import validate
from joco_mlx.errors import InputError, VerificationError


@pytest.fixture
def data(tmp_path: Path) -> Path:
    source = write(tmp_path / "commits.jsonl", *map(record, range(20)))
    return curate(CurateConfig(), [source], tmp_path / "data").folder


def append(path: Path, line: bytes) -> None:
    path.write_bytes(path.read_bytes() + line)


def test_what_curate_made_is_right(data: Path) -> None:
    assert validate(data).records == 20


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{\n", r"is not JSON"),
        (b"\xff\n", r"is not UTF-8"),
        (b"[]\n", r"not an object"),
        (b'{"instruction": "x", "input": "y", "output": "z"}\n', r"the field metadata is missing"),
        (encode_line(record(30, "Keep it alive")), r"output is 'Keep it alive', but .*\((subject|type)-empty\)"),
        (encode_line(record(30, "fix: keep it alive.")), r"subject-full-stop"),
        (encode_line(record(30, type="feat")), r"metadata\.type is 'feat', but the message's is 'fix'"),
        (encode_line(record(30, scope=None)), r"metadata\.scope is None, but the message's is 'store'"),
        (encode_line(record(3)), r"the id 'tool-000000000003' is there already \(.*train\.jsonl, line 4\)"),
    ],
    ids=["json", "utf-8", "object", "field", "grammar", "lint", "type", "scope", "id"],
)
def test_a_wrong_line_is_named(data: Path, line: bytes, message: str) -> None:
    append(data / "validation.jsonl", line)
    with pytest.raises(VerificationError, match=rf"validation\.jsonl, line 3.*{message}") as caught:
        validate(data)
    assert "joco-mlx dataset curate" in caught.value.hint


def test_every_problem_is_noted(data: Path) -> None:
    append(data / "train.jsonl", b"{\n" + encode_line(record(30, type="feat", scope="x")))
    notes = Notes()
    with pytest.raises(VerificationError, match=r"train\.jsonl, line 19 is not JSON.* \(2 more problems\)"):
        validate(data, progress=notes)
    assert [line.split(":")[0].rpartition("line ")[2][:2] for line in notes.lines] == ["19", "20", "20"]


def test_numbers_that_are_not_the_records(data: Path) -> None:
    told = json.loads((data / "stats.json").read_text())
    (data / "stats.json").write_text(json.dumps({**told, "training_examples": 17}))
    with pytest.raises(VerificationError, match="says that training_examples is 17, but it is 18"):
        validate(data)
    (data / "stats.json").write_text("{")
    with pytest.raises(VerificationError, match=r"stats\.json is not JSON"):
        validate(data)
    for text in ("[1]", "[]", "0"):
        (data / "stats.json").write_text(text)
        with pytest.raises(VerificationError, match=r"stats\.json is no table of numbers"):
            validate(data)


def test_a_change_that_keeps_every_record_right_is_noticed(data: Path) -> None:
    lines = (data / "train.jsonl").read_bytes().splitlines(keepends=True)
    changed = dataclasses.replace(record(0), instruction="Do as you like.")
    (data / "train.jsonl").write_bytes(b"".join([encode_line(changed), *lines[1:]]))
    with pytest.raises(InputError, match=r"train\.jsonl was changed after it was finished"):
        validate(data)


def test_an_unfinished_dataset(data: Path) -> None:
    (data / "manifest.json").unlink()
    with pytest.raises(InputError, match=r"has no manifest\.json"):
        validate(data)


def test_no_dataset_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent is no dataset"):
        validate(tmp_path / "absent")
