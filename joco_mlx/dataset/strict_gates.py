"""The gates of `build`: what the guide's filters let in and a clean dataset must not hold.

Decides by the header alone wherever it can (`HEADER_GATES`), so that most patches are never asked for; the rest needs
the diff (`PATCH_GATES`). Shares the simple causes with `gates`.
"""

import re
from collections.abc import Collection

from joco_mlx.commit.classify import NOISE
from joco_mlx.config import CurateConfig
from joco_mlx.dataset import gates
from joco_mlx.dataset.candidate import Candidate
from joco_mlx.dataset.gates import Gate

# Each run of words and of digits can be read in one way only, or a long subject line costs the square of its length.
_RELEASE = re.compile(
    r"(?:cut |publish |prepare |tag |bump |new |next |start )*(?:(?:the |a |for )(?:the |a |for |next |new )*)?"
    r"(?:pre-?)?(?:release|publish(?:ing)?|versions?|changelogs?)\b.*"
    r"|v?\d+\.\d\S*(?: release)?|release .*|.*\bchangelog for v?\d.*|back to (?:dev|snapshot).*",
    re.IGNORECASE,
)
_ONLY_A_VERSION = re.compile(r"(?:\S+ )?(?:to )?v?\d+\.\d+\.\d\S*")
_RELEASE_SCOPES = frozenset({"release", "releases", "version", "changelog", "master", "main"})
_BUMP = re.compile(
    r"(?:(?:auto-?)?(?:bump|update|upgrade|pin|roll|renovate|refresh|sync)s?|lock file maintenance)\b"
    r"(?=.*(?:\bto v?\d|\bfrom v?\d|\bdep(?:s|endenc)|\block ?files?\b|\bdigest\b|@[\w^~]*\d|\bmonorepo\b"
    r"|\bv?\d+\.\d+)).*"
    r"|bump \S+(?: version)?|lock file maintenance.*|update (?:npm|pnpm|yarn|cargo|go|all|non-major|rust crate)\b.*",
    re.IGNORECASE,
)
_NEVER_LAST = frozenset({"a", "an", "and", "but", "its", "or", "the", "their"})
_DEPENDENCY_SCOPES = frozenset({"deps", "deps-dev", "dep", "dependencies", "devdeps", "dev-deps", "renovate"})
_NO_LATIN = re.compile(r"[^\W\d_\u0000-\u024f]")
_OTHER_TONGUE = re.compile(
    r"\b(?:aus|avec|como|con|dans|das|dei|del|der|des|die|e|eine?|el|em|est|et|fehler|f\u00fcr|il|la|las|le|les|los|mit|na|"
    r"n\u00e3o|nicht|nuevo|para|por|pour|que|sur|und|une?|uma|von)\b|[\u00c0-\u024f]",
    re.IGNORECASE,
)


def is_revert(candidate: Candidate, _limits: CurateConfig) -> bool:
    """A revert says what another commit said; its diff is that one's, upside down."""
    kind = "" if candidate.message is None else candidate.message.type
    return kind == "revert" or candidate.words[:1] in (("revert",), ("reverts",), ("reverted",), ("rollback",))


def is_release(candidate: Candidate, _limits: CurateConfig) -> bool:
    """Release noise: numbers that no diff explains."""
    scope = "" if candidate.message is None else (candidate.message.scope or "").lower()
    if _ONLY_A_VERSION.fullmatch(candidate.description.strip()):
        return True
    routine = candidate.message is not None and candidate.message.type in {"chore", "build", "ci", "docs"}
    return scope in _RELEASE_SCOPES or (routine and _RELEASE.fullmatch(candidate.description.strip()) is not None)


def is_dependency_bump(candidate: Candidate, _limits: CurateConfig) -> bool:
    """Another number in a lock file, which tools write by themselves."""
    scope = "" if candidate.message is None else (candidate.message.scope or "").lower()
    routine = candidate.message is not None and candidate.message.type in {"chore", "build", "ci"}
    bump = routine and candidate.words[:1] in (("bump",), ("upgrade",))
    return bump or scope in _DEPENDENCY_SCOPES or _BUMP.fullmatch(candidate.description.strip()) is not None


def ends_in_ellipsis(candidate: Candidate, _limits: CurateConfig) -> bool:
    """A subject line that was cut off: by a hosting service, or in the middle of a sentence."""
    last = candidate.words[-1] if candidate.words else ""
    return candidate.header.endswith(("...", "\u2026")) or last in _NEVER_LAST


def is_not_english(candidate: Candidate, _limits: CurateConfig) -> bool:
    """A description in another script, or with two words of another language; told from the header, so not certain."""
    text = candidate.description
    return _NO_LATIN.search(text) is not None or len(_OTHER_TONGUE.findall(text)) >= 2


def changes_a_submodule_only(candidate: Candidate, _limits: CurateConfig) -> bool:
    """A pointer into another repository, whose commits are not shown."""
    changes = [change for change in candidate.changes if change.kind not in NOISE]
    return any(change.submodule for change in changes) and all(
        change.submodule or change.path.endswith(".gitmodules") for change in changes
    )


def is_noise_only(candidate: Candidate, _limits: CurateConfig) -> bool:
    """Nothing but lock files, generated files, changelogs and binary files."""
    return all(change.binary or change.kind in NOISE for change in candidate.changes)


def changes_no_line(candidate: Candidate, _limits: CurateConfig) -> bool:
    """Only modes, names or empty files change: there is nothing to read."""
    return not any(change.added or change.deleted for change in candidate.changes)


_LANGUAGE = Gate("not-english", "message not in English", is_not_english)
_SHARED = {gate.reason: gate for gate in gates.GATES}

HEADER_GATES: tuple[Gate, ...] = (
    *(_SHARED[reason] for reason in ("root", "bot", "not-conventional", "type")),
    Gate("revert", "takes another commit back", is_revert),
    Gate("release", "a release", is_release),
    Gate("dependency", "another version of a dependency", is_dependency_bump),
    Gate("ellipsis", "subject line cut off", ends_in_ellipsis),
    *(_SHARED[reason] for reason in ("long-subject", "trailing-period", "invalid")),
    _LANGUAGE,
)
"""Asked of every commit, before its patch is read."""

PATCH_GATES: tuple[Gate, ...] = (
    *(_SHARED[reason] for reason in ("short-diff", "long-diff")),
    Gate("submodule", "another commit of a submodule", changes_a_submodule_only),
    Gate("noise-only", "only lock files, generated, binary or changelog files", is_noise_only),
    Gate("no-line", "no line changes", changes_no_line),
    *(_SHARED[reason] for reason in ("answer-in-diff", "low-score")),
)
"""Asked of what is left, when changelogs are dropped from its patch."""

LATER_MEANINGS = {
    "secret": "looks like it holds a secret",
    "near-diff": "diff near an earlier one's",
    "near-message": "message near an earlier one's",
    "repository-cap": "repository has its share",
    "author-cap": "author has a share already",
    "type-cap": "type has its share",
    "author-and-file": "training record that validation continues",
    "ballast-cap": "ballast has its share",
}
"""What the steps after the gates drop, in words."""


def header_gates(*, english_only: bool, without: Collection[str] = ()) -> tuple[Gate, ...]:
    """Return the gates on headers; the one on the language only when it is wanted."""
    return tuple(
        gate for gate in HEADER_GATES if gate.reason not in without and (english_only or gate is not _LANGUAGE)
    )
