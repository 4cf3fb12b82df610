"""How the processes of one training find each other for their lifelines.

Decides that all connect to rank 0, where it is, and how it tells them from strangers: by a word that is handed round over
MLX's own connections, which stand already.
"""

import hmac
import json
import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from joco_mlx.errors import MachineError
from joco_mlx.train.lifeline import GO_ON, Lifeline, Peer, send

JOIN_SECONDS = 60.0
"""How long ranks wait for each other at the start."""
_ANSWER_SECONDS = 5.0
_LONGEST_WORDS = 4_096


@dataclass(frozen=True)
class Meeting:
    """Where the other ranks find rank 0, and the word by which it knows them."""

    port: int
    word: str


def host_meeting(addresses: Sequence[str]) -> tuple[socket.socket, Meeting]:
    """Return a listening socket at the first of this machine's `addresses` that it can be at, and how to get there."""
    for address in (*addresses, ""):
        try:
            server = socket.create_server((address, 0))
        except OSError:  # an address that only others see, behind a router
            continue
        server.settimeout(JOIN_SECONDS)
        return server, Meeting(server.getsockname()[1], secrets.token_hex(16))
    raise MachineError("No connection can be opened on this machine.", "Look at its network settings and firewall.")


def welcome(server: socket.socket, meeting: Meeting, ranks: int) -> Lifeline:
    """Take in all other ranks, and return rank 0's lifeline."""
    peers: dict[int, Peer] = {}
    with server:
        while len(peers) < ranks - 1:
            try:
                connection, _ = server.accept()
            except TimeoutError:
                missing = sorted(set(range(1, ranks)) - set(peers))
                raise MachineError(
                    f"Rank {missing[0]} did not come within {JOIN_SECONDS:.0f} seconds.", GO_ON
                ) from None
            peer = _introduced(connection, meeting.word)
            if peer is not None:
                peers[peer.rank] = peer
    return Lifeline(0, list(peers.values()))


def join(addresses: Sequence[str], meeting: Meeting, rank: int) -> Lifeline:
    """Connect to rank 0 at the first of `addresses` that answers, and return this rank's lifeline."""
    for address in addresses:
        try:
            connection = socket.create_connection((address, meeting.port), timeout=JOIN_SECONDS / len(addresses))
        except OSError:  # then another address
            continue
        peer = Peer(0, address, connection)
        send(peer, {"word": meeting.word, "rank": rank, "host": socket.gethostname()})
        return Lifeline(rank, [peer])
    raise MachineError(
        f"Rank {rank} cannot reach rank 0 at {', '.join(addresses)}, port {meeting.port}.",
        "Allow incoming connections to Python in the firewall of rank 0's machine.",
    )


def _introduced(connection: socket.socket, word: str) -> Peer | None:
    """Return who has connected; None, and the connection closed, for a stranger."""
    try:
        connection.settimeout(_ANSWER_SECONDS)
        said = b""
        while b"\n" not in said and len(said) < _LONGEST_WORDS:
            said += connection.recv(_LONGEST_WORDS) or b"\n"
        first, _, unread = said.partition(b"\n")
        told = json.loads(first)
        if hmac.compare_digest(str(told["word"]), word):
            return Peer(int(told["rank"]), str(told["host"]), connection, unread=unread)
    except (OSError, ValueError, KeyError, TypeError):  # whatever it was, it was none of us
        pass
    connection.close()
    return None
