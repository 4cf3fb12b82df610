"""What a wheel holds: the package, and the dataset that quickstart needs."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from joco_mlx.artifacts import open_artifact
from joco_mlx.models.shipped import ARCHIVE, shipped_dataset

ROOT = Path(__file__).parents[1]
LARGEST_BYTES = 1_000_000


def test_a_wheel_holds_the_dataset_and_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not (ROOT / "pyproject.toml").is_file():
        pytest.skip("there is no source tree to build a wheel from")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.stat().st_size < LARGEST_BYTES
    with zipfile.ZipFile(wheel) as opened:
        archive = Path(opened.extract(f"joco_mlx/{ARCHIVE.name}", tmp_path))
    monkeypatch.setenv("JOCO_MLX_CACHE", str(tmp_path / "cache"))
    for _ in range(2):
        unpacked = shipped_dataset(archive)
        assert unpacked is not None
        assert contents(unpacked) == contents(ROOT / "dataset")
    assert open_artifact(unpacked, "dataset", checked=True)


def test_a_checkout_has_no_archive() -> None:
    assert shipped_dataset() is None


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
