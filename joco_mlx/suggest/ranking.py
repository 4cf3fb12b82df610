"""Which of several drafts is offered first.

Decides what makes a draft good when nobody knows the right answer: that it breaks no rule, that the model finds it
likely, that other drafts say the same, and that its words come from the diff. A draft that breaks a rule comes after
every one that breaks none.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from joco_mlx.commit.message import is_valid, parse
from joco_mlx.models.drafts import Draft

_WORD = re.compile(r"[a-z][a-z0-9]+")
_PARTS = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")
_COMMON = frozenset(
    {"an", "and", "as", "at", "by", "for", "from", "in", "into", "is", "it", "of", "on", "or", "the", "to", "with"}
)
_VALID, _INVALID = 1.0, 0.1
_LIKELIHOOD, _AGREEMENT, _GROUNDING, _SCOPE = 0.4, 0.25, 0.25, 0.1


@dataclass(frozen=True)
class Candidate:
    """One message, and how good it seems: 0 to 1, comparable within one diff only."""

    message: str
    score: float


def ranked(
    drafts: Sequence[Draft], *, shown: str, recent_scopes: Mapping[str, int], hint: str = ""
) -> tuple[Candidate, ...]:
    """Return the different messages among `drafts`, best first.

    Args:
        drafts: Cleaned answers; equal ones count as agreement.
        shown: What the model saw of the diff.
        recent_scopes: Scopes that the repository uses.
        hint: What the person said; its words are as good as the diff's.
    """
    source = _words(f"{shown} {hint}")
    bags = [_words(draft.text.partition("\n")[0]) for draft in drafts]
    found: dict[str, float] = {}
    for number, draft in enumerate(drafts):
        likelihood = math.exp(draft.likelihood) if draft.likelihood is not None else 0.5
        others = [_alike(bags[number], bag) for at, bag in enumerate(bags) if at != number]
        agreement = sum(others) / len(others) if others else 1.0
        score = _LIKELIHOOD * likelihood + _AGREEMENT * agreement + _GROUNDING * _grounding(bags[number], source)
        score += _SCOPE * _scope(draft.text, recent_scopes)
        score *= _VALID if is_valid(draft.text) else _INVALID
        found[draft.text] = max(found.get(draft.text, 0.0), score)
    return tuple(Candidate(text, round(found[text], 4)) for text in sorted(found, key=lambda text: -found[text]))


def _words(text: str) -> frozenset[str]:
    """Return the words of a text; those inside names count too (`readFile`, `read_file`)."""
    parts = (part.lower() for part in _PARTS.findall(text))
    return frozenset(part for part in parts if _WORD.fullmatch(part) and part not in _COMMON)


def _alike(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other) if one | other else 1.0


def _grounding(words: frozenset[str], source: frozenset[str]) -> float:
    """Return the share of words that the diff has, also in another ending (`adds` for `add`)."""
    stems = {word[:5] for word in source}
    return sum(word[:5] in stems for word in words) / len(words) if words else 0.0


def _scope(text: str, recent: Mapping[str, int]) -> float:
    message = parse(text)
    if message is None or message.scope is None or not recent:
        return 0.5
    return 1.0 if message.scope in recent else 0.0
