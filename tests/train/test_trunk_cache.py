"""The trunk cache gives back what was put in, bit for bit, or nothing; and keeps to its bytes."""

import os

import numpy as np
import pytest

from joco_mlx import artifacts
from joco_mlx.errors import MachineError
from joco_mlx.models.compute import mx
from joco_mlx.train.mlx_lora import trunk_cache
from joco_mlx.train.mlx_lora.trunk_cache import TrunkCache

RECIPE = {"base": "0" * 64, "layers": 2}
SHAPE = (1, 4, 8)
ENTRY_BYTES = 32 + 4 * 4 * 8


def row(number):
    return np.array([number, 2, 3, 0], np.int32)


def array(number, dtype=mx.float32):
    return mx.random.normal(SHAPE, key=mx.random.key(number)).astype(dtype)


def fill(cache, numbers):
    for number in numbers:
        cache.put(row(number), array(number))


def kept(folder, numbers, budget=10**9):
    """Which of some entries a new process would find."""
    cache = TrunkCache(folder, budget, RECIPE)
    return [number for number in numbers if cache.get(row(number), SHAPE, mx.float32) is not None]


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("dtype", [mx.float32, mx.bfloat16, mx.float16], ids=str)
def test_every_bit_comes_back(tmp_path, dtype):
    TrunkCache(tmp_path, 10**9, RECIPE).put(row(1), array(1, dtype))
    found = TrunkCache(tmp_path, 10**9, RECIPE).get(row(1), SHAPE, dtype)
    assert found.dtype == dtype
    assert mx.array_equal(found, array(1, dtype))


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": {**RECIPE, "layers": 3}},
        {"recipe": {**RECIPE, "base": "1" * 64}},
        {"ids": np.array([1, 2, 3, 0, 0], np.int32)},
        {"ids": np.array([1, 2, 4, 0], np.int32)},
    ],
    ids=["layers", "base", "padding", "ids"],
)
def test_another_question_has_another_answer(tmp_path, change):
    TrunkCache(tmp_path, 10**9, RECIPE).put(row(1), array(1))
    cache = TrunkCache(tmp_path, 10**9, change.get("recipe", RECIPE))
    assert cache.get(change.get("ids", row(1)), SHAPE, mx.float32) is None
    assert (cache.hits, cache.misses) == (0, 1)


def flip(content):
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize(
    "damage", [flip, lambda content: content[:-4], lambda _: b"", lambda content: content + b"\0"],
    ids=["a bit", "cut", "empty", "longer"],
)  # fmt: skip
def test_a_damaged_entry_is_none_and_is_replaced(tmp_path, damage):
    cache = TrunkCache(tmp_path, 10**9, RECIPE)
    cache.put(row(1), array(1))
    (path,) = files(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    assert cache.get(row(1), SHAPE, mx.float32) is None
    assert files(tmp_path) == []
    cache.put(row(1), array(1))
    assert kept(tmp_path, [1]) == [1]


def test_the_longest_unused_goes_first(tmp_path):
    fill(TrunkCache(tmp_path, 10**9, RECIPE), range(4))
    for age, path in enumerate(files(tmp_path)):
        os.utime(path, (age, age))
    oldest = files(tmp_path)[:2]
    fill(TrunkCache(tmp_path, 4 * ENTRY_BYTES, RECIPE), [10, 11])
    assert not any(path.exists() for path in oldest)
    assert sum(path.stat().st_size for path in files(tmp_path)) == 4 * ENTRY_BYTES


def test_what_this_run_has_used_stays_when_more_does_not_fit(tmp_path):
    fill(TrunkCache(tmp_path, 10**9, RECIPE), [1])
    told = []
    cache = TrunkCache(tmp_path, 2 * ENTRY_BYTES, RECIPE, told.append)
    assert cache.get(row(1), SHAPE, mx.float32) is not None
    fill(cache, [2, 3, 4])
    assert kept(tmp_path, range(1, 5)) == [1, 2]
    assert len(told) == 1
    assert "--trunk-cache" in told[0]


def test_a_disk_that_refuses_ends_nothing(tmp_path, monkeypatch):
    def refuse(_):
        raise MachineError("The disk is full.")

    told = []
    cache = TrunkCache(tmp_path, 10**9, RECIPE, told.append)
    monkeypatch.setattr(trunk_cache, "whole_file", refuse)
    fill(cache, [1, 2])
    assert told == ["The trunk cache keeps nothing more: The disk is full."]
    assert cache.get(row(1), SHAPE, mx.float32) is None


def test_the_last_room_of_a_disk_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(trunk_cache, "_free", lambda _: trunk_cache.LEAST_FREE_BYTES)
    told = []
    fill(TrunkCache(tmp_path, 10**9, RECIPE, told.append), [1])
    assert files(tmp_path) == []
    assert "2 GB" in told[0]


def test_what_a_killed_process_left_is_cleared_away_after_an_hour(tmp_path):
    folder = tmp_path / "ab"
    folder.mkdir()
    old, new = folder / ".x.trunk.1.part", folder / ".x.trunk.2.part"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    TrunkCache(tmp_path, 10**9, RECIPE)
    assert files(tmp_path) == [new]


def test_an_entry_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    def killed(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(artifacts, "_make_durable", killed)
    with pytest.raises(KeyboardInterrupt):
        TrunkCache(tmp_path, 10**9, RECIPE).put(row(1), array(1))
    assert files(tmp_path) == []
