"""The rules of artefacts: whole or not there, sealed, checked on opening."""

import errno
import json
import os
from pathlib import Path

import pytest

from joco_mlx import artifacts
from joco_mlx.errors import ConflictError, InputError, MachineError


def sealed(folder: Path) -> artifacts.Artifact:
    folder.mkdir()
    (folder / "train.jsonl").write_text("{}\n")
    return artifacts.seal(folder, "dataset", config={}, parents={}, files=[folder / "train.jsonl"])


def test_a_sealed_folder_opens_and_names_its_files(tmp_path: Path) -> None:
    made = sealed(tmp_path / "data")
    opened = artifacts.open_artifact(tmp_path / "data", "dataset", checked=True)
    assert opened.digest == made.digest
    assert list(opened.manifest.files) == ["train.jsonl"]


def test_a_folder_without_a_manifest_is_unfinished(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no manifest\.json"):
        artifacts.open_artifact(tmp_path, "dataset")


def test_another_kind_is_named(tmp_path: Path) -> None:
    sealed(tmp_path / "data")
    with pytest.raises(InputError, match="is a dataset, not a run"):
        artifacts.open_artifact(tmp_path / "data", "run")


def test_a_changed_file_is_noticed(tmp_path: Path) -> None:
    sealed(tmp_path / "data")
    (tmp_path / "data" / "train.jsonl").write_text("{} \n")
    with pytest.raises(InputError, match="was changed"):
        artifacts.open_artifact(tmp_path / "data", "dataset", checked=True)


def test_a_missing_file_is_noticed_without_hashing(tmp_path: Path) -> None:
    sealed(tmp_path / "data")
    (tmp_path / "data" / "train.jsonl").unlink()
    with pytest.raises(InputError, match="is missing"):
        artifacts.open_artifact(tmp_path / "data", "dataset")


@pytest.mark.parametrize("content", ["not json", "{}", '{"schema_version": "x"}'])
def test_a_damaged_manifest_is_an_input_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(InputError, match="is damaged"):
        artifacts.open_artifact(tmp_path, "dataset")


def test_an_older_schema_is_refused(tmp_path: Path) -> None:
    sealed(tmp_path / "data")
    path = tmp_path / "data" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": 0}))
    with pytest.raises(InputError, match="schema version 0"):
        artifacts.open_artifact(tmp_path / "data", "dataset")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("old")
    with pytest.raises(RuntimeError), artifacts.whole_file(target) as file:
        file.write(b"half")
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert target.read_text() == "old"


def test_a_failed_folder_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), artifacts.whole_folder(tmp_path / "out") as folder:
        (folder / "half").write_text("x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_replaced_only_when_told(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    with pytest.raises(ConflictError), artifacts.whole_folder(tmp_path / "out"):
        pytest.fail("must not be entered")
    with artifacts.whole_folder(tmp_path / "out", force=True) as folder:
        (folder / "new").write_text("y")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_cannot_be_written_is_told_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match="could not be written"), artifacts.whole_file(tmp_path / "file" / "below"):
        pytest.fail("must not be entered")


@pytest.mark.parametrize(
    ("number", "said", "hint"),
    [
        (errno.EACCES, "Permission denied.", "Choose another place, or make {parent} writable."),
        (errno.EROFS, "Read-only file system.", "Choose another place, or make {parent} writable."),
        (errno.EISDIR, "it is a folder.", "Name a file."),
    ],
    ids=["denied", "read-only", "folder"],
)
def test_more_disk_is_advised_only_where_it_helps(tmp_path: Path, number: int, said: str, hint: str) -> None:
    with (
        pytest.raises(MachineError, match="could not be written") as told,
        artifacts.telling_disk_errors(tmp_path / "below" / "file"),
    ):
        raise OSError(number, os.strerror(number))
    assert told.value.message.endswith(said)
    assert told.value.hint == hint.format(parent=tmp_path)


def test_a_place_is_tried_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place, said in ((tmp_path / "file" / "below", "Not a directory"), (tmp_path, "it is a folder")):
        with pytest.raises(MachineError, match=f"could not be written: {said}"):
            artifacts.require_writable(place)
    artifacts.require_writable(tmp_path / "new" / "folder" / "below")
    artifacts.require_writable(tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_file_does_not_take_the_place_of_a_folder(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match=r"could not be written: it is a folder\."):
        artifacts.write_text(tmp_path, "x")
