"""MLX is held to the memory plan on a GPU, gets its own limits back, and a CPU is left alone."""

import pytest

from joco_mlx.models.compute import mx
from joco_mlx.train import limits
from joco_mlx.train.limits import MOST_CACHED_BYTES, Limits, held_to, limits_for

BUDGET = 5_461_000_000


class Allocator:
    """MLX's limits as a GPU has them, and every call."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, device: str) -> None:
        self.held = {"cache": 8 << 30, "memory": 8 << 30, "wired": 0}
        self.cleared = 0
        monkeypatch.setattr(limits, "device_kind", lambda: device)
        for name in self.held:
            monkeypatch.setattr(mx, f"set_{name}_limit", lambda value, name=name: self.swap(name, value))
        monkeypatch.setattr(mx, "clear_cache", self.clear)

    def swap(self, name: str, value: int) -> int:
        before, self.held[name] = self.held[name], value
        return before

    def clear(self) -> None:
        self.cleared += 1


@pytest.mark.parametrize(
    ("planned", "expected"),
    [
        (2_000_000_000, Limits(MOST_CACHED_BYTES, 5_187_950_000, 2_000_000_000)),
        (5_400_000_000, Limits(61_000_000, 5_187_950_000, 5_400_000_000)),
        (9_000_000_000, Limits(0, 5_187_950_000, BUDGET)),
    ],
    ids=["roomy", "tight", "too much"],
)
def test_the_limits_come_from_the_plan(planned: int, expected: Limits) -> None:
    assert limits_for(planned, BUDGET, "metal") == expected


def test_only_metal_wires_memory_and_a_cpu_has_no_limits() -> None:
    assert limits_for(10, BUDGET, "cuda") == Limits(MOST_CACHED_BYTES, 5_187_950_000, None)
    assert limits_for(10, BUDGET, "cpu") == Limits()


@pytest.mark.parametrize("failing", [False, True])
def test_what_was_set_before_comes_back(monkeypatch: pytest.MonkeyPatch, failing: bool) -> None:
    allocator = Allocator(monkeypatch, "metal")
    before = dict(allocator.held)
    with pytest.raises(ValueError, match="half") if failing else held_to(1, BUDGET):
        if failing:
            with held_to(1, BUDGET):
                raise ValueError("half way")
        assert allocator.held == {"cache": MOST_CACHED_BYTES, "memory": 5_187_950_000, "wired": 1}
    assert allocator.held == before
    assert allocator.cleared == 1


def test_on_a_cpu_nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    allocator = Allocator(monkeypatch, "cpu")
    before = dict(allocator.held)
    with held_to(1, BUDGET):
        assert allocator.held == before
    assert allocator.cleared == 0


def test_the_real_allocator_takes_and_returns_limits() -> None:
    """The functions themselves, on whatever device this is."""
    wanted = limits_for(1_000_000, 50_000_000_000, "cuda")
    before = limits._set(wanted)
    assert limits._set(before) == wanted
