"""The ways in which records leak: over a split, through an author's work, from a benchmark into the training data.

Decides how each is measured, and what makes it impossible to measure. Leaves how much is too much to `audit`.
"""

import bisect
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, datetime, timedelta

from joco_mlx.commit.diff import parse_diff
from joco_mlx.commit.record import Record
from joco_mlx.dataset.dedupe import near_records, same_records
from joco_mlx.dataset.provenance import BOT, IMPORTED_FROM, UNKNOWN_AUTHOR, is_derived

DAYS = timedelta(days=7)
"""Within which a change of the same file by the same author is likely to be the same work."""
_HASH_DIGITS = 7


@dataclass(frozen=True)
class Overlap:
    """Places of records that a record of an earlier group stands for too."""

    same_commit: frozenset[int]
    same_text: frozenset[int]
    """Equal diff or message."""
    near: frozenset[int]
    """Near diff or message."""


@dataclass(frozen=True)
class Contamination:
    """Benchmark cases that stand in the training split."""

    cases: int
    same_commit: int
    same_text: int
    """Equal diff or message."""
    near: int
    """Near diff or message."""
    contaminated: int
    """Cases with any of these."""

    def to_json(self) -> dict[str, int]:
        """Return the five numbers by name."""
        return dict(vars(self))


def author_file_leakage(train: Sequence[Record], validation: Sequence[Record]) -> tuple[float | None, str]:
    """Return the share of `validation` that changes a file which the same author changed in `train` within `DAYS`.

    Returns:
        The share, or None and what is missing: a date or an author in every record of one side.
    """
    if not validation:
        return 0.0, ""
    dated = [record for record in validation if _moment(record) and _has_author(record)]
    known = _moments_of_changes(train)
    if not dated or not known:
        return None, "author_file_leakage_share: no authors with dates"
    leaked = sum(any(_is_within(known.get(key, ()), record) for key in _touched(record)) for record in dated)
    return leaked / len(dated), ""


def continued(train: Sequence[Record], validation: Sequence[Record]) -> frozenset[int]:
    """Return the places in `train` of what the same author changed in the same file within `DAYS` of `validation`."""
    known = _moments_of_changes(validation)
    near = (any(_is_within(known.get(key, ()), record) for key in _touched(record)) for record in train)
    return frozenset(place for place, is_near in enumerate(near) if is_near)


def contamination(train: Sequence[Record], cases: Sequence[Record]) -> Contamination:
    """Look for benchmark cases among training records."""
    records = [*train, *cases]
    groups = [0] * len(train) + [1] * len(cases)
    found = overlap(records, groups)
    any_way = found.same_commit | found.same_text | found.near
    return Contamination(len(cases), len(found.same_commit), len(found.same_text), len(found.near), len(any_way))


def overlap(records: Sequence[Record], groups: Sequence[int]) -> Overlap:
    """Compare the records of different groups (the splits of a dataset, say), each with those of earlier groups."""
    return Overlap(
        frozenset(_same_commits(records, groups)),
        frozenset(same_records(records, groups)),
        frozenset(near_records(records, groups)),
    )


def _same_commits(records: Sequence[Record], groups: Sequence[int]) -> set[int]:
    """Compare hashes by the digits that both have; made-up ones are none."""
    seen: dict[str, list[tuple[int, str]]] = defaultdict(list)
    found = set()
    for place, record in enumerate(records):
        name = record.metadata.commit_hash
        if is_derived(record, "commit_hash"):
            continue
        others = seen[name[:_HASH_DIGITS]]
        if any(
            group != groups[place] and (name.startswith(other) or other.startswith(name)) for group, other in others
        ):
            found.add(place)
        others.append((groups[place], name))
    return found


def bots(records: Sequence[Record]) -> tuple[int | None, str]:
    """Count records of programs, as far as records name their authors.

    Our own name nobody: their bots were recognised when they were extracted, and left out.
    """
    named = sum(IMPORTED_FROM in record.metadata.extra and _has_author(record) for record in records)
    unknown = "" if named == len(records) else f"bots: {len(records) - named:,} records do not name their author"
    return (sum(record.metadata.extra.get(BOT) is True for record in records) if named else None), unknown


def without_commit(records: Sequence[Record]) -> str:
    """Say how many records do not name their commit; empty when all do."""
    count = sum(is_derived(record, "commit_hash") for record in records)
    return f"same_commits_across_splits: {count:,} records do not name their commit" if count else ""


def _has_author(record: Record) -> bool:
    return record.metadata.author != UNKNOWN_AUTHOR


def _moment(record: Record) -> datetime | None:
    """Return when a record was written; None when it does not say.

    The first year and the last one are no dates (Go writes an unset one as 0001-01-01), and have no days around them.
    """
    try:
        moment = None if record.metadata.authored_at is None else datetime.fromisoformat(record.metadata.authored_at)
    except ValueError:  # the schema lets the 31st of February pass
        return None
    return moment if moment and moment.year not in (MINYEAR, MAXYEAR) else None


def _moments_of_changes(records: Sequence[Record]) -> dict[tuple[str, str, str], list[datetime]]:
    """Return repository, author and path of each changed file -> when it was changed, earliest first."""
    known: dict[tuple[str, str, str], list[datetime]] = defaultdict(list)
    for record in records:
        moment = _moment(record)
        if moment and _has_author(record):
            for key in _touched(record):
                known[key].append(moment)
    for moments in known.values():
        moments.sort()
    return known


def _touched(record: Record) -> Iterator[tuple[str, str, str]]:
    """Yield repository, author and path of each file that a record changes."""
    for change in parse_diff(record.input):
        yield record.metadata.repository, record.metadata.author, change.path


def _is_within(moments: Sequence[datetime], record: Record) -> bool:
    """Whether one of the ascending `moments` is at most `DAYS` away from the record's."""
    moment = _moment(record)
    if moment is None:
        return False
    place = bisect.bisect_left(moments, moment - DAYS)
    return place < len(moments) and moments[place] <= moment + DAYS
