"""How records are divided into training, validation and test: one function for each profile.

`single-repository` divides by time alone: who trains on the past is measured on what came after, as in use. A random
split would put neighbouring commits of one change on both sides. `many-repositories` keeps whole repositories for test,
takes the newest records of each other one for validation, and lets go of training records whose author changed the same
file a few days before or after in validation. Deduplication comes before (`curate`, `build`).
"""

import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from joco_mlx.commit.record import Record, read_records
from joco_mlx.config import CurateConfig, Profile
from joco_mlx.dataset.leakage import continued

NAMES = ("train", "validation", "test")
"""Names of the splits; each is a file NAME.jsonl."""
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Splits:
    """Records by their purpose, each oldest first."""

    train: tuple[Record, ...]
    validation: tuple[Record, ...]
    test: tuple[Record, ...]

    def items(self) -> Iterator[tuple[str, tuple[Record, ...]]]:
        """Yield name and records of each split."""
        for name in NAMES:
            yield name, getattr(self, name)

    def records(self) -> Iterator[Record]:
        """Yield every record."""
        for _, records in self.items():
            yield from records


def split(records: Sequence[Record], config: CurateConfig) -> Splits:
    """Divide `records` as the profile says."""
    return PROFILES[config.profile](records, config)


def by_time(records: Sequence[Record], config: CurateConfig) -> Splits:
    """Take the newest records for test, the newest of the rest for validation.

    A share above zero gets at least one record, as long as one is left for training.
    """
    ordered = sorted(records, key=age)
    test = _part(len(ordered), len(ordered), config.test_share)
    validation = _part(len(ordered), len(ordered) - test, config.validation_share)
    first_test = len(ordered) - test
    first_validation = first_test - validation
    return Splits(
        tuple(ordered[:first_validation]), tuple(ordered[first_validation:first_test]), tuple(ordered[first_test:])
    )


def by_repository(records: Sequence[Record], config: CurateConfig) -> Splits:
    """Take whole repositories for test; divide each other one by time; drop what validation continues from training.

    With a single repository there is no test split.
    """
    tested = _for_test(Counter(record.metadata.repository for record in records), config.test_share)
    ordered = sorted(records, key=age)
    train: list[Record] = []
    validation: list[Record] = []
    rest = [record for record in ordered if record.metadata.repository not in tested]
    for _, group in itertools.groupby(sorted(rest, key=_repository), _repository):
        own = list(group)
        first = len(own) - _part(len(own), len(own), config.validation_share)
        train += own[:first]
        validation += own[first:]
    shared = continued(train, validation)
    kept = [record for place, record in enumerate(train) if place not in shared]
    test = tuple(record for record in ordered if record.metadata.repository in tested)
    return Splits(tuple(sorted(kept, key=age)), tuple(sorted(validation, key=age)), test)


def _for_test(sizes: Counter[str], share: float) -> frozenset[str]:
    """Choose repositories by the hash of their names, as long as they fit into the share; else the smallest."""
    wanted = share * sizes.total()
    if not share or len(sizes) < 2:
        return frozenset()
    chosen: set[str] = set()
    for name in sorted(sizes, key=lambda name: hashlib.sha256(name.encode()).digest()):
        if sum(sizes[other] for other in chosen) + sizes[name] <= wanted:
            chosen.add(name)
    return frozenset(chosen or {min(sizes, key=lambda name: (sizes[name], name))})


def _repository(record: Record) -> str:
    return record.metadata.repository


def age(record: Record) -> tuple[datetime, str, str]:
    """Return what records are ordered by: the author's date (an unknown one counts as oldest), then the hash."""
    return _moment(record.metadata.authored_at), record.metadata.commit_hash, record.metadata.id


def read_splits(folder: Path) -> Splits:
    """Read the splits of a dataset; a missing validation or test file counts as empty.

    Raises:
        InputError: `train.jsonl` is missing, or a line is no record.
    """
    paths = {name: folder / f"{name}.jsonl" for name in NAMES}
    read = {name: tuple(read_records(path)) for name, path in paths.items() if name == "train" or path.exists()}
    return Splits(*(read.get(name, ()) for name in NAMES))


def _moment(written: str | None) -> datetime:
    try:
        return _LONG_AGO if written is None else datetime.fromisoformat(written)
    except ValueError:  # the schema lets the 31st of February pass
        return _LONG_AGO


def _part(total: int, left: int, share: float) -> int:
    return min(max(1, round(total * share)), left - 1) if share and left > 1 else 0


PROFILES: dict[Profile, Callable[[Sequence[Record], CurateConfig], Splits]] = {
    "single-repository": by_time,
    "many-repositories": by_repository,
}
"""Every profile that a dataset can be divided by."""
