"""Near-duplicates: which records say again, almost word for word, what another one says.

Decides what is compared (shingles), how alike is too alike (Jaccard), and which one goes. Exact repetitions are looked
for first. Then MinHash sketches (rensa) name candidates, and every candidate is checked by the Jaccard similarity of
the shingles themselves: a sketch can miss a pair (at the threshold, one in five thousand), never drop a record.

The rule: **a record goes when an earlier one is near it**, whether or not that one stays. So the outcome does not
depend on the order in which pairs are found, no two records that stay are near each other, and the earliest of each
cluster stays.

Memory: a shingle takes four bytes, a sketch and the names of its buckets a kilobyte a record, and no list of pairs is
kept. Broder 1997, "On the resemblance and containment of documents"; Leskovec, Rajaraman, Ullman, "Mining of Massive
Datasets", chapter 3.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import rensa

from joco_mlx.commit.record import Record
from joco_mlx.dataset.shingles import Shingles, diff_shingles, jaccard, message_shingles, without_positions

DIFF_JACCARD = 0.5
MESSAGE_JACCARD = 0.8
MINIMUM_SHINGLES = 8
"""A text with fewer is near nothing: two short texts are easily alike by chance."""
SEED = 20_240_131

_SKETCHED_AT_ONCE = 512
_COMPARED_AT_ONCE = 256
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
"""Odd, so that 32-bit hashes become different 64-bit ones."""


@dataclass(frozen=True)
class Banding:
    """How a sketch is cut: two texts are candidates when all `rows` numbers of one of `bands` bands are equal."""

    bands: int
    rows: int

    def recall(self, jaccard: float) -> float:
        """Return the probability that a pair of this similarity becomes a candidate."""
        return 1 - (1 - jaccard**self.rows) ** self.bands


DIFF_BANDING = Banding(64, 3)
MESSAGE_BANDING = Banding(24, 6)


@dataclass(frozen=True)
class Dropped:
    """A record that another one stands for."""

    record: Record
    reason: str
    """`duplicate`, `near-diff` or `near-message`."""
    earlier: Record
    """One that makes it superfluous."""


@dataclass(frozen=True)
class Deduplicated:
    """What is left, in the order given, and what is not."""

    kept: tuple[Record, ...]
    dropped: tuple[Dropped, ...]


def deduplicate(records: Sequence[Record]) -> Deduplicated:
    """Drop each record that repeats an earlier one: its message or diff exactly, or nearly.

    Args:
        records: Earliest first (`sorted(records, key=split.age)`).
    """
    reasons: dict[int, tuple[str, int]] = {}
    _note(reasons, "duplicate", range(len(records)), same_records(records))
    left = [place for place in range(len(records)) if place not in reasons]
    diffs = [diff_shingles(records[place].input) for place in left]
    _note(reasons, "near-diff", left, near_earlier(diffs, DIFF_JACCARD, DIFF_BANDING))
    messages = [message_shingles(records[place].output) for place in left]
    _note(reasons, "near-message", left, near_earlier(messages, MESSAGE_JACCARD, MESSAGE_BANDING))
    kept = tuple(record for place, record in enumerate(records) if place not in reasons)
    dropped = (Dropped(records[place], why, records[first]) for place, (why, first) in sorted(reasons.items()))
    return Deduplicated(kept, tuple(dropped))


def same_records(records: Sequence[Record], groups: Sequence[int] | None = None) -> dict[int, int]:
    """Return place -> an earlier place (of another group, if given) with the very same message or the same diff."""
    messages = exact_earlier([record.output for record in records], groups)
    return exact_earlier([without_positions(record.input) for record in records], groups) | messages


def near_records(records: Sequence[Record], groups: Sequence[int] | None = None) -> dict[int, int]:
    """Return place -> an earlier place (of another group, if given) with a near message or a near diff."""
    messages = [message_shingles(record.output) for record in records]
    diffs = [diff_shingles(record.input) for record in records]
    return near_earlier(messages, MESSAGE_JACCARD, MESSAGE_BANDING, groups) | near_earlier(
        diffs, DIFF_JACCARD, DIFF_BANDING, groups
    )


def exact_earlier(texts: Sequence[str], groups: Sequence[int] | None = None) -> dict[int, int]:
    """Return place -> an earlier place (of another group, when groups are given) with the very same text."""
    first: dict[bytes, list[int]] = {}
    found: dict[int, int] = {}
    for place, text in enumerate(texts):
        seen = first.setdefault(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest(), [])
        earlier = next((other for other in seen if groups is None or groups[other] != groups[place]), None)
        if earlier is not None:
            found[place] = earlier
        if groups is None or all(groups[other] != groups[place] for other in seen):
            seen.append(place)
    return found


def near_earlier(
    sets: Sequence[Shingles], threshold: float, banding: Banding, groups: Sequence[int] | None = None
) -> dict[int, int]:
    """Return place -> an earlier place whose shingles have a Jaccard similarity of at least `threshold`.

    Args:
        sets: One for each text; those with fewer than `MINIMUM_SHINGLES` are near nothing.
        threshold: 0 to 1.
        banding: Choose it so that `banding.recall(threshold)` is close to 1.
        groups: When given, only pairs of different groups count (the splits of a dataset, say).
    """
    places = [place for place, shingles in enumerate(sets) if shingles.size >= MINIMUM_SHINGLES]
    long = [sets[place] for place in places]
    texts = _Texts(long, _bucket_names(_sketches(long, banding), banding), threshold)
    own = None if groups is None else np.array([groups[place] for place in places])
    found: dict[int, int] = {}
    for band in range(banding.bands):
        for bucket in _buckets(texts.names[:, band]):
            for row, earlier in _compared(bucket, own, found):
                near = texts.first_near(row, earlier, band)
                if near is not None:
                    found[row] = near
    return {places[row]: places[near] for row, near in found.items()}


@dataclass(frozen=True)
class _Texts:
    """What is compared, a row for each text."""

    sets: Sequence[Shingles]
    names: npt.NDArray[np.int32]
    """The bucket of each text (row) in each band (column)."""
    threshold: float

    def first_near(self, row: int, earlier: npt.NDArray[np.intp], band: int) -> int | None:
        """Return the first of `earlier` that is near `row`, all of which share its bucket in `band`.

        Those that shared a bucket in a band before were compared there, and are not near.
        """
        for start in range(0, earlier.size, _COMPARED_AT_ONCE):
            others = earlier[start : start + _COMPARED_AT_ONCE]
            met = (self.names[others, :band] == self.names[row, :band]).any(axis=1)
            for other in others[~met].tolist():
                if self._is_near(row, other):
                    return int(other)
        return None

    def _is_near(self, row: int, other: int) -> bool:
        one, two = self.sets[row], self.sets[other]
        return _can_reach(one.size, two.size, self.threshold) and jaccard(one, two) >= self.threshold


def _compared(
    bucket: npt.NDArray[np.intp], groups: npt.NDArray[np.int_] | None, found: Mapping[int, int]
) -> Iterator[tuple[int, npt.NDArray[np.intp]]]:
    """Yield each row of an ascending bucket that is not found yet, and those before it of other groups, if there are.

    A bucket of one group, such as copies within a split, costs no more than reading it.
    """
    own = bucket if groups is None else groups[bucket]  # without groups each text is one
    strangers = np.flatnonzero(own != own[0])
    for later in range(int(strangers[0]), bucket.size) if strangers.size else ():
        row = int(bucket[later])
        if row not in found:
            yield row, bucket[:later] if groups is None else bucket[:later][own[:later] != own[later]]


def _can_reach(first: int, second: int, threshold: float) -> bool:
    """Whether sets of these sizes can be near at all: the smaller one may be a part of the larger."""
    return min(first, second) >= threshold * max(first, second)


def _sketches(sets: Sequence[Shingles], banding: Banding) -> npt.NDArray[np.uint32]:
    """Return the MinHash sketch of every set, one row each."""
    numbers = banding.bands * banding.rows
    sketches = np.empty((len(sets), numbers), np.uint32)
    for start in range(0, len(sets), _SKETCHED_AT_ONCE):
        chunk = sets[start : start + _SKETCHED_AT_ONCE]
        offsets = np.cumsum([0, *(shingles.size for shingles in chunk)]).tolist()
        flat = np.concatenate(chunk).astype(np.uint64) * _SPREAD
        rows = rensa.RMinHash.digest_matrix_from_flat_token_hashes(flat, offsets, num_perm=numbers, seed=SEED)
        sketches[start : start + len(chunk)] = rows.to_rows()
    return sketches


def _bucket_names(sketches: npt.NDArray[np.uint32], banding: Banding) -> npt.NDArray[np.int32]:
    """Return a number for each text (row) and band (column), equal in a column where all of the band's numbers are."""
    names = np.empty((len(sketches), banding.bands), np.int32)
    key = np.dtype((np.void, banding.rows * sketches.itemsize))
    for band in range(banding.bands):
        columns = np.ascontiguousarray(sketches[:, band * banding.rows : (band + 1) * banding.rows])
        names[:, band] = np.unique(columns.view(key).ravel(), return_inverse=True)[1]
    return names


def _buckets(names: npt.NDArray[np.int32]) -> Iterator[npt.NDArray[np.intp]]:
    """Yield the rows of each name that is there more than once, ascending."""
    order = np.argsort(names, kind="stable")
    ends = np.flatnonzero(names[order][1:] != names[order][:-1]) + 1
    for rows in np.split(order, ends):
        if rows.size > 1:
            yield rows


def _note(reasons: dict[int, tuple[str, int]], why: str, places: Sequence[int], found: Mapping[int, int]) -> None:
    for later, earlier in found.items():
        reasons.setdefault(places[later], (why, places[earlier]))
