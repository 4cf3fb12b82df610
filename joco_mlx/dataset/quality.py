"""OWNS the rubric: how good an example a commit is, from 0 to 100.

Each rule is a named function that gives points for one property; `score` adds them up. Points, limits and penalties
come from reading commits of many projects: at 80 six in ten of the good ones stay, and of what stays one in eight is
bad (`docs/data.md` has the figures). Leaves what may not pass at any score to `gates`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from joco_mlx.commit.classify import FileClass
from joco_mlx.commit.lint import is_valid
from joco_mlx.dataset import contradictions, wording
from joco_mlx.dataset.words import EMPTY_WORDS, PREPOSITIONS, RATHER_NOUNS, is_order, stem

if TYPE_CHECKING:
    from joco_mlx.dataset.candidate import Candidate

GENERIC_CAP = 55
"""The most that a message can reach which would fit a thousand other commits."""
_NO_GROUNDING, _ENOUGH_GROUNDING = 0.05, 0.5
_AFTER_VERB = re.compile(
    r"\S+ (?:an?|the|all|any|each|every|its|only|to|for|with|from|if|when|on|in|as|into|by|up|out|over)\b",
    re.IGNORECASE,
)
_ADVERBS = frozenset({"always", "also", "never", "only"})
_HALF = 0.5
_COMMENT = re.compile(r"^[+-]\s*(?://|/?\*|#|--|\"\"\"|$)", re.MULTILINE)
_TWO = 2
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
_ALLOWED: dict[str, frozenset[FileClass]] = {"test": frozenset({"source"})}
"""Where such a change may lie as well: Rust keeps tests beside what they test."""


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
    words = [word for word in candidate.words if word not in _ADVERBS and not word.endswith("ly")]
    led = words[:1] != list(candidate.words[:1])
    verdict = is_order(words[0]) if words and candidate.description[:1].isalpha() else False
    if verdict and not led and words[0] in RATHER_NOUNS and not _shows_a_verb(candidate.description):
        verdict = None
    return 4 if verdict is None else 25 * verdict


def information_points(candidate: "Candidate") -> int:
    """10 for 3 to 12 words, 5 for two words or for 13 to 16, else 0."""
    count = len(candidate.words)
    if 3 <= count <= 12:
        return 10
    return 5 if count == 2 or 13 <= count <= 16 else 0


def grounding_points(candidate: "Candidate") -> int:
    """Up to 30: the share of the description's stems that the diff contains, from a twentieth (0) to a half (all)."""
    share = _share(candidate, candidate.lowered_patch[:_SEARCHED_CHARS])
    grounded = (share - _NO_GROUNDING) / (_ENOUGH_GROUNDING - _NO_GROUNDING)
    return round(30 * min(1.0, max(0.0, grounded)))


def type_points(candidate: "Candidate") -> int:
    """25 when a quarter of the files is of a class that the type announces, 12 when any is or might be, else 0."""
    if candidate.message is None or not candidate.changes:
        return 0
    expected = _EXPECTED.get(candidate.message.type)
    if expected is None:
        return 25
    if candidate.message.type == "docs":
        return 25 if _prose_share(candidate) >= _HALF else 0
    matching = sum(change.kind in expected for change in candidate.changes)
    if 4 * matching >= len(candidate.changes):
        return 25
    allowed = expected | _ALLOWED.get(candidate.message.type, frozenset())
    return 12 if any(change.kind in allowed for change in candidate.changes) else 0


def files_penalty(candidate: "Candidate") -> int:
    """-8 for more than 15 files."""
    return -8 if len(candidate.changes) > _MANY_FILES else 0


def placeless_penalty(candidate: "Candidate") -> int:
    """-25 for what has no scope and not two of these: a name, a word such as "in", every word in the changed lines.

    A feature is taken for a name.
    """
    if candidate.message is None or candidate.message.scope:
        return 0
    named = candidate.message.type == "feat" or wording.NAME.search(candidate.description) is not None
    placed = not PREPOSITIONS.isdisjoint(candidate.words)
    return 0 if named + placed + (_changed_share(candidate) == 1) >= _TWO else wording.FAULT


def is_generic(candidate: "Candidate") -> bool:
    """Whether the description would fit a thousand other commits ("fix typo", "update readme")."""
    return len(candidate.words) < 2 or _GENERIC.fullmatch(candidate.description.lower().strip()) is not None


RULES: tuple[tuple[str, Callable[["Candidate"], int]], ...] = (
    ("format", format_points),
    ("mood", mood_points),
    ("information", information_points),
    ("grounding", grounding_points),
    ("type", type_points),
    ("files", files_penalty),
    ("reference", wording.reference_penalty),
    ("unfinished", wording.unfinished_penalty),
    ("vague", wording.vague_penalty),
    ("object", wording.object_penalty),
    ("filler", wording.filler_penalty),
    ("signs", wording.signs_penalty),
    ("ending", wording.ending_penalty),
    ("verbs", wording.verbs_penalty),
    ("complaint", wording.complaint_penalty),
    ("placeless", placeless_penalty),
    ("statement", wording.statement_penalty),
    ("repetition", wording.repetition_penalty),
    ("spelling", wording.spelling_penalty),
    ("topics", wording.topics_penalty),
    ("denied-type", contradictions.type_penalty),
    ("direction", contradictions.direction_penalty),
    ("name", contradictions.name_penalty),
    ("misspelt", contradictions.misspelt_penalty),
)
"""Name and function of every rule."""


def _prose_share(candidate: "Candidate") -> float:
    """Return how much of the changed lines is documentation: files of that class, and comments anywhere."""
    prose = total = 0
    for change in candidate.changes:
        total += change.added + change.deleted
        if change.kind in _EXPECTED["docs"]:
            prose += change.added + change.deleted
        else:
            prose += sum(len(_COMMENT.findall(hunk)) for hunk in change.hunks)
    return prose / total if total else 0.0


def _changed_share(candidate: "Candidate") -> float:
    """Return how many of the description's stems stand in changed lines or paths, 0 to 1."""
    lines = candidate.lowered_patch[:_SEARCHED_CHARS].split("\n")
    return _share(candidate, "\n".join(line for line in lines if line.startswith(("+", "-", "diff "))))


def _share(candidate: "Candidate", text: str) -> float:
    """Return how many of the description's stems stand in `text`, 0 to 1."""
    parts = [part for word in _content(candidate) for part in re.split(r"\W+", word)]
    stems = {stem(part) for part in parts if _says_something(part)}
    return sum(_stands_in(text, wanted) for wanted in stems) / len(stems) if stems else 0.0


def _content(candidate: "Candidate") -> tuple[str, ...]:
    """Return the words of the description without the order at its beginning."""
    words = candidate.words
    return words[1:] if words and is_order(words[0]) else words


def _shows_a_verb(description: str) -> bool:
    return _AFTER_VERB.match(description) is not None or description.partition(" ")[2].startswith("`")


def _says_something(word: str) -> bool:
    return len(word) > 1 and word not in EMPTY_WORDS


def _stands_in(text: str, wanted: str) -> bool:
    if len(wanted) >= _SHORTEST_STEM:
        return wanted in text
    return re.search(rf"(?<![a-z]){re.escape(wanted)}", text) is not None
