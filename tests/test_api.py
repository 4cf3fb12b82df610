"""The Python API: one function a stage, loaded only when it is used."""

import subprocess
import sys

import pytest

import joco_mlx


@pytest.mark.parametrize("name", [name for name in joco_mlx.__all__ if name != "__version__"])
def test_every_name_is_there_and_documented(name: str) -> None:
    assert getattr(joco_mlx, name).__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'tarin'"):
        _ = joco_mlx.tarin


def test_importing_the_package_loads_no_stage() -> None:
    code = "import sys, joco_mlx; dir(joco_mlx); print([m for m in sys.modules if m.startswith(('joco_mlx.', 'mlx', 'numpy'))])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
