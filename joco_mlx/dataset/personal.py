"""A dataset in one repository's style: its own records, and those of others as ballast that keeps the task general.

Decides who is in which split (validation and test are that repository's newest records and nobody else's, so that what
is measured is its style) and how much ballast there is: never so much that the own share of the training records falls
below `own_share`. Caps bind the ballast alone; whoever wants one person's style wants all of that person's commits.
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from joco_mlx.commit.record import Record
from joco_mlx.config import BuildConfig, PersonalConfig
from joco_mlx.dataset.balance import balance, best, repository_of
from joco_mlx.dataset.split import Splits, age, by_time
from joco_mlx.errors import InputError

PERSONAL: Literal["personal"] = "personal"
"""Profile of these datasets, in their manifests and for `audit`."""
PersonalProfile: TypeAlias = Literal["personal"]


@dataclass(frozen=True)
class Style:
    """Whose style a dataset has, and how much of it is meant."""

    repository: str
    config: PersonalConfig


@dataclass(frozen=True)
class Mixed:
    """The splits, and what they are made of."""

    style: Style
    splits: Splits
    own: int
    """Training records of the repository itself."""
    ballast: int
    """Training records of others."""
    dropped: Counter[str]
    """Reason code -> ballast that was let go."""

    def to_json(self) -> dict[str, Any]:
        """Return the shares under stable names."""
        return {
            "repository": self.style.repository,
            "minimum_own_share": self.style.config.own_share,
            "own_training_examples": self.own,
            "ballast_training_examples": self.ballast,
        }


def own_first(records: Sequence[Record], style: Style) -> list[Record]:
    """Order records for deduplication: a fork among the ballast must not take a commit away from its own repository."""
    return sorted(records, key=lambda record: (repository_of(record) != style.repository, age(record)))


def mix(records: Sequence[Record], config: BuildConfig, style: Style) -> Mixed:
    """Divide the own records by time, and add as much ballast to training as the shares allow.

    Args:
        records: Without near-duplicates.
        config: Caps for the ballast, and the shares of validation and test.
        style: Whose records are the own ones.

    Raises:
        InputError: There are none.
    """
    own = [record for record in records if repository_of(record) == style.repository]
    if not own:
        raise InputError(
            f"No record of {style.repository} is left, so there is no style to learn.",
            f"See why, commit by commit: joco-mlx dataset explain {style.repository} COMMIT",
        )
    others = [record for record in records if repository_of(record) != style.repository]
    dropped: Counter[str] = Counter()
    if config.balanced and others:
        balanced = balance(others, config)
        others, dropped = list(balanced.kept), balanced.dropped
    limits = dataclasses.replace(config.limits("single-repository"), test_share=config.test_share)
    divided = by_time(own, limits)
    share = style.config.own_share
    ballast = best(others, math.floor(len(divided.train) * (1 - share) / share + 1e-9))
    dropped["ballast-cap"] += len(others) - len(ballast)
    train = tuple(sorted([*divided.train, *ballast], key=age))
    splits = dataclasses.replace(divided, train=train)
    return Mixed(style, splits, len(divided.train), len(ballast), +dropped)
