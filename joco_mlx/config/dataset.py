"""What the commands of `dataset` can be told."""

from dataclasses import dataclass

from joco_mlx.config.options import option, require


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
class PersonalConfig:
    """How `dataset build --on` mixes one repository's style with the records of others."""

    own_share: float = option(
        0.5, "With --on: share of the training records that is that repository's own, at least; the rest is ballast."
    )

    def __post_init__(self) -> None:
        """Refuse shares that leave nothing of one's own."""
        require(0 < self.own_share <= 1, "own_share", self.own_share, "more than 0 and at most 1")
