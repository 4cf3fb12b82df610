"""A dataset in which nobody is too loud: caps on repositories, authors and types.

Decides who goes when a share is too large: the lowest score, then an order by hash, so that nothing depends on names or
dates. A cap counts from what was there before: shares of the outcome would let one small group shrink all others. Only
the shares that the settings name for single types are shares of the outcome.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from joco_mlx.commit.grammar import TYPES
from joco_mlx.commit.record import Record
from joco_mlx.config import BuildConfig
from joco_mlx.errors import UsageError


@dataclass(frozen=True)
class Balanced:
    """What stays, in the order given, and how many each cap took."""

    kept: tuple[Record, ...]
    dropped: Counter[str]
    """Reason code -> number."""


def balance(records: Sequence[Record], config: BuildConfig) -> Balanced:
    """Apply the caps on repositories, authors and types, in this order."""
    dropped: Counter[str] = Counter()
    kept = list(records)
    for reason, key, share in (
        ("repository-cap", repository_of, config.maximum_repository_share),
        ("author-cap", author_of, config.maximum_author_share),
        ("type-cap", type_of, config.maximum_type_share),
    ):
        counts = Counter(map(key, kept))
        left = _best(kept, key, caps(counts, share))
        dropped[reason] += len(kept) - len(left)
        kept = left
    wanted = config.shares_of_types()
    if wanted:
        left = _best(kept, type_of, quotas(Counter(map(type_of, kept)), wanted))
        dropped["type-cap"] += len(kept) - len(left)
        kept = left
    return Balanced(tuple(kept), +dropped)


def refuse_unknown_types(config: BuildConfig) -> None:
    """Raise UsageError when a share is set for what is no type of a commit."""
    for name in config.shares_of_types():
        if name not in TYPES:
            raise UsageError(f"--type-shares names {name!r}, which is no type.", f"Use: {', '.join(TYPES)}.")


def best(records: Sequence[Record], count: int) -> list[Record]:
    """Return at most `count` records, those with the highest scores, in the order given."""
    return _best(records, lambda _: "", {"": count})


def repository_of(record: Record) -> str:
    """Name the repository of a record."""
    return record.metadata.repository


def author_of(record: Record) -> str:
    """Name the author of a record, by pseudonym."""
    return record.metadata.author


def type_of(record: Record) -> str:
    """Name the type of a record."""
    return record.metadata.type


def caps(counts: Mapping[str, int], share: float) -> dict[str, int]:
    """Return how many of each kind may stay: `share` of all, or an even part where there are too few kinds for that."""
    fair = max(share, 1 / len(counts)) if counts else share
    most = math.ceil(fair * sum(counts.values()))
    return {name: min(count, most) for name, count in counts.items()}


def quotas(counts: Mapping[str, int], shares: Mapping[str, float]) -> dict[str, int]:
    """Return how many of each kind may stay so that none in `shares` has more than its share of what stays.

    The largest such numbers, but one of each at least. Kinds without a share all stay.
    """
    allowed = dict(counts)
    while True:
        total = sum(allowed.values())
        lower = {name: min(count, max(1, math.floor(shares.get(name, 1.0) * total))) for name, count in allowed.items()}
        if lower == allowed:
            return allowed
        allowed = lower


def _best(records: Sequence[Record], key: Callable[[Record], str], allowed: Mapping[str, int]) -> list[Record]:
    """Keep the best records of each kind, in the order given."""
    places: defaultdict[str, list[int]] = defaultdict(list)
    for place, record in enumerate(records):
        places[key(record)].append(place)
    kept = set()
    for name, own in places.items():
        own.sort(key=lambda place: (-records[place].metadata.quality_score, records[place].metadata.commit_hash))
        kept.update(own[: allowed[name]])
    return [record for place, record in enumerate(records) if place in kept]
