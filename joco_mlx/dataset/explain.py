"""Why a commit is, or would be, in a dataset: the gate that rejects it, and its score rule by rule."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joco_mlx.commit.neutral import neutralise
from joco_mlx.config import BuildConfig
from joco_mlx.dataset import quality
from joco_mlx.dataset.candidate import Candidate
from joco_mlx.dataset.changelogs import without_changelogs
from joco_mlx.dataset.gates import first_reason
from joco_mlx.dataset.git_stream import Commit, Skipped, read_commits
from joco_mlx.dataset.repository import open_repository
from joco_mlx.dataset.scrub import REASON, scrub
from joco_mlx.dataset.strict_gates import LATER_MEANINGS, PATCH_GATES, header_gates
from joco_mlx.errors import InputError


@dataclass(frozen=True)
class Rule:
    """What one rule of the rubric gave or took."""

    name: str
    points: int
    meaning: str


@dataclass(frozen=True)
class Explanation:
    """A commit as `build` sees it."""

    commit: str
    header: str
    """The first line as a record would have it, but without what a terminal would obey."""
    reason: str | None
    """The code of the gate that rejects it; None when it would be let in."""
    meaning: str
    rules: tuple[Rule, ...]
    score: int
    minimum_score: int
    masked: dict[str, int]
    """Kind of address -> how many would be masked; empty when a gate rejects the commit before that is looked at."""

    def to_json(self) -> dict[str, Any]:
        """Return everything under stable names."""
        return dataclasses.asdict(self)


def explain(repo: Path, commit: str, config: BuildConfig) -> Explanation:
    """Judge one commit of a repository by every rule.

    Duplicates, caps and splits are left out: they depend on all other records.

    Raises:
        InputError: There is no such repository or commit, or it is a merge or cannot be read.
    """
    source = open_repository(repo)
    asked = source.git.run("rev-list", "--parents", "--max-count=1", "--end-of-options", commit, "--")
    if asked.code != 0 or not asked.stdout:
        raise InputError(f"{repo} has no commit {commit!r}.", f"See what there is: git -C {repo} log --oneline")
    name, *parents = asked.stdout.decode("ascii").split()
    if len(parents) > 1:
        raise InputError(f"{name[:12]} is a merge, which is never read.", "Name a commit that it brought in.")
    item = next(iter(read_commits(source.git, [name])))
    if isinstance(item, Skipped):
        hint = (
            f"Try: git -C {repo} fsck" if item.reason == "unreadable" else "A build skips it too; name another commit."
        )
        raise InputError(f"{name[:12]} cannot be read: {item.detail}.", hint)
    return explain_commit(item, config, is_root=not parents)


def explain_commit(item: Commit, config: BuildConfig, *, is_root: bool = False) -> Explanation:
    """Judge a commit that was read with `read_commits`: far quicker for many than to ask for each by name."""
    trimmed = dataclasses.replace(item, patch=without_changelogs(item.patch))
    candidate = Candidate.of_commit(trimmed, is_root=is_root)
    limits = config.limits("single-repository")
    gates = (*header_gates(english_only=config.english_only), *PATCH_GATES)
    reason = first_reason(candidate, limits, gates)
    # What a gate rejects may have any length: only its header is scrubbed, to be shown.
    clean = scrub("" if reason else candidate.patch, candidate.header)
    reason = reason or (REASON if clean.is_leak else None)
    meanings = {gate.reason: gate.meaning for gate in gates} | LATER_MEANINGS
    found = quality.score(candidate)
    rules = tuple(Rule(rule, given, _first_line(rule)) for rule, given in found.points)
    meaning = "" if reason is None else meanings[reason]
    header = neutralise(clean.message)
    return Explanation(item.hash, header, reason, meaning, rules, found.total, config.minimum_score, dict(clean.masked))


def _first_line(rule: str) -> str:
    return (dict(quality.RULES)[rule].__doc__ or "").partition("\n")[0]
