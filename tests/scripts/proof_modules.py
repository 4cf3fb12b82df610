"""The scripts of proofs as modules, for tests of what they decide."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

PROOFS = Path(__file__).parents[2] / "scripts" / "proofs"


def load(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return a script as a module until the test ends; its `main` is not called."""
    specification = importlib.util.spec_from_file_location(f"proof_{name}", PROOFS / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    monkeypatch.setitem(sys.modules, specification.name, module)
    specification.loader.exec_module(module)
    return module
