"""The dataset that ships is what our own history gives: rebuilt here, it has the same bytes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Repository
from dataset_records import grow

from joco_mlx.config import ExtractConfig
from joco_mlx.dataset.repository import list_history, open_repository
from joco_mlx.dataset.validate import validate
from joco_mlx.errors import JocoError

ROOT = Path(__file__).parents[2]
TRACKED = ROOT / "dataset"
SCRIPT = ROOT / "scripts" / "rebuild_dataset.py"


def rebuild(root: Path, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run the script as the one of the checkout at `root`."""
    script = root / "scripts" / SCRIPT.name
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(script), *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def contents(folder: Path) -> dict[str, object]:
    """Return every file's bytes; of the manifest all but the versions of packages, which may differ."""
    found: dict[str, object] = {path.name: path.read_bytes() for path in folder.iterdir()}
    manifest = json.loads((folder / "manifest.json").read_text())
    return {**found, "manifest.json": {key: value for key, value in manifest.items() if key != "versions"}}


@pytest.fixture
def checkout(repository: Repository) -> Repository:
    """A small project with this script in it."""
    repository.write("scripts/keep", "")
    shutil.copyfile(SCRIPT, repository.folder / "scripts" / SCRIPT.name)
    repository.commit("build: begin", {"dataset/sources.toml": "# none\n"})
    grow(repository, 12, "flock")
    return repository


def test_the_pin_decides_and_the_bytes_repeat(checkout: Repository, tmp_path: Path) -> None:
    pinned = checkout.git("rev-parse", "HEAD~2")
    done = rebuild(checkout.folder, "HEAD~2")
    assert done.returncode == 0, done.stderr
    made = checkout.folder / "dataset"
    assert (made / "PIN").read_text() == f"{pinned}\n"
    assert (made / "sources.toml").read_text() == "# none\n"
    assert validate(made).records == 10
    checkout.commit("build: ship the dataset")
    checkout.git("clone", "--quiet", ".", str(tmp_path / "clone"))
    again = rebuild(tmp_path / "clone", "--out", tmp_path / "again")
    assert again.returncode == 0, again.stderr
    assert contents(tmp_path / "again") == contents(made)


def test_what_is_missing_is_said(checkout: Repository) -> None:
    without_pin = rebuild(checkout.folder)
    assert (without_pin.returncode, "scripts/rebuild-dataset COMMIT" in without_pin.stderr) == (3, True)
    unknown = rebuild(checkout.folder, "v9.9")
    assert (unknown.returncode, "no commit 'v9.9'" in unknown.stderr) == (3, True)
    assert sorted(path.name for path in (checkout.folder / "dataset").iterdir()) == ["sources.toml"]


def test_no_other_folder_is_replaced(checkout: Repository, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    done = rebuild(checkout.folder, "HEAD", "--out", tmp_path / "mine")
    assert (done.returncode, "exists already" in done.stderr) == (5, True)


def test_the_tracked_dataset_is_what_the_history_gives(tmp_path: Path) -> None:
    if not (TRACKED / "PIN").is_file():
        pytest.skip("dataset/PIN is missing: the dataset has not been built")
    pin = (TRACKED / "PIN").read_text().strip()
    try:
        list_history(open_repository(ROOT), ExtractConfig(revision=pin))
    except JocoError as problem:
        pytest.skip(f"no whole history here: {problem.message}")
    done = rebuild(ROOT, "--out", tmp_path / "again")
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "again") == contents(TRACKED)


def test_the_tracked_dataset_is_valid() -> None:
    if not (TRACKED / "PIN").is_file():
        pytest.skip("dataset/PIN is missing: the dataset has not been built")
    assert validate(TRACKED).train >= 100
