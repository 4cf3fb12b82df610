"""What two texts are compared by: the set of hashes of their short runs, and how much two such sets share.

A hash has 32 bits and is equal on every machine (CRC-32 of the words, mixed by multiplication), so a similarity is off
by a billionth at most. Leaves what is too alike to `dedupe`.
"""

import re
import zlib
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Shingles: TypeAlias = npt.NDArray[np.uint32]
"""A text as a sorted set of hashes."""

DIFF_WORDS = 3
MESSAGE_CHARS = 4

_WORD = re.compile(r"\w+|[^\w\s]")
_NOISE = re.compile(r"^(?:index [0-9a-f]+\.\.[0-9a-f]+.*|@@ -[\d, +-]+ @@)", re.MULTILINE)
_BLANKS = re.compile(r"\s+")
_MIX = np.uint64(0x9E3779B97F4A7C15)
"""2**64 divided by the golden ratio (Knuth, "The Art of Computer Programming", 6.4)."""


def without_positions(patch: str) -> str:
    """Return a diff without object names and line numbers, in which equal changes differ."""
    return _NOISE.sub("", patch)


def diff_shingles(patch: str) -> Shingles:
    """Return every run of three words or marks of a diff; object names and line numbers do not count."""
    words = _WORD.findall(without_positions(patch))
    return _runs([zlib.crc32(word.encode("utf-8", "surrogatepass")) for word in words], DIFF_WORDS)


def message_shingles(message: str) -> Shingles:
    """Return every run of four characters of a message, without capitals and with single blanks."""
    return _runs(list(map(ord, _BLANKS.sub(" ", message.strip().lower()))), MESSAGE_CHARS)


def jaccard(first: Shingles, second: Shingles) -> float:
    """Return the share of shingles that both have among those that one has; 0 when both are empty."""
    shared = np.intersect1d(first, second, assume_unique=True).size
    together = first.size + second.size - shared
    return shared / together if together else 0.0


def _runs(hashes: Sequence[int], length: int) -> Shingles:
    """Return the set of hashes of every `length` neighbours."""
    if len(hashes) < length:
        return np.empty(0, np.uint32)
    numbers = np.array(hashes, np.uint64)
    total = np.zeros(len(hashes) - length + 1, np.uint64)
    for place in range(length):
        total = (total + numbers[place : place + total.size]) * _MIX
        total ^= total >> np.uint64(29)
    return np.unique((total >> np.uint64(32)).astype(np.uint32))
