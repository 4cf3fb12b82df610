"""What the commands of `dataset` can be told."""

from dataclasses import dataclass
from typing import Literal

from joco_mlx.config.options import option, require

Profile = Literal["single-repository", "many-repositories"]


@dataclass(frozen=True)
class ExtractConfig:
    """What `dataset extract` reads from a repository."""

    max_commits: int | None = option(None, "Read at most this many commits, newest first.", spelt="--max")
    revision: str = option("HEAD", "Revision or range to read, as git understands it (v1.0..main).", spelt="--rev")
    author: str | None = option(None, "Keep commits whose author name or e-mail matches this regular expression.")
    name: str | None = option(
        None, "Name of the repository in the records; its origin's or its folder's when not given."
    )
    filtered: bool = option(True, "Apply the quality filters; without them every readable commit is kept.")

    def __post_init__(self) -> None:
        """Refuse values that select nothing."""
        require(self.max_commits is None or self.max_commits >= 1, "max_commits", self.max_commits, "at least 1")
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
class BuildConfig:
    """How `dataset build` makes a dataset of many repositories."""

    profile: Profile | None = option(
        None, "How to split: single-repository or many-repositories; by their number when not given."
    )
    revision: str = option("HEAD", "Revision or range to read of each repository.", spelt="--rev")
    validation_share: float = option(0.1, "Share of each training repository, its newest records, for validation.")
    test_share: float = option(0.1, "Share of the records for test: whole repositories. None where there is only one.")
    minimum_score: int = option(80, "Drop commits that score less (0 to 100); 70 is the original guide's.")
    minimum_diff_chars: int = option(50, "Drop commits whose diff is shorter.")
    maximum_diff_chars: int = option(8_000, "Drop commits whose diff is longer, changelogs not counted.")
    english_only: bool = option(False, "Drop commits whose message is not in English.")
    balanced: bool = option(True, "Apply the caps below where there are many repositories.")
    maximum_repository_share: float = option(0.25, "Largest share of the dataset that one repository may have.")
    maximum_author_share: float = option(0.1, "Largest share that one author may have.")
    maximum_type_share: float = option(0.35, "Largest share that one type may have.")
    type_shares: tuple[str, ...] = option((), "Other largest shares for single types: feat=0.3,docs=0.1.")

    def __post_init__(self) -> None:
        """Refuse values that no dataset can have."""
        self.limits("single-repository")
        for name in ("repository", "author", "type"):
            share = getattr(self, f"maximum_{name}_share")
            require(0 < share <= 1, f"maximum_{name}_share", share, "more than 0 and at most 1")
        self.shares_of_types()

    def limits(self, profile: Profile) -> CurateConfig:
        """Return the limits on single records and the shares of the splits."""
        return CurateConfig(
            profile=profile,
            validation_share=self.validation_share,
            test_share=self.test_share if profile == "many-repositories" else 0.0,
            minimum_score=self.minimum_score,
            minimum_diff_chars=self.minimum_diff_chars,
            maximum_diff_chars=self.maximum_diff_chars,
        )

    def shares_of_types(self) -> dict[str, float]:
        """Return type -> the largest share that is set for it alone."""
        shares = {}
        for entry in self.type_shares:
            name, _, number = entry.partition("=")
            try:
                shares[name.strip()] = float(number)
            except ValueError:
                shares[name.strip()] = 0.0
            require(0 < shares[name.strip()] <= 1, "type_shares", entry, "such as feat=0.3,docs=0.1")
        return shares


@dataclass(frozen=True)
class PersonalConfig:
    """How `dataset build --on` mixes one repository's style with the records of others."""

    own_share: float = option(
        0.5, "With --on: share of the training records that is that repository's own, at least; the rest is ballast."
    )

    def __post_init__(self) -> None:
        """Refuse shares that leave nothing of one's own."""
        require(0 < self.own_share <= 1, "own_share", self.own_share, "more than 0 and at most 1")
