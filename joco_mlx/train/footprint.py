"""How near a process is to the memory that it may have, and whether the system killed for memory.

Decides what counts as the limit: the address space or data segment that the shell or a job scheduler allows, else what
the device has. The figures are read while training runs, because nothing can be asked of a process that died.
"""

import re
import resource
import signal
from functools import cache
from pathlib import Path

from joco_mlx.models.compute import mx
from joco_mlx.models.control_group import GROUPS, ROOT, memory_groups
from joco_mlx.models.memory import this_machine_budget

NEAR_LIMIT = 0.9
"""A process that is aborted at this share of its limit or more died of memory: not every MLX says so."""
_STATUS = Path("/proc/self/status")
_KILLS = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)
_NO_MEMORY = re.compile("unable to allocate|attempting to allocate|insufficient memory|out of memory", re.IGNORECASE)

_budget = cache(this_machine_budget)  # it reads files, and is asked for many times a second


def share_of_limit() -> float:
    """Return how much of its memory this process has, as a share of what it may have."""
    shares = [mx.get_active_memory() / _budget()]
    if _STATUS.is_file():
        status = _STATUS.read_text("ascii", "replace")
        for limit, name in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")):
            allowed = resource.getrlimit(limit)[0]
            found = re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)
            if found and allowed != resource.RLIM_INFINITY:
                shares.append(int(found[1]) * 1024 / allowed)
    return max(shares)


def is_out_of_memory(problem: Exception) -> bool:
    """Whether an exception says that there is too little memory.

    MLX has no class of its own for that: a RuntimeError of its allocator, of Metal's command buffer or of CUDA says it.
    Source: mlx/backend/metal/allocator.cpp and device.cpp, mlx/backend/cuda/allocator.cpp and utils.cpp.
    """
    return isinstance(problem, MemoryError) or (
        isinstance(problem, RuntimeError) and _NO_MEMORY.search(str(problem)) is not None
    )


def died_of_memory(code: int, share: float, kills: int) -> bool:
    """Whether a process died because it had too little memory.

    Args:
        code: As it ended; negative for a signal.
        share: What it last reported of `share_of_limit`.
        kills: How many processes the system has killed for memory in its time, from `kill_count`.
    """
    if code == -signal.SIGKILL:
        return kills > 0
    return code in (-signal.SIGABRT, -signal.SIGSEGV) and share >= NEAR_LIMIT


def kill_count(groups: Path = GROUPS, root: Path = ROOT) -> int:
    """Return how many processes of this control group the system has killed for memory; 0 where there are no groups.

    Source: memory.events of cgroup v2 and memory.oom_control of v1, kernel documentation admin-guide/cgroup-v2.
    """
    most = 0
    for group in memory_groups(groups, root):
        name = "memory.events" if group.version == 2 else "memory.oom_control"
        for folder in (group.folder, group.mount):
            file = folder / name
            if file.is_file():
                most = max([most, *map(int, _KILLS.findall(file.read_text("ascii", "replace")))])
    return most
