"""The control groups that Linux counts this process's memory in: where their files are.

Decides how a group is found, for version 2 and 1 alike: containers, systemd and job schedulers all limit a program in
this way. Leaves what follows from a limit to `memory`, and from a death to `train.footprint`. Elsewhere there are none.
Source: kernel documentation, admin-guide/cgroup-v2 and admin-guide/cgroup-v1/memory; cgroups(7).
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

GROUPS = Path("/proc/self/cgroup")
ROOT = Path("/sys/fs/cgroup")


class MemoryGroup(NamedTuple):
    """A group of this process in a hierarchy that counts memory."""

    version: Literal[1, 2]
    mount: Path
    """Where the hierarchy is seen. A container sees its own group there, and no `folder`."""
    folder: Path


def memory_groups(groups: Path = GROUPS, root: Path = ROOT) -> Iterator[MemoryGroup]:
    """Yield the groups whose memory this process counts for; a system may have both versions, one of them without.

    Args:
        groups: What the kernel says of this process: a line HIERARCHY:CONTROLLERS:PATH for each hierarchy.
        root: Where the hierarchies are mounted.
    """
    if not groups.is_file():
        return
    for line in groups.read_text("utf-8", "replace").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield MemoryGroup(2, root, root / path.lstrip("/"))
        elif "memory" in controllers.split(","):
            yield MemoryGroup(1, root / "memory", root / "memory" / path.lstrip("/"))


def memory_limit_bytes(groups: Path = GROUPS, root: Path = ROOT) -> float:
    """Return how much memory this process's groups may have, or infinity: the least of its own and of those around it.

    Args:
        groups: As for `memory_groups`.
        root: As for `memory_groups`.
    """
    limits = [math.inf]
    for group in memory_groups(groups, root):
        name = "memory.max" if group.version == 2 else "memory.limit_in_bytes"
        around = [folder for folder in group.folder.parents if folder.is_relative_to(group.mount)]
        limits.extend(_limit(folder / name) for folder in (group.folder, *around))
    return min(limits)


def _limit(file: Path) -> float:
    try:
        return float(file.read_text("ascii"))
    except (OSError, ValueError):  # no group here, or the word `max`
        return math.inf
