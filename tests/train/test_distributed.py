"""What ranks compute together, with threads for ranks and a sum over them for MLX's collective."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from joco_mlx.errors import InputError, MachineError
from joco_mlx.models.compute import mx
from joco_mlx.train import distributed
from joco_mlx.train.distributed import ALONE, Team, is_launched, joined, leads


class Threads:
    """A sum over threads: each gives one array, all get the total."""

    def __init__(self, size):
        self.size, self.given, self.calls = size, [None] * size, 0
        self.barrier = threading.Barrier(size, timeout=20)

    def sum(self, rank, array):
        mx.eval(array)
        self.given[rank] = array
        self.barrier.wait()
        total = sum(self.given[1:], self.given[0])
        mx.eval(total)
        self.barrier.wait()
        self.calls += rank == 0
        return total


class Ranked(Team):
    def __init__(self, threads, rank):
        super().__init__()
        self.rank, self.size, self.threads = rank, threads.size, threads

    def _all_sum(self, array):
        return self.threads.sum(self.rank, array)


def on_all(size, call):
    """What `call(team)` gives on each rank, and how many collectives it took."""
    threads = Threads(size)
    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(lambda rank: call(Ranked(threads, rank)), range(size))), threads.calls


def here(tree):
    """Compute a tree in the thread whose stream it is on."""
    mx.eval(tree)
    return tree


def test_alone_nothing_is_sent_or_changed():
    tree = {"a": mx.ones(3)}
    assert ALONE.sum(tree) is tree
    assert ALONE.shared(tree) is tree
    assert ALONE.told({"steps": 3}) == {"steps": 3}
    assert ALONE.share([1, 2, 3]) == [1, 2, 3]
    assert (ALONE.total(2, 0.5), ALONE.any(True), ALONE.leads) == ([2, 0.5], True, True)
    ALONE.require_same({"dataset": "x"})


@pytest.mark.parametrize("size", [2, 3, 5])
def test_a_tree_is_summed_in_one_collective(size):
    def summed(team):
        own = {"b": mx.full((2, 3), team.rank + 1.0), "a": [mx.array(10.0 * team.rank)]}
        return here(team.sum(own if team.rank else {"a": own["a"], "b": own["b"]}))  # in another order on rank 0

    found, calls = on_all(size, summed)
    assert calls == 1
    for tree in found:
        assert mx.array_equal(tree["b"], mx.full((2, 3), size * (size + 1) / 2))
        assert tree["a"][0].item() == 10 * sum(range(size))


def test_work_is_shared_without_gaps():
    found, _ = on_all(3, lambda team: (list(team.share(range(5, 12))), team.share("ab")))
    assert sorted(number for numbers, _ in found for number in numbers) == list(range(5, 12))
    assert [letters for _, letters in found] == ["a", "b", ""]


def test_what_one_claims_all_know():
    found, _ = on_all(3, lambda team: (team.any(team.rank == 2), team.any(False), team.total(team.rank, 0.25)))
    assert found == [(True, False, [3, 0.75])] * 3


def test_rank_0_is_believed_bit_for_bit():
    value = {"path": "a/ü", "rate": 2e-4, "none": None}
    arrays = {
        "step": mx.array(7, mx.uint64),
        "m": mx.array([1e-30, -3.5, float("nan")]),
        "half": mx.array([[1.5], [-2.0]], mx.bfloat16),
    }

    def told(team):
        own = arrays if team.leads else {name: mx.ones_like(array) for name, array in reversed(arrays.items())}
        return team.told(value if team.leads else None), here(team.shared(own))

    for found, state in on_all(2, told)[0]:
        assert found == value
        for name, array in arrays.items():
            assert state[name].dtype == array.dtype
            assert state[name].shape == array.shape
            assert mx.array_equal(state[name].reshape(-1).view(mx.uint8), array.reshape(-1).view(mx.uint8))


def test_a_rank_with_other_data_says_so():
    def compared(team):
        own = {"model": "same", "dataset": "mine" if team.rank == 1 else "yours"}
        try:
            team.require_same(own)
        except InputError as problem:
            return problem.message
        return None

    found, _ = on_all(3, compared)
    assert found == [None, "Rank 1 has another dataset than rank 0: mine in place of yours.", None]


def test_a_lost_connection_is_told_without_a_traceback(monkeypatch):
    class Group:
        def rank(self):
            return 1

        def size(self):
            return 2

    def lost(*_, **__):
        raise RuntimeError("[ring] connection to a peer was lost")

    monkeypatch.setattr(distributed.mx.distributed, "all_sum", lost)
    with pytest.raises(MachineError, match="connection to the other ranks was lost") as problem:
        Team(Group()).any(True)
    assert "docs/distributed.md" in problem.value.hint


@pytest.mark.parametrize(
    ("environment", "hosts", "launched", "speaks"),
    [
        ({}, None, False, True),
        ({"MLX_RANK": "1"}, None, False, True),
        ({"MLX_RANK": "1"}, "", False, True),
        ({"MLX_RANK": "1"}, [["10.0.0.1:1"], ["10.0.0.2:1"]], True, False),
        ({"MLX_RANK": "0"}, [["10.0.0.1:1"], ["10.0.0.2:1"]], True, True),
        ({"MLX_RANK": "1", "MLX_JACCL_COORDINATOR": "10.0.0.1:1"}, None, True, False),
        ({"MLX_RANK": "1", "NCCL_HOST_IP": "10.0.0.1"}, None, True, False),
    ],
    ids=["alone", "no backend", "one host", "ring, second", "ring, first", "jaccl", "nccl"],
)
def test_who_was_launched_by_what_the_launcher_leaves(tmp_path, environment, hosts, launched, speaks):
    if hosts is not None:
        (tmp_path / "hosts").write_text(json.dumps(hosts) if hosts else "")
        environment = {**environment, "MLX_HOSTFILE": str(tmp_path / "hosts")}
    assert is_launched(environment) is launched
    assert leads(environment) is speaks
    addresses = distributed._addresses(environment)
    assert addresses == (["10.0.0.1"] if launched else [])


def test_a_process_that_nobody_launched_is_a_team_of_one(monkeypatch):
    monkeypatch.delenv("MLX_RANK", raising=False)
    with joined() as team:
        assert team is ALONE
