"""What MLX may hold while training runs, from the memory plan.

By default MLX keeps every freed buffer for reuse, without bound: 51 GB beside 7 GB in use were reported of Metal. Decides
three limits. The cache gets what the plan leaves of the budget, 512 MB at most. Above the memory limit, a little below
the budget, MLX waits for work to end before it begins more. And what the plan needs is wired, so that macOS does not
swap it out; no other system knows that. A CPU device has neither cache nor device memory, and is left as it is.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from joco_mlx.models.compute import device_kind, mx

MOST_CACHED_BYTES = 512 << 20
SHARE_OF_BUDGET = 0.95
"""Of the budget, before MLX waits; at the whole of it Metal would begin to swap."""


@dataclass(frozen=True)
class Limits:
    """In bytes; None leaves MLX's own."""

    cache: int | None = None
    memory: int | None = None
    wired: int | None = None


def limits_for(planned_bytes: int, budget_bytes: int, device: str) -> Limits:
    """Return the limits for a plan.

    Args:
        planned_bytes: The peak of the largest bucket.
        budget_bytes: What training may take; on Metal the recommended working set, which is also the most that can be
            wired.
        device: As `compute.device_kind` says.
    """
    if device == "cpu":
        return Limits()
    return Limits(
        cache=min(MOST_CACHED_BYTES, max(0, budget_bytes - planned_bytes)),
        memory=int(SHARE_OF_BUDGET * budget_bytes),
        wired=min(planned_bytes, budget_bytes) if device == "metal" else None,
    )


@contextmanager
def held_to(planned_bytes: int, budget_bytes: int) -> Iterator[None]:
    """Set the limits of a plan for the length of a block, then what was set before, and give the cache back."""
    wanted = limits_for(planned_bytes, budget_bytes, device_kind())
    before = _set(wanted)
    try:
        yield
    finally:
        if before != Limits():
            mx.clear_cache()
            _set(before)


def _set(limits: Limits) -> Limits:
    """Set what is not None, and return what it was."""
    return Limits(
        cache=None if limits.cache is None else mx.set_cache_limit(limits.cache),
        memory=None if limits.memory is None else mx.set_memory_limit(limits.memory),
        wired=None if limits.wired is None else mx.set_wired_limit(limits.wired),
    )
