"""What the commands of `dataset` can be told."""

from dataclasses import dataclass
from typing import Literal

from joco_mlx.config.options import option, require

Profile = Literal["single-repository", "many-repositories"]


@dataclass(frozen=True)
class ExtractConfig:
    """What `dataset extract` reads from a repository."""

    max_commits: int | None = option(None, "Read at most this many commits, newest first.")
    revision: str = option("HEAD", "Revision or range to read, as git understands it (v1.0..main).")
    author: str | None = option(None, "Keep commits whose author name or e-mail matches this regular expression.")
    name: str | None = option(
        None, "Name of the repository in the records; its origin's or its folder's when not given."
    )
    filtered: bool = option(True, "Apply the quality filters; without them every readable commit is kept.")

    def __post_init__(self) -> None:
        """Refuse values that select nothing."""
        require(self.max_commits is None or self.max_commits >= 1, "max", self.max_commits, "at least 1")
        require(self.name is None or bool(self.name.strip()), "name", self.name, "a word or more")


@dataclass(frozen=True)
class CurateConfig:
    """How `dataset curate` turns extracted commits into splits."""

    profile: Profile = option(
        "single-repository", "How to split: single-repository (by time) or many-repositories (test by repository)."
    )
    validation_share: float = option(0.1, "Share of the records that goes to validation.")
    test_share: float = option(0.0, "Share of the records that goes to test.")
    minimum_score: int = option(70, "Drop records that score less (0 to 100).")
    minimum_diff_chars: int = option(50, "Drop records whose diff is shorter.")
    maximum_diff_chars: int = option(8_000, "Drop records whose diff is longer.")

    def __post_init__(self) -> None:
        """Refuse values that leave no training split."""
        for name in ("validation_share", "test_share"):
            require(0 <= getattr(self, name) < 1, name, getattr(self, name), "at least 0 and below 1")
        held_out = self.validation_share + self.test_share
        require(held_out < 1, "validation_share", self.validation_share, f"below {1 - self.test_share:g}")
        require(0 <= self.minimum_score <= 100, "minimum_score", self.minimum_score, "0 to 100")
        most = self.maximum_diff_chars
        require(0 <= self.minimum_diff_chars <= most, "minimum_diff_chars", self.minimum_diff_chars, f"0 to {most}")


@dataclass(frozen=True)
class PersonalConfig:
    """How `dataset build --on` mixes one repository's style with the records of others."""

    own_share: float = option(
        0.5, "With --on: share of the training records that is that repository's own, at least; the rest is ballast."
    )

    def __post_init__(self) -> None:
        """Refuse shares that leave nothing of one's own."""
        require(0 < self.own_share <= 1, "own_share", self.own_share, "more than 0 and at most 1")
