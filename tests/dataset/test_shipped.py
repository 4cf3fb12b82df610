"""The dataset that ships is found in an installed package and in a checkout, in this order."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from dataset_records import record, write

from joco_mlx.config import CurateConfig
from joco_mlx.dataset import shipped
from joco_mlx.dataset.curate import curate
from joco_mlx.errors import InputError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    found = (tmp_path / "joco_mlx" / "shipped_dataset", tmp_path / "dataset")
    monkeypatch.setattr(shipped, "PLACES", found)
    return found


def make(folder: Path) -> None:
    curate(CurateConfig(), [write(folder.parent / f"{folder.name}.jsonl", *map(record, range(3)))], folder)


def test_the_package_comes_before_the_checkout(places: tuple[Path, Path]) -> None:
    packaged, checkout = places
    make(checkout)
    assert shipped.shipped_dataset() == checkout
    packaged.parent.mkdir()
    make(packaged)
    assert shipped.shipped_dataset() == packaged


def test_a_folder_without_a_manifest_does_not_count(places: tuple[Path, Path]) -> None:
    places[1].mkdir()
    with pytest.raises(InputError, match="is not at") as caught:
        shipped.shipped_dataset()
    assert "scripts/rebuild-dataset" in caught.value.hint


def test_the_places_are_beside_the_package() -> None:
    import joco_mlx

    package = Path(joco_mlx.__file__).parent
    assert (package / "shipped_dataset", package.parent / "dataset") == shipped.PLACES


def test_a_wheel_holds_the_dataset(tmp_path: Path) -> None:
    if not (ROOT / "pyproject.toml").is_file():
        pytest.skip("there is no source tree to build a wheel from")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tracked = [path.relative_to(ROOT / "dataset") for path in (ROOT / "dataset").rglob("*") if path.is_file()]
    assert {f"joco_mlx/shipped_dataset/{path.as_posix()}" for path in tracked} <= set(names)
    assert tracked
