"""The fast BLAS comes before MLX, whatever is imported first."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from joco_mlx.models import compute

PACKAGE = Path(compute.__file__).parent.parent
DOOR = "joco_mlx.models.compute"


def imported(path: Path) -> list[str]:
    """Modules that a file imports when it is imported itself, in order."""
    names = []
    for statement in ast.parse(path.read_text("utf-8")).body:
        if isinstance(statement, ast.Import):
            names += [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom) and statement.module:
            names.append(statement.module)
    return names


def test_every_file_opens_the_door_before_mlx_lm() -> None:
    users = 0
    for path in PACKAGE.rglob("*.py"):
        names = imported(path)
        first = next((at for at, name in enumerate(names) if name.split(".")[0] == "mlx_lm"), None)
        if first is not None:
            users += 1
            assert DOOR in names[:first], f"{path} imports mlx_lm before {DOOR}: float32 would be 15 times slower"
    assert users >= 2


@pytest.mark.parametrize("module", ["joco_mlx.suggest.message", "joco_mlx.models.load"])
def test_whatever_is_imported_first_gets_the_fast_blas(module: str) -> None:
    code = f"import {{}}; from {DOOR} import fast_blas; print(fast_blas)"
    found = [
        subprocess.run([sys.executable, "-c", code.format(name)], capture_output=True, check=True).stdout
        for name in (DOOR, module)
    ]
    assert found[0] == found[1]


def test_a_blas_that_would_come_too_late_is_not_claimed() -> None:
    code = f"import mlx.core; from {DOOR} import fast_blas; print(fast_blas)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout == "None\n"
