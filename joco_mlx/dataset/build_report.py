"""What a build says of itself: funnel, balance and sources, in `stats.json` and on the card."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joco_mlx.config import BuildConfig, Profile
from joco_mlx.dataset.card import card, table
from joco_mlx.dataset.funnel import Funnel
from joco_mlx.dataset.gates import SUBJECT_CHARS
from joco_mlx.dataset.personal import Mixed, PersonalProfile
from joco_mlx.dataset.stats import Stats

_HASH_CHARS = 12
_SPLITS = {
    "single-repository": "the newest records are for validation ({validation:.0%})",
    "many-repositories": "whole repositories are for test ({test:.0%}), the newest records of each other one for "
    "validation ({validation:.0%}); nobody's change of a file in validation is within 7 days of one in training",
    "personal": "the newest records of the repository whose style this is are for test ({test:.0%} of its own) and "
    "validation ({validation:.0%}); those of all others are for training only",
}


@dataclass(frozen=True)
class ReadRepository:
    """One repository that was read."""

    name: str
    head: str
    licence: str
    commits: int


@dataclass(frozen=True)
class BuildReport:
    """Everything worth telling that the records themselves do not say."""

    profile: Profile | PersonalProfile
    config: BuildConfig
    repositories: tuple[ReadRepository, ...]
    funnel: Funnel
    types_before: Mapping[str, int]
    """Type -> records before the caps."""
    masked: Mapping[str, int]
    """Kind of address -> how many were masked; those in records that later steps dropped count too."""
    mixed: Mixed | None = None
    """What a dataset in one repository's style is made of."""

    def to_json(self) -> dict[str, Any]:
        """Return what `stats.json` holds beside the numbers of the records."""
        funnel = self.funnel
        return {
            "funnel": funnel.to_json(),
            "strictest": funnel.strictest(),
            "types_before_balance": dict(sorted(self.types_before.items(), key=lambda item: (-item[1], item[0]))),
            "masked": dict(sorted(self.masked.items())),
            "sources": [vars(item) for item in self.repositories],
            **({} if self.mixed is None else {"personal": self.mixed.to_json()}),
        }

    def card(self, made: Stats) -> str:
        """Return the text of README.md."""
        more = ["## Sources\n\n" + self._sources(made), "## Funnel\n\n" + self._funnel()]
        if self.profile == "many-repositories" and self.config.balanced:
            more.append("## Balance\n\n" + self._balance(made))
        if self.mixed:
            more.append("## Shares\n\n" + self._shares(self.mixed))
        return card(made, self.config.limits("single-repository"), how=self._how(), more=more)

    def _sources(self, made: Stats) -> str:
        rows = [
            (item.name, item.head[:_HASH_CHARS], item.licence or "not stated", f"{item.commits:,}", f"{count:,}")
            for item in self.repositories
            for count in [made.repositories.get(item.name, 0)]
        ]
        return table(("Repository", "Commit", "Licence", "Commits read", "Records"), rows)

    def _funnel(self) -> str:
        rows = [("read", f"{self.funnel.read:,}"), *((name, f"{count:,}") for name, count in self.funnel.ordered())]
        told = f"\nStrictest filter that a setting can loosen: {self.funnel.strictest()}.\n"
        text = table(("Commits", "Number"), [*rows, ("**kept**", f"{self.funnel.kept:,}")])
        return text + (told if self.funnel.strictest() else "")

    def _balance(self, made: Stats) -> str:
        before = sum(self.types_before.values())
        rows = [
            (name, f"{count:,} ({count / before:.0%})", f"{after:,} ({after / made.records:.0%})")
            for name, count in sorted(self.types_before.items(), key=lambda item: (-item[1], item[0]))
            for after in [made.types.get(name, 0)]
        ]
        return table(("Type", "Before the caps", "After"), rows)

    def _shares(self, mixed: Mixed) -> str:
        total = mixed.own + mixed.ballast
        rows = [
            (name, f"{count:,} ({count / total:.0%})")
            for name, count in ((mixed.style.repository, mixed.own), ("ballast: all others", mixed.ballast))
        ]
        return table(("Of the training records", "Number"), rows)

    def _how(self) -> str:
        config = self.config
        divided = _SPLITS[self.profile].format(test=config.test_share, validation=config.validation_share)
        return f"""\
`joco-mlx dataset build` reads every commit that is no merge, drops changelog and changeset files from its diff, masks
e-mail addresses and logins in URLs, and keeps it when

- its first line is a valid conventional commit of fewer than {SUBJECT_CHARS} characters, written by a person, and no
  revert, release or dependency bump,
- its diff has {config.minimum_diff_chars:,} to {config.maximum_diff_chars:,} characters, changes more than lock, generated and binary files, and contains
  neither the message nor anything that looks like a secret,
- it scores at least {config.minimum_score} of 100 points: form, mood, information, grounding in the diff, fitting type,
- no earlier commit has the same or nearly the same diff or message.

Profile `{self.profile}`: {divided}.
`manifest.json` holds the settings, the commit of every source and the SHA-256 of every file.
"""
