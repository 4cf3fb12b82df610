"""Where a message and its diff disagree: a type that its verb denies, a name the diff does not have, nothing added.

Each rule of the rubric here is a penalty, as in `wording`. Whether the files fit the type is `quality`'s.
"""

import re
from collections.abc import Iterator
from string import ascii_lowercase
from typing import TYPE_CHECKING

from joco_mlx.dataset.wording import FAULT
from joco_mlx.dataset.words import EMPTY_WORDS, word_set

if TYPE_CHECKING:
    from joco_mlx.dataset.candidate import Candidate

_DENIED: dict[str, frozenset[str]] = {
    "feat": word_set("bump clean cleanup correct document fix format refactor rename reorganize repair test"),
    "fix": word_set("bump create document format implement introduce refactor reformat rename test"),
    "refactor": word_set("allow correct display fix implement log print repair show support"),
    "perf": word_set("document fix rename test"),
    "style": word_set("add correct implement introduce rename support use"),
    "docs": word_set("allow avoid display enable ensure expose handle implement prevent refactor return show support"),
    "test": word_set("document"),
}
"""Type -> verbs that announce another one."""
_NEW = frozenset({"add", "implement", "introduce", "support", "create"})
_OTHER_TYPES = word_set("ci doc docs example examples readme test tests workflow workflows")
_ABILITIES = frozenset({"ability", "capabilities", "capability", "feature", "features", "functionality", "support"})
_PROSE = frozenset({"comment", "comments", "docstring", "docstrings", "documentation", "note"})
_TIDIES = frozenset({"deduplicate", "delete", "drop", "inline", "move", "reduce", "remove", "rename", "reuse"})
_TWICE = frozenset({"duplicate", "duplicated", "redundant"})
_GONE = frozenset({"delete", "drop", "remove"})
_CODE_NAME = re.compile(r"`([^`]+)`|(?<![\w/@-])([\w-]+\.[a-z]{2,5})(?![\w/])|\b([a-z]+_[a-z_]+)\b|\b(\w+)\(\)")
_CODE = re.compile(
    r"^(?!.*(?:script|task|tool|bench|\.config\.|\.github)).*"
    r"\.(?:c|cc|cpp|cs|dart|go|h|java|js|jsx|kt|lua|mjs|php|py|rb|rs|svelte|swift|ts|tsx|vue)$"
)
_WHOLE_NAME = re.compile(r"\b(?:[A-Za-z]*[a-z][A-Z]\w*|[A-Za-z]+\d+)\b")
"""With a capital in the middle, or digits at the end."""
_DEVELOPMENT = re.compile(r"\bdev(?:elopment)?[- ]?dep|\bdev script", re.IGNORECASE)
_BRANDS = word_set("CircleCI CloudFlare GitHub GitLab JavaScript MacPorts NodeJS OpenAPI PowerShell PyPI TypeScript")
_WORD = re.compile(r"[a-z]+")
_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_SHORTEST_MISSPELT, _ENDING = 6, 2
_VOWELS, _INFLECTED = "aeiou", "degnrsty"
_SEARCHED_CHARS = 200_000


def type_penalty(candidate: "Candidate") -> int:
    """-25 for a type that verb, scope or files deny: "feat: fix", a fix of new files alone, a chore of source alone."""
    if candidate.message is None or not candidate.words:
        return 0
    kind, verb = candidate.message.type, candidate.words[0]
    denied = _is_denied_by_words(kind, verb, candidate.words)
    felt = kind in {"feat", "fix"}
    denied |= felt and (candidate.message.scope or "").lower() in _OTHER_TYPES
    denied |= felt and _DEVELOPMENT.search(candidate.description) is not None
    if denied:
        return FAULT
    changes = candidate.changes
    if kind == "fix" and changes and all(change.status == "A" for change in changes):
        return FAULT
    code = [change for change in changes if change.kind == "source" and _CODE.search(change.path)]
    only_code = bool(code) and all(change.kind == "test" or change in code for change in changes)
    return FAULT if kind == "chore" and only_code and verb not in _TIDIES else 0


def direction_penalty(candidate: "Candidate") -> int:
    """-25 for "add" when more goes than comes, for "remove" when nothing goes or far more comes."""
    verb = candidate.words[0] if candidate.words else ""
    added, deleted = (sum(getattr(change, side) for change in candidate.changes) for side in ("added", "deleted"))
    if verb in _NEW:
        return FAULT if 3 * added < deleted or not added else 0
    twice = not _TWICE.isdisjoint(candidate.words)
    return FAULT if verb in _GONE and (not deleted or (twice and added >= deleted)) else 0


def name_penalty(candidate: "Candidate") -> int:
    """-25 for a name in code that the diff does not hold, letter by letter: `isIgnore` is not `isIgnored`."""
    text = candidate.lowered_patch[:_SEARCHED_CHARS]
    described = candidate.description
    names = [next(filter(None, found)) for found in _CODE_NAME.findall(described)]
    if any("_" in name and name.isidentifier() and name.lower() not in text for name in names):
        return FAULT
    longest = (max(re.findall(r"[a-z]+", name.lower()), key=len, default="") for name in names)
    if any(part.removesuffix("s") not in text for part in longest):
        return FAULT
    words = (name.lower().removesuffix("s") for name in _WHOLE_NAME.findall(described) if name not in _BRANDS)
    return FAULT if any(not re.search(rf"(?<![a-z]){re.escape(word)}s?(?![a-z])", text) for word in words) else 0


def misspelt_penalty(candidate: "Candidate") -> int:
    """-25 for a word that the diff writes nearly, but not quite, so."""
    text = candidate.lowered_patch[:_SEARCHED_CHARS]
    scope = "" if candidate.message is None else candidate.message.scope or ""
    told = _WORD.findall(f"{scope} {candidate.description}".lower())
    unknown = {word for word in told if len(word) >= _SHORTEST_MISSPELT and word not in text} - EMPTY_WORDS
    if not unknown:
        return 0
    known = {word.lower() for word in _PART.findall(candidate.patch[:_SEARCHED_CHARS])}
    known = {word for word in known if len(word) >= _SHORTEST_MISSPELT}
    return FAULT if any(not known.isdisjoint(_slips(word)) for word in unknown) else 0


def _is_denied_by_words(kind: str, verb: str, words: tuple[str, ...]) -> bool:
    """Whether the words announce another type: what adds something missing may be a fix of anything."""
    if verb in _DENIED.get(kind, frozenset()) and "missing" not in words:
        return True
    if kind == "fix":
        return verb in _NEW and "support" in words
    return verb == "add" and (
        (kind == "refactor" and not _PROSE.isdisjoint(words)) or (kind == "docs" and words[-1] in _ABILITIES)
    )


def _slips(word: str) -> Iterator[str]:
    """Yield what `word` may have been meant to be: letters exchanged, one too many or too few, a wrong vowel.

    Endings are left alone, for inflections differ there, but for a last letter that no inflection has.
    """
    for place in range(1, len(word) - _ENDING):
        before, here, after = word[:place], word[place], word[place + 1 :]
        yield before + after[:1] + here + after[1:]
        yield before + after
        yield from (before + letter + here + after for letter in ascii_lowercase)
        if here in _VOWELS:
            yield from (before + letter + after for letter in _VOWELS if letter != here)
    if word[-1] not in _INFLECTED:
        yield from (word[:-1] + letter for letter in ascii_lowercase if letter != word[-1])
    else:
        yield from (word[:-1] + letter for letter in ascii_lowercase if letter not in _INFLECTED)
