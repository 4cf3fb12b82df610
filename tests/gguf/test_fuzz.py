"""Damaged inputs of an export: an error that is told, or a file; never a traceback, a hang or a flood of memory.

`scripts/prove gguf_fuzz` looks longer.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from adapter_fixture import random_adapter
from mutators import TARGETS, attack

MUTATIONS = 48
MOST_SECONDS = 10.0
MOST_BYTES = 300_000_000


@pytest.mark.parametrize("target", TARGETS)
def test_damaged_inputs_are_told(target: str, tiny_model: Callable[..., Path], tmp_path: Path) -> None:
    base = tiny_model("qwen2", quantised={"group_size": 32, "bits": 4}, layers=1)
    shutil.copytree(base, tmp_path / "model")
    random_adapter(base, tmp_path / "adapter")
    found = attack(tmp_path, target, MUTATIONS)
    assert found.told
    assert found.files + found.told.total() == MUTATIONS
    assert all(0 < len(message) < 2_000 for message in found.told)
    assert found.slowest_seconds < MOST_SECONDS
    assert found.grown_bytes < MOST_BYTES
    assert not [left for left in tmp_path.iterdir() if left.suffix == ".part"]
