"""Who of several training processes is alive, told apart from what they compute together.

A process that waits for another's gradients waits in MLX's own code, for ever when the other has stopped but not closed
its connections (a machine that lost its network, sleeps, or swaps). So each process has a thread that hears from the
others through a connection of its own: rank 0 with every other rank. Decides when a process counts as lost, what the
others say then, and that they end: in order where they can, else at once from that thread. Leaves how they find each
other to `meeting`.

Messages are lines of JSON: {"alive": true} every two seconds, {"bye": true} at a good end, {"lost": "sentence"} at a bad one.
"""

import contextlib
import json
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from joco_mlx.errors import MachineError

BEAT_SECONDS = 2.0
SILENT_SECONDS = 15.0
"""Without a word for this long a rank counts as lost."""
GRACE_SECONDS = 5.0
"""How long the process may take to end in order after another was lost."""
GO_ON = "Look at what that rank wrote, then go on from the last checkpoint: the same command with --resume."


@dataclass
class Peer:
    """A connection to another rank."""

    rank: int
    host: str
    socket: socket.socket
    heard_at: float = field(default_factory=time.monotonic)
    unread: bytes = b""


class Lifeline:
    """This process's connections to the others, and the thread that watches them.

    Attributes:
        problem: Why the others are ending; None while all is well.
    """

    def __init__(self, rank: int, peers: Sequence[Peer]) -> None:
        self.rank = rank
        self.problem: str | None = None
        self._peers = {peer.rank: peer for peer in peers}
        self._lost, self._closed = threading.Event(), threading.Event()
        self._lost_call: Callable[[str], None] = lambda _: None
        self._thread = threading.Thread(target=self._watch, name="lifeline", daemon=True)
        self._thread.start()

    def on_loss(self, call: Callable[[str], None]) -> None:
        """Have `call` called, from the thread, with the problem when another rank is lost."""
        self._lost_call = call

    def raise_problem(self, cause: BaseException) -> None:
        """Raise MachineError with what became of the others, when they were lost; they may be heard of a moment later."""
        if self._lost.wait(GRACE_SECONDS):
            raise MachineError(str(self.problem), GO_ON) from cause

    def close(self, ended_by: BaseException | None = None) -> None:
        """Part from the others: in peace, or with what ended this process."""
        told: dict[str, Any] = {"bye": True}
        if ended_by is not None and self.problem is None:
            what = getattr(ended_by, "message", None) or repr(ended_by)
            told = {"lost": f"Rank {self.rank} ({socket.gethostname()}) stopped: {what}"}
        elif self.problem is not None:
            told = {"lost": self.problem}
        self._closed.set()
        self._thread.join()
        for peer in self._peers.values():
            send(peer, told)
            peer.socket.close()

    def _watch(self) -> None:
        beat_at = 0.0
        with selectors.DefaultSelector() as selector:
            for peer in self._peers.values():
                selector.register(peer.socket, selectors.EVENT_READ, peer)
            while not self._closed.is_set():
                if time.monotonic() - beat_at >= BEAT_SECONDS:
                    beat_at = time.monotonic()
                    for peer in self._peers.values():
                        send(peer, {"alive": True})
                for key, _ in selector.select(timeout=0.2):
                    if not self._heard(key.data):
                        selector.unregister(key.fileobj)
                for peer in self._peers.values():
                    if time.monotonic() - peer.heard_at > SILENT_SECONDS:
                        self._lose(f"Rank {peer.rank} ({peer.host}) has said nothing for {SILENT_SECONDS:.0f} seconds.")
                if self._lost.is_set():
                    self._end()
                    return

    def _heard(self, peer: Peer) -> bool:
        """Take what a peer says; whether there may be more of it."""
        try:
            said = peer.socket.recv(1 << 16)
        except OSError:  # a reset connection is an ended one
            said = b""
        if not said:
            self._lose(f"Rank {peer.rank} ({peer.host}) ended without a word; it was killed, or its machine went down.")
            return False
        peer.heard_at = time.monotonic()
        *lines, peer.unread = (peer.unread + said).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "lost" in message:
                self._lose(message["lost"])
            elif "bye" in message:
                del self._peers[peer.rank]
                return False
        return True

    def _lose(self, problem: str) -> None:
        if self.problem is None:
            self.problem = problem
            self._lost.set()

    def _end(self) -> None:
        """Say it everywhere at once, because a launcher may end this process; then leave it some seconds to end in order."""
        os.write(2, f"\n{self.problem}\n{GO_ON}\n".encode())
        for peer in self._peers.values():
            send(peer, {"lost": self.problem})
        with contextlib.suppress(Exception):  # nothing may keep this process from ending
            self._lost_call(str(self.problem))
        if not self._closed.wait(GRACE_SECONDS):
            os._exit(MachineError.exit_code)


def send(peer: Peer, message: dict[str, Any]) -> None:
    """Say something to a peer, who may be gone."""
    with contextlib.suppress(OSError):  # a peer that is gone is noticed by its silence
        peer.socket.sendall(json.dumps(message).encode() + b"\n")
