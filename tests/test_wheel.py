"""What a wheel holds: the package, and the dataset that quickstart needs."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LARGEST_BYTES = 1_000_000


def test_a_wheel_holds_the_dataset_and_stays_small(tmp_path: Path) -> None:
    if not (ROOT / "pyproject.toml").is_file():
        pytest.skip("there is no source tree to build a wheel from")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tracked = [path.relative_to(ROOT / "dataset") for path in (ROOT / "dataset").rglob("*") if path.is_file()]
    assert {f"joco_mlx/shipped_dataset/{path.as_posix()}" for path in tracked} <= set(names)
    assert tracked
    assert wheel.stat().st_size < LARGEST_BYTES
