"""What may not become a record, whatever its score: one named function and one reason code for each cause.

Decides who is let in. The limits on diff and score are `CurateConfig`'s, the original guide's by default. Leaves the
points to `quality`, and finding out what a commit is to `Candidate`.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from joco_mlx.commit.lint import is_valid
from joco_mlx.commit.message import TYPES
from joco_mlx.config import CurateConfig
from joco_mlx.dataset.candidate import Candidate

SUBJECT_CHARS = 72
"""The guide's limit: a subject line must be shorter. The suffix of a pull request does not count."""
_LEAKING_WORDS = 3

_BOT = re.compile(
    r"\[bot\]|\bbot\b|_bot\b|(?<!\.)\brobot\b|(?-i:[a-z]Bot\b)|^\S*[a-z]bot(?= <|$)"
    r"|\b(?:renovate|dependabot|greenkeeper|semantic-release|release-please|snyk|imgbot|allcontributors|pre-commit-ci"
    r"|weblate|crowdin|copybara|github-actions?|yoshi-automation|gcf-owl|autofix)\b",
    re.IGNORECASE,
)
"""Looked for in what is left of an author without the e-mail's host; only a lone name may end in `bot`, as `Talbot` does."""
_HOST = re.compile(r"@[^\s<>]*")

Rejects: TypeAlias = Callable[[Candidate, CurateConfig], bool]


@dataclass(frozen=True)
class Gate:
    """One cause to reject a candidate."""

    reason: str
    """The code under which rejected candidates are counted."""
    meaning: str
    """The reason in words."""
    rejects: Rejects


def is_root(candidate: Candidate, _limits: CurateConfig) -> bool:
    """A first commit adds whatever there is; its message tells nothing about that."""
    return candidate.is_root


def is_by_bot(candidate: Candidate, _limits: CurateConfig) -> bool:
    """Programs write the same few messages over and over."""
    return _BOT.search(_HOST.sub("", candidate.author)) is not None


def is_unconventional(candidate: Candidate, _limits: CurateConfig) -> bool:
    """A header that cannot be taken apart."""
    return candidate.message is None


def has_unknown_type(candidate: Candidate, _limits: CurateConfig) -> bool:
    """A `server: ...` is no type: only the eleven of config-conventional count."""
    return candidate.message is not None and candidate.message.type not in TYPES


def has_long_subject(candidate: Candidate, _limits: CurateConfig) -> bool:
    """A subject line of 72 characters or more."""
    return len(candidate.header) >= SUBJECT_CHARS


def ends_in_period(candidate: Candidate, _limits: CurateConfig) -> bool:
    """A subject line with a full stop (or an ellipsis) at its end."""
    return candidate.header.endswith((".", "…"))


def is_invalid(candidate: Candidate, _limits: CurateConfig) -> bool:
    """A header that breaks another of commitlint's rules, such as the one on capitals."""
    return not is_valid(candidate.header)


def has_short_diff(candidate: Candidate, limits: CurateConfig) -> bool:
    """A diff with fewer characters than `minimum_diff_chars`."""
    return len(candidate.patch) < limits.minimum_diff_chars


def has_long_diff(candidate: Candidate, limits: CurateConfig) -> bool:
    """A diff with more characters than `maximum_diff_chars`."""
    return len(candidate.patch) > limits.maximum_diff_chars


def is_binary_only(candidate: Candidate, _limits: CurateConfig) -> bool:
    """A diff that only says that binary files differ."""
    return bool(candidate.changes) and all(change.binary for change in candidate.changes)


def holds_its_answer(candidate: Candidate, _limits: CurateConfig) -> bool:
    """A diff that adds the description word for word, as changelog entries do: who copies it learns nothing."""
    answer = candidate.description.lower()
    if len(candidate.words) < _LEAKING_WORDS or answer not in candidate.lowered_patch:
        return False
    lines = candidate.lowered_patch.split("\n")
    return any(answer in line for line in lines if line.startswith("+") and not line.startswith("+++ "))


def scores_low(candidate: Candidate, limits: CurateConfig) -> bool:
    """A score below `minimum_score`."""
    return candidate.score < limits.minimum_score


GATES: tuple[Gate, ...] = (
    Gate("root", "first of its history", is_root),
    Gate("bot", "written by a program", is_by_bot),
    Gate("not-conventional", "no conventional subject line", is_unconventional),
    Gate("type", "type is none of the eleven", has_unknown_type),
    Gate("long-subject", f"subject line of {SUBJECT_CHARS} characters or more", has_long_subject),
    Gate("trailing-period", "period at the end of the subject line", ends_in_period),
    Gate("invalid", "breaks another rule of commitlint", is_invalid),
    Gate("short-diff", "diff too short", has_short_diff),
    Gate("long-diff", "diff too long", has_long_diff),
    Gate("binary-only", "nothing but binary files", is_binary_only),
    Gate("answer-in-diff", "diff contains the message", holds_its_answer),
    Gate("low-score", "score too low", scores_low),
)
"""In the order in which they are asked: a candidate is counted under the first that rejects it, so cheap ones lead."""


def first_reason(candidate: Candidate, limits: CurateConfig, gates: Sequence[Gate] = GATES) -> str | None:
    """Return the code of the first gate that rejects `candidate`, or None when all let it in."""
    return next((gate.reason for gate in gates if gate.rejects(candidate, limits)), None)
