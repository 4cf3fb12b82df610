"""OWNS the rubric: how good an example a commit is, from 0 to 100.

Each rule is a named function that gives points for one property; `score` adds them up. Points, limits and penalties
come from reading commits of many projects: at 70 and more nearly all good ones stay and a third of the bad ones, at 80
half of the good ones and almost none of the bad. Leaves what may not pass at any score to `gates`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from joco_mlx.commit.classify import FileClass
from joco_mlx.commit.lint import is_valid
from joco_mlx.dataset.words import EMPTY_WORDS, is_order, stem

if TYPE_CHECKING:
    from joco_mlx.dataset.candidate import Candidate

GENERIC_CAP = 55
"""The most that a message can reach which would fit a thousand other commits."""
_ENOUGH_GROUNDING = 0.5
_MANY_FILES = 15
_SEARCHED_CHARS = 200_000
_SHORTEST_STEM = 4

_GENERIC = re.compile(
    r"(?:(?:fix|fixes|correct|update|improve|change|add|edit|clean ?up|remove|minor|small|more|some|misc)[ -]+){1,2}"
    r"(?:the |a |some |in |of )*"
    r"(?:typos?|readme(?:\.md)?|docs?|documentation|changelog|lint(?:ing|er)?(?: errors?| issues?)?|bugs?|issues?|tests?"
    r"|code|stuff|things|formatting|style|comments?|deps|dependenc(?:y|ies)|versions?|changes?|fixes|errors?|build|ci)?"
    r"|(?:fix|correct)(?: \w+)? (?:typos?|spelling|grammar)\b.*"
)
_REFERENCE = re.compile(r"#\d+|\b(?!(?:AES|CP|ECMA|IEEE|ISO|PEP|RFC|RSA|SHA|UTF)-)[A-Z][A-Z0-9]+-\d+\b|https?://")
_UNFINISHED = frozenset(
    {"wip", "tmp", "temp", "temporary", "hack", "hacky", "todo", "fixme", "stuff", "misc", "various", "oops"}
)
_SEVERAL = re.compile(r";|\s&\s|\band\b|,\s+\w+\s+\w+")

_EXPECTED: dict[str, frozenset[FileClass]] = {
    "docs": frozenset({"docs", "changelog"}),
    "test": frozenset({"test"}),
    "ci": frozenset({"ci"}),
    "build": frozenset({"build", "lock"}),
    "feat": frozenset({"source"}),
    "fix": frozenset({"source"}),
    "perf": frozenset({"source"}),
    "refactor": frozenset({"source", "test"}),
    "style": frozenset({"source", "test", "docs"}),
}


@dataclass(frozen=True)
class Score:
    """Points of a candidate: the total, cut to 0 to 100, and what each rule gave or took."""

    total: int
    points: tuple[tuple[str, int], ...]


def score(candidate: "Candidate") -> Score:
    """Judge a candidate by every rule."""
    points = tuple((name, rule(candidate)) for name, rule in RULES)
    total = sum(given for _, given in points)
    most = GENERIC_CAP if is_generic(candidate) else 100
    return Score(max(0, min(total, most)), points)


def format_points(candidate: "Candidate") -> int:
    """20 for a header without a lint error, 10 for one that is conventional but breaks rules, else 0."""
    if candidate.message is None:
        return 0
    return 20 if is_valid(candidate.header) else 10


def mood_points(candidate: "Candidate") -> int:
    """15 when the description begins with an order ("add"), 0 when it does not ("added"), 8 when nobody can tell."""
    verdict = is_order(candidate.words[0]) if candidate.words else False
    return 8 if verdict is None else 15 * verdict


def information_points(candidate: "Candidate") -> int:
    """20 for 3 to 12 words, 10 for two words or for 13 to 16, else 0."""
    count = len(candidate.words)
    if 3 <= count <= 12:
        return 20
    return 10 if count == 2 or 13 <= count <= 16 else 0


def grounding_points(candidate: "Candidate") -> int:
    """Up to 30: the share of the description's stems that the diff contains, full from one half on."""
    stems = {stem(part) for word in _content(candidate) for part in re.split(r"\W+", word) if _says_something(part)}
    if not stems:
        return 0
    text = candidate.lowered_patch[:_SEARCHED_CHARS]
    share = sum(_stands_in(text, wanted) for wanted in stems) / len(stems)
    return round(30 * min(1.0, share / _ENOUGH_GROUNDING))


def type_points(candidate: "Candidate") -> int:
    """15 when a quarter of the files is of a class that the type announces, 8 when any is, else 0."""
    if candidate.message is None or not candidate.changes:
        return 0
    expected = _EXPECTED.get(candidate.message.type)
    if expected is None:
        return 15
    matching = sum(change.kind in expected for change in candidate.changes)
    if 4 * matching >= len(candidate.changes):
        return 15
    return 8 if matching else 0


def reference_penalty(candidate: "Candidate") -> int:
    """-10 for an issue number or an address, which nobody can guess from a diff."""
    return -10 if _REFERENCE.search(candidate.description) else 0


def unfinished_penalty(candidate: "Candidate") -> int:
    """-10 for words such as "wip" and "misc"."""
    return -10 if _UNFINISHED.intersection(candidate.words) else 0


def topics_penalty(candidate: "Candidate") -> int:
    """-5 when the description tells of several things."""
    return -5 if _SEVERAL.search(candidate.description) else 0


def files_penalty(candidate: "Candidate") -> int:
    """-8 for more than 15 files."""
    return -8 if len(candidate.changes) > _MANY_FILES else 0


def is_generic(candidate: "Candidate") -> bool:
    """Whether the description would fit a thousand other commits ("fix typo", "update readme")."""
    return len(candidate.words) < 2 or _GENERIC.fullmatch(candidate.description.lower().strip()) is not None


RULES: tuple[tuple[str, Callable[["Candidate"], int]], ...] = (
    ("format", format_points),
    ("mood", mood_points),
    ("information", information_points),
    ("grounding", grounding_points),
    ("type", type_points),
    ("reference", reference_penalty),
    ("unfinished", unfinished_penalty),
    ("topics", topics_penalty),
    ("files", files_penalty),
)
"""Name and function of every rule."""


def _content(candidate: "Candidate") -> tuple[str, ...]:
    """Return the words of the description without the order at its beginning."""
    words = candidate.words
    return words[1:] if words and is_order(words[0]) else words


def _says_something(word: str) -> bool:
    return len(word) > 1 and word not in EMPTY_WORDS


def _stands_in(text: str, wanted: str) -> bool:
    if len(wanted) >= _SHORTEST_STEM:
        return wanted in text
    return re.search(rf"(?<![a-z]){re.escape(wanted)}", text) is not None
