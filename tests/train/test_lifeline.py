"""Ranks notice within seconds that another is gone, say why, and end: in order where they can, from outside where not."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from joco_mlx.errors import InputError, MachineError
from joco_mlx.train import lifeline as lifeline_module
from joco_mlx.train import meeting as meeting_module
from joco_mlx.train.meeting import host_meeting, join, welcome

HERE = ["127.0.0.1"]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(lifeline_module, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(lifeline_module, "SILENT_SECONDS", 1.5)


def met(ranks, intruder=None):
    """Lifelines of some ranks in this process."""
    server, meeting = host_meeting(HERE)
    if intruder is not None:
        with socket.create_connection(("127.0.0.1", meeting.port)) as stranger:
            stranger.sendall(intruder)
    found = {}
    joining = [
        threading.Thread(target=lambda rank=rank: found.__setitem__(rank, join(HERE, meeting, rank)))
        for rank in range(1, ranks)
    ]
    for thread in joining:
        thread.start()
    found[0] = welcome(server, meeting, ranks)
    for thread in joining:
        thread.join()
    return [found[rank] for rank in range(ranks)]


def told(line):
    """The problem that a lifeline hears of."""
    with pytest.raises(MachineError) as problem:
        line.raise_problem(RuntimeError("a collective failed"))
    assert "--resume" in problem.value.hint
    return problem.value.message


def test_nobody_is_lost_while_all_are_there_and_after_a_good_end():
    lines = met(3)
    time.sleep(0.5)
    assert [line.problem for line in lines] == [None] * 3
    for line in reversed(lines):
        line.close()
    assert [line.problem for line in lines] == [None] * 3


@pytest.mark.parametrize("intruder", [b"GET / HTTP/1.1\r\n\r\n", b'{"word": "guess", "rank": 1}\n', b"\xff", b""])
def test_a_stranger_is_not_let_in(intruder):
    lines = met(2, intruder)
    assert [peer.rank for peer in lines[0]._peers.values()] == [1]
    for line in lines:
        line.close()


def test_what_ended_one_rank_is_what_all_others_say():
    first, second, third = met(3)
    third.close(InputError("The loss became nan in step 7.", "Look at it."))
    for line in (first, second):
        message = told(line)
        assert message.startswith("Rank 2 (")
        assert "stopped: The loss became nan in step 7." in message
        line.close(MachineError(message))


SILENT_RANK = """
import sys, time
from joco_mlx.train.meeting import Meeting, join
join(["127.0.0.1"], Meeting(int(sys.argv[1]), sys.argv[2]), 1)
time.sleep(60)
"""


def another_process(program=SILENT_RANK, **options):
    """A lifeline of rank 0 here, and rank 1 as a process."""
    server, meeting = host_meeting(HERE)
    command = [sys.executable, "-c", program, str(meeting.port), meeting.word]
    child = subprocess.Popen(command, **options)
    return welcome(server, meeting, 2), child


def test_a_killed_rank_is_told():
    line, child = another_process()
    child.kill()
    child.wait()
    message = told(line)
    assert message.startswith("Rank 1 (")
    assert "killed" in message
    line.close(MachineError(message))


def test_a_rank_that_hangs_is_told():
    line, child = another_process()
    os.kill(child.pid, signal.SIGSTOP)
    assert "has said nothing for" in told(line)
    line.close()
    child.kill()
    child.wait()


def test_a_rank_whose_work_cannot_end_is_ended_from_outside():
    """As one that waits in MLX for gradients that never come."""
    program = SILENT_RANK.replace(
        "import sys", "import joco_mlx.train.lifeline as line; line.GRACE_SECONDS = 0.3\nimport sys"
    )
    line, child = another_process(program, stderr=subprocess.PIPE)
    line.close(InputError("The disk is gone."))
    _, complaints = child.communicate(timeout=20)
    assert child.returncode == MachineError.exit_code
    assert b"stopped: The disk is gone." in complaints
    assert b"--resume" in complaints


def test_a_rank_that_never_comes_is_named(monkeypatch):
    monkeypatch.setattr(meeting_module, "JOIN_SECONDS", 0.2)
    server, meeting = host_meeting(HERE)
    with pytest.raises(MachineError, match="Rank 1 did not come"):
        welcome(server, meeting, 3)


def test_a_rank_that_cannot_reach_rank_0_says_where_it_tried():
    server, meeting = host_meeting(HERE)
    server.close()
    with pytest.raises(MachineError, match=r"Rank 1 cannot reach rank 0 at 127\.0\.0\.1") as problem:
        join(HERE, meeting, 1)
    assert "firewall" in problem.value.hint


def test_an_address_that_is_not_this_machines_is_passed_over():
    server, meeting = host_meeting(["203.0.113.7"])
    assert meeting.port > 0
    server.close()
