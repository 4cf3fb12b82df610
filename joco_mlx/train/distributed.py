"""Training on several machines: which rank this process is, and what all ranks compute together.

Decides how work is shared (each rank takes every n-th batch of a step), that sums go over MLX's own collectives in one
array at a time, and that rank 0 is the one that knows: its settings and its state become everybody's. Leaves noticing
that a rank is gone to `lifeline`. A process that was not started by `mlx.launch` is a team of one, and nothing is sent.
"""

import json
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

from joco_mlx.errors import InputError, MachineError, StoppedError
from joco_mlx.models.compute import mx, trees
from joco_mlx.train.lifeline import Lifeline
from joco_mlx.train.meeting import JOIN_SECONDS, Meeting, host_meeting, join, welcome

Item = TypeVar("Item")
_LAUNCH = "Start all of them at once with mlx.launch; docs/distributed.md has the commands."


class Team:
    """The processes that train together.

    Attributes:
        rank: This process, from 0.
        size: How many there are.
    """

    def __init__(self, group: Any = None, lifeline: Lifeline | None = None) -> None:
        self.rank: int = group.rank() if group else 0
        self.size: int = group.size() if group else 1
        self.lifeline = lifeline
        self._group = group

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """Return what this rank does of work that all do together."""
        return items[self.rank :: self.size]

    def sum(self, tree: Any) -> Any:
        """Return a tree of arrays of one type, each of them added up over all ranks."""
        if self.size == 1:
            return tree
        names, arrays = zip(*_flat(tree), strict=True)
        parts = self._summed([array.reshape(-1) for array in arrays])
        shaped = [part.reshape(array.shape) for part, array in zip(parts, arrays, strict=True)]
        return trees.tree_unflatten(list(zip(names, shaped, strict=True)))

    def total(self, *numbers: float) -> list[float]:
        """Return numbers added up over all ranks."""
        if self.size == 1:
            return list(numbers)
        return [float(value) for value in self._all_sum(mx.array(numbers, mx.float32)).tolist()]

    def any(self, claim: bool) -> bool:
        """Whether any rank claims it. All ranks have to ask."""
        return self.total(float(claim))[0] > 0

    def told(self, value: Any) -> Any:
        """Return rank 0's value, which JSON can hold; what the others give is not looked at."""
        if self.size == 1:
            return value
        text = json.dumps(value, default=str).encode() if self.leads else b""
        size = int(self.total(len(text))[0])
        content = mx.array(list(text), mx.uint8) if self.leads else mx.zeros(size, mx.uint8)
        return json.loads(bytes(self._all_sum(content).tolist()))

    def shared(self, tree: Any) -> Any:
        """Return rank 0's tree of arrays, bit for bit; the others give one of the same shapes."""
        if self.size == 1:
            return tree
        names, arrays = zip(*_flat(tree), strict=True)
        contents = [array.reshape(-1).view(mx.uint8) for array in arrays]
        given = self._summed(contents if self.leads else [mx.zeros_like(content) for content in contents])
        shaped = [part.view(array.dtype).reshape(array.shape) for part, array in zip(given, arrays, strict=True)]
        return trees.tree_unflatten(list(zip(names, shaped, strict=True)))

    def require_same(self, what: Mapping[str, Any]) -> None:
        """Raise InputError on a rank that has something else than rank 0 under one of the names."""
        for name, value in self.told(dict(what)).items():
            own = json.loads(json.dumps(what[name], default=str))
            if own != value:
                raise InputError(
                    f"Rank {self.rank} has another {name} than rank 0: {own} in place of {value}.",
                    f"Give every machine the same {name}.",
                )

    def _summed(self, rows: list[Any]) -> list[Any]:
        """Add up vectors of one type over all ranks, in one collective."""
        total, parts, start = self._all_sum(mx.concatenate(rows)), [], 0
        for row in rows:
            parts.append(total[start : start + row.size])
            start += row.size
        return parts

    def _all_sum(self, array: Any) -> Any:
        try:
            total = mx.distributed.all_sum(array, group=self._group)
            mx.eval(total)
        except RuntimeError as problem:
            if self.lifeline is not None:
                self.lifeline.raise_problem(problem)
            raise MachineError(f"The connection to the other ranks was lost: {problem}.", _LAUNCH) from problem
        return total


