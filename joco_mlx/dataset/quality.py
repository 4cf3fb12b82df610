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
_NO_GROUNDING, _ENOUGH_GROUNDING = 0.25, 0.6
_MANY_FILES = 15
_SEARCHED_CHARS = 200_000
_SHORTEST_STEM = 4

_GENERIC = re.compile(
    r"(?:(?:fix|fixes|correct|update|improve|change|add|edit|clean ?up|remove|minor|small|more|some|misc)[ -]+){1,2}"
    r"(?:the |a |some |in |of )*"
    r"(?:typos?|readme(?:\.md)?|docs?|documentation|changelog|lint(?:ing|er)?(?: errors?| issues?)?|bugs?|issues?|tests?"
    r"|code|stuff|things|formatting|style|comments?|deps|dependenc(?:y|ies)|versions?|changes?|fixes|errors?|build|ci)?"
    r"|(?:\w+ ){0,2}(?:typos?|misspell\w+|spelling|grammar|wording)\b.*"
)
_VAGUE = frozenset(
    {"adjust", "clean", "cleanup", "enhance", "improve", "modify", "polish", "refine", "simplify", "tweak", "update"}
)
_NAME = re.compile(r"[`_./()<>@$=]|[a-z][A-Z]|\d|--\w")
"""What names in code have and plain words do not."""
_FEW_WORDS = 5
_REFERENCE = re.compile(
    r"#\d+|\b(?:issues?|pull)/\d+|\b(?!(?:AES|CP|ECMA|IEEE|ISO|PEP|RFC|RSA|SHA|UTF)-)[A-Z][A-Z0-9]+-\d+\b|https?://"
)
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
    """10 for a header without a lint error, 5 for one that is conventional but breaks rules, else 0."""
    if candidate.message is None:
        return 0
    return 10 if is_valid(candidate.header) else 5


def mood_points(candidate: "Candidate") -> int:
    """25 when the description begins with an order ("add"), 0 when it does not ("added"), 4 when nobody can tell.

    Whoever does not give an order mostly tells no change: a symptom, a name, a version.
    """
    verdict = is_order(candidate.words[0]) if candidate.words else False
    return 4 if verdict is None else 25 * verdict


def information_points(candidate: "Candidate") -> int:
    """10 for 3 to 12 words, 5 for two words or for 13 to 16, else 0."""
    count = len(candidate.words)
    if 3 <= count <= 12:
        return 10
    return 5 if count == 2 or 13 <= count <= 16 else 0


def grounding_points(candidate: "Candidate") -> int:
    """Up to 30: the share of the description's stems that the diff contains, from a quarter (0) to 0.6 (all)."""
    stems = {stem(part) for word in _content(candidate) for part in re.split(r"\W+", word) if _says_something(part)}
    if not stems:
        return 0
    text = candidate.lowered_patch[:_SEARCHED_CHARS]
    share = sum(_stands_in(text, wanted) for wanted in stems) / len(stems)
    grounded = (share - _NO_GROUNDING) / (_ENOUGH_GROUNDING - _NO_GROUNDING)
    return round(30 * min(1.0, max(0.0, grounded)))


def type_points(candidate: "Candidate") -> int:
    """25 when a quarter of the files is of a class that the type announces, 12 when any is, else 0."""
    if candidate.message is None or not candidate.changes:
        return 0
    expected = _EXPECTED.get(candidate.message.type)
    if expected is None:
        return 25
    matching = sum(change.kind in expected for change in candidate.changes)
    if 4 * matching >= len(candidate.changes):
        return 25
    return 12 if matching else 0


def reference_penalty(candidate: "Candidate") -> int:
    """-25 for an issue number or an address, which nobody can guess from a diff."""
    return -25 if _REFERENCE.search(candidate.description) else 0


def unfinished_penalty(candidate: "Candidate") -> int:
    """-10 for words such as "wip" and "misc"."""
    return -10 if _UNFINISHED.intersection(candidate.words) else 0


def vague_penalty(candidate: "Candidate") -> int:
    """-25 for two words, or for up to five that begin with "improve" or the like, that name nothing in the code."""
    words = candidate.words
    vague = len(words) == 2 or (0 < len(words) <= _FEW_WORDS and words[0] in _VAGUE)
    return -25 if vague and not _NAME.search(candidate.description) else 0


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
    ("vague", vague_penalty),
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