ALONE = Team()


def _flat(tree: Any) -> list[tuple[str, Any]]:
    """Names and arrays of a tree, in an order that is the same on all ranks however it was put together."""
    return sorted(trees.tree_flatten(tree))


def is_launched(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether `mlx.launch` started this process as one of several."""
    if "MLX_RANK" not in environment:
        return False
    return bool(_hosts(environment)) or any(name in environment for name in ("MLX_JACCL_COORDINATOR", "NCCL_HOST_IP"))


def leads(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this process is the one that speaks: alone, or rank 0."""
    return not is_launched(environment) or environment["MLX_RANK"] == "0"


@contextmanager
def joined() -> Iterator[Team]:
    """Meet the other ranks for the length of a block; what ends it early on one rank ends it on all.

    Raises:
        MachineError: The others did not come, or one of them was lost.
    """
    if not is_launched():
        yield ALONE
        return
    group = _initialised()
    if group.size() == 1:
        yield ALONE
        return
    team = Team(group)
    team.lifeline = _lifeline(team, _addresses(os.environ))
    with _ending_in_order(team.lifeline):
        try:
            yield team
        except BaseException as problem:
            team.lifeline.close(None if isinstance(problem, StoppedError) else problem)  # all ranks stop together
            raise
        team.lifeline.close()


@contextmanager
def _ending_in_order(lifeline: Lifeline) -> Iterator[None]:
    """Let the process end in order when the launcher terminates it, which it does at once when another rank is lost."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def terminated(_number: int, _frame: FrameType | None) -> None:
        if lifeline.problem is None:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, terminated)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _initialised() -> Any:
    """MLX's group of processes; it waits for all of them, and says nothing when they do not come."""
    late = threading.Timer(JOIN_SECONDS, _not_met)
    late.daemon = True
    late.start()
    try:
        return mx.distributed.init(strict=True)
    except RuntimeError as problem:
        raise MachineError(f"The ranks did not meet: {problem}.", _LAUNCH) from problem
    finally:
        late.cancel()


def _not_met() -> None:
    """End the process from outside of MLX's waiting, which nothing else can."""
    rank = os.environ["MLX_RANK"]
    os.write(2, f"\nerror: Rank {rank} waited {JOIN_SECONDS:.0f} seconds for the others.\n{_LAUNCH}\n".encode())
    os._exit(MachineError.exit_code)


def _lifeline(team: Team, addresses: Sequence[str]) -> Lifeline:
    if team.leads:
        server, meeting = host_meeting(addresses)
        team.told(asdict(meeting))
        return welcome(server, meeting, team.size)
    return join(addresses, Meeting(**team.told(None)), team.rank)


def _addresses(environment: Mapping[str, str]) -> list[str]:
    """Where rank 0 is, as the launcher told all ranks."""
    found = [*_hosts(environment)[:1]]
    listed = [address.rpartition(":")[0] for address in found[0]] if found else []
    coordinator = environment.get("MLX_JACCL_COORDINATOR", "").rpartition(":")[0]
    return list(dict.fromkeys(filter(None, [*listed, coordinator, environment.get("NCCL_HOST_IP", "")])))


def _hosts(environment: Mapping[str, str]) -> list[list[str]]:
    """Return `address:port` of each rank of a ring; empty for another backend or a single process."""
    try:
        content = Path(environment["MLX_HOSTFILE"]).read_text("utf-8").strip()
        return [list(map(str, addresses)) for addresses in json.loads(content)] if content else []
    except (KeyError, OSError, ValueError, TypeError):  # not a ring, or no file of the launcher
        return []
