"""Faults of a description that can be read without its diff: vague, garbled, unfinished, or about several things.

Each rule of the rubric here is a penalty: 0, or what it takes away. Nearly all take 25, with which no candidate reaches
the threshold of `build`. What contradicts the diff is `contradictions`'; how points add up is `quality`'s.
"""

import re
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING

from joco_mlx.dataset.words import (
    AUXILIARIES,
    COMMON_MISSPELLINGS,
    EMPTY_WORDS,
    IMPERATIVES,
    ONLY_VERBS,
    PREPOSITIONS,
    STATEMENTS,
    TAKES_AN_OBJECT,
    is_order,
    word_set,
)

if TYPE_CHECKING:
    from joco_mlx.dataset.candidate import Candidate

FAULT = -25
"""Enough to keep a candidate below 80 whatever else it has."""

_VAGUE = word_set("""adapt adjust align change clarify clean cleanup enhance finish harden improve manage modify optimize polish prepare
    refactor refine relax rework rewrite simplify tidy try tune tweak update upgrade""")
_HOW = {
    "align": frozenset({"to", "with"}),
    "change": frozenset({"to", "from", "into"}),
    "clarify": frozenset({"that", "which", "how", "when", "what", "where"}),
    "refactor": frozenset({"into"}),
    "update": frozenset({"to"}),
    "simplify": frozenset({"by", "with"}),
    "upgrade": frozenset({"to", "from"}),
}
"""Vague verb -> words after which it is not."""
CODE = re.compile(r"[`_./()<>@$=]|[a-z][A-Z]|\d|--\w|:\w")
"""What names in code have and plain words do not."""
NAME = re.compile(CODE.pattern + r"|\w-\w|'[^']+'|\b[A-Z]{2,}\b|(?<=\s)[A-Z][a-z]")
"""The same, or a proper name: with a capital, a hyphen or quotes."""
_REFERENCE = re.compile(
    r"#\d+|\b(?:issues?|pull)/\d+|\b(?!(?:AES|CP|ECMA|IEEE|ISO|PEP|RFC|RSA|SHA|UTF)-)[A-Z][A-Z0-9]+-\d+\b|https?://"
    r"|\b(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{7,40}\b|\[(?:skip|ci|no)\b|\(\d{3,}\)$"
)
_UNFINISHED = frozenset(
    {"wip", "tmp", "temp", "temporary", "hack", "hacky", "todo", "fixme", "stuff", "misc", "various", "oops"}
)
_FILLERS = re.compile(
    r"\b(?:a bit|accordingly|actually|a few|a little|again|alternative|another|anymore|better|certain|cooler|couple of|etc"
    r"|finally|for now|for real|hiccups?|hopefully|lots? of|maybe|minor|more|nicer|nicely|one more|proper|really|several"
    r"|slightly|special|specific|some|somehow|sometimes|somewhat|temporarily|things?|this time|try and|try to|weird)\b",
    re.IGNORECASE,
)
_TOO = re.compile(
    r"\btoo\b(?! (?:big|deep|early|far|few|high|large|late|little|long|low|many|much|often|old|short|small)\b)"
)
_SIGNS = re.compile(
    r"\s\s|\s/\w|[\w`)][.;] \w|[-=]>|[\u2190-\u21ff]|\s[=+|/~&-]\s|\?\s|[\u2600-\u27bf\U0001f300-\U0001faff]"
)
REPAIRS = frozenset({"correct", "fix", "repair", "resolve", "solve"})
_COMPLAINT = re.compile(
    r"\b(?:are|being|breaks|can|cannot|can't|crashes|do|does|doesn't|don't|fails?|had|has|have|is|isn't|must|no longer"
    r"|(?<!to )not|should|shouldn't|throws?|was|were|when using|won't|would)\b",
    re.IGNORECASE,
)
_CONDITION = re.compile(r"\s(?:if|when)\s(?!using)")
_SHOULD = re.compile(
    r"\b(?:should|shouldn't|must|needs? to|can be|now|will|(?:when|if) not [a-z]+|when\b.*\bif"
    r"|(?<!when )(?<!if )(?<!with )(?<!that )(?<!has )(?<!have )(?<!is )(?<!are )no(?!-)"
    r"|(?:it|that|they|there|what|you)'(?:s|re|ll))\b",
    re.IGNORECASE,
)
"""What tells how things are or ought to be."""
_BROKEN_ORDER = re.compile(
    r"(?:\b(?:allow|ensure) to|^(?:allow|ensure|enable) [a-z]+es [a-z]+|\bensure only [a-z]+"
    r"|^allow (?!.*\bto\b)(?!existing\b)(?!\w+ing\b).*|^replace\b(?!.*\b(?:with|by)\b).*\bto|^change\b.*\bwith"
    r"|^(?:add|allow|enable|support)\b.*[a-z]{3}(?:s|z|t|d|r)able$|^make \S+(?: \S+)? to|^make .*working"
    r"|^return values?|^prevent \S+(?: \S+)? to)\b",
    re.IGNORECASE,
)
"""Verbs with what cannot follow them."""
_BROKEN_PHRASE = re.compile(
    r"\b(?:the way|(?:after|before) (?:load|reload|remove|render|run|send|set|write)|suit|\w{3,}s support"
    r"|handling (?!of\b)[a-z]+ [a-z]+|less \w+s|dependenc(?:y|ies) to|(?:set|list) of (?:\w+ )?\w*[^s\W]$"
    r"|to reflect|reflect latest|for [a-z]+ly (?![a-z]+(?:ing|ed)\b)[a-z]+)\b",
    re.IGNORECASE,
)
"""Wrong prepositions, missing words, one for many."""
_CLAUSES = word_set("after because before how if once since so that until what when where which while who")
_NEVER_NOUNS = word_set("add allow avoid become ensure enable disable exclude ignore include prevent provide remove")
_BEFORE_NOUNS = frozenset({"about", "by", "for", "from", "in", "of", "via", "with", "without"})
_LEADS_TO_VERB = word_set(
    "and always but can cannot can't do don't either may might never not only or that they then to users we which will you"
)
_ANYTHING = word_set("""action actions article articles behavior behaviour bug bugs build builds case cases check checks ci code comment
    comments condition config configuration dependencies dependency deps doc docs documentation error errors
    example examples failure failures feature features format formatting helper helpers issue issues job lint
    linter linting logic message messages method name names option options problem problems property release
    rule rules script scripts setting settings setup snapshot style styles test tests text type types typing typings
    usage version versions warning warnings workflow workflows""")
"""Nouns that every project has, so that they name nothing."""
_PROSE = word_set("""bug bugs build builds code doc docs documentation error errors formatting issue issues job jobs lint logic problem
    problems readme test tests usage wording workflow workflows""")
"""What nobody can tell the fault of, whatever stands before it."""
_QUALIFIERS = word_set("""additional all bad broken deprecated existing extra failing flaky incorrect inline invalid missing new obsolete old
    outdated redundant stale unnecessary unneeded unused wrong""")
_NOUNS_BEFORE_FOR = frozenset({"fix", "patch", "release", "support", "test", "tests", "update"})
_VERB_ENDINGS = ("ate", "ify", "ize")
_ALSO_NOUNS = frozenset({"delegate", "duplicate", "separate", "size", "state", "template", "update"})
_LATER_ORDER = re.compile(r"(?:,|;|\band\b|&)\s+(?:(?:also|only|then)\s+)?([a-z]+)", re.IGNORECASE)
_TWIN_ORDERS = re.compile(r"^\w+ and \w+ ")
_EMPTY_ENDS = frozenset({"cleanups", "fixes", "improvements", "refactor", "refactoring", "tweaks"})
_LAST_WORD = re.compile(r"[a-z']+$")
_PAIRS = {"(": ")", "[": "]", "{": "}"}
_LONG_ENOUGH = 4
_FEW_WORDS = 5


def reference_penalty(candidate: "Candidate") -> int:
    """-25 for an issue number, a commit or an address, which nobody can guess from a diff."""
    return FAULT if _REFERENCE.search(candidate.description) else 0


def unfinished_penalty(candidate: "Candidate") -> int:
    """-10 for words such as "wip" and "misc"."""
    return -10 if _UNFINISHED.intersection(candidate.words) else 0


def vague_penalty(candidate: "Candidate") -> int:
    """-25 for two words that name nothing in code, and for "update" or the like that does not say to what."""
    words = candidate.words
    if len(words) <= 2 and (not words or words[0] in REPAIRS or not CODE.search(candidate.description)):
        return FAULT
    return FAULT if words and words[0] in _VAGUE and not _says_how(candidate) else 0


def object_penalty(candidate: "Candidate") -> int:
    """-25 when what is changed is a thing that every project has: "add tests", "fix lint warning in the build"."""
    rest = [word for word in candidate.words[1:] if word not in _QUALIFIERS and word not in {"a", "an", "the"}]
    end = next((number for number, word in enumerate(rest) if word in PREPOSITIONS), len(rest))
    what, where = rest[:end], [word for word in rest[end:] if word not in PREPOSITIONS]
    repairs = bool(candidate.words) and candidate.words[0] in REPAIRS
    if repairs and what and what[-1] in _PROSE:
        return FAULT
    if not what or not all(word in _ANYTHING for word in what):
        return 0
    if "`" in candidate.description or (not repairs and NAME.search(candidate.description)):
        return 0
    return FAULT if repairs or all(word in _ANYTHING for word in where) else 0


def filler_penalty(candidate: "Candidate") -> int:
    """-25 for words that hide how much or what: "some", "a bit", "for real", "try to"."""
    return FAULT if _FILLERS.search(candidate.description) else 0


def signs_penalty(candidate: "Candidate") -> int:
    """-25 for signs in the place of words, such as an arrow or a slash between two words."""
    return FAULT if _SIGNS.search(candidate.description) else 0


def ending_penalty(candidate: "Candidate") -> int:
    """-25 for half a thought: a preposition or a comma at the end, a bracket or quote that is never closed."""
    text = candidate.description.rstrip()
    last = _LAST_WORD.search(text.lower())
    if last is not None and last[0] in _EMPTY_ENDS:
        return FAULT
    dangling = last is not None and last[0] in PREPOSITIONS | AUXILIARIES
    return FAULT if dangling or text.endswith((",", ":", ";", "-", "(", "/")) or not _is_closed(text) else 0


def verbs_penalty(candidate: "Candidate") -> int:
    """-25 for an order that runs into another verb or a preposition: "fix cannot delete", "add into sealed"."""
    first, second = (*candidate.words, "", "")[:2]
    if first == "move" and second in _NEVER_NOUNS:
        return FAULT
    if second == "no" or (second in {"for", "of"} and first in _NOUNS_BEFORE_FOR):
        return FAULT
    if first not in TAKES_AN_OBJECT:
        return FAULT if second in AUXILIARIES and first not in AUXILIARIES else 0
    if second.endswith("s") and second.removesuffix("s") in ONLY_VERBS:
        return FAULT
    wrong = second in ONLY_VERBS | AUXILIARIES | PREPOSITIONS or _is_only_a_verb(second)
    return FAULT if wrong else 0


def complaint_penalty(candidate: "Candidate") -> int:
    """-25 when "fix" is followed by a sentence about the symptom: "fix the buffer being deleted"."""
    begins = bool(candidate.words) and candidate.words[0] in REPAIRS
    symptom = _CONDITION.split(candidate.description)[0]
    return FAULT if begins and _COMPLAINT.search(symptom) else 0


def statement_penalty(candidate: "Candidate") -> int:
    """-25 for what should be or can be, and for a verb in the middle that nothing leads up to."""
    if any(pattern.search(candidate.description) for pattern in (_SHOULD, _BROKEN_ORDER, _BROKEN_PHRASE)):
        return FAULT
    if any(word in STATEMENTS for word in takewhile(lambda word: word not in _CLAUSES, candidate.words)):
        return FAULT
    follows = list(pairwise(candidate.words[1:]))
    if any(before in _BEFORE_NOUNS and _is_only_a_verb(verb) for before, verb in follows):
        return FAULT
    return FAULT if any(verb in _NEVER_NOUNS and before not in _LEADS_TO_VERB for before, verb in follows) else 0


def repetition_penalty(candidate: "Candidate") -> int:
    """-25 for the same word twice in a row, or anywhere when something is fixed: "fix test failure upload failure"."""
    words = candidate.words
    if any(one == other for one, other in pairwise(words)):
        return FAULT
    told = [word for word in words if len(word) >= _LONG_ENOUGH and word not in EMPTY_WORDS]
    repairs = bool(words) and words[0] in REPAIRS
    return FAULT if repairs and len(set(told)) < len(told) else 0


def spelling_penalty(candidate: "Candidate") -> int:
    """-25 for a word that is often misspelt, and is; and for "too" where "to" is meant."""
    if _TOO.search(candidate.description.lower()):
        return FAULT
    return FAULT if COMMON_MISSPELLINGS.intersection(candidate.words) else 0


def topics_penalty(candidate: "Candidate") -> int:
    """-25 for two orders with an object each, -5 for a list of things; "detect and report" is one order."""
    text = _TWIN_ORDERS.sub("", candidate.description, count=1)
    if any(is_order(word.lower()) for word in _LATER_ORDER.findall(text)):
        return FAULT
    return -5 if _LATER_ORDER.search(text) else 0


def _says_how(candidate: "Candidate") -> bool:
    """Whether a verb such as "change" or "clarify" goes on to say into what, or which."""
    first, rest = candidate.words[0], candidate.words[1:]
    return bool(_HOW.get(first, frozenset()).intersection(rest)) and len(rest) >= _FEW_WORDS - 1


def _is_only_a_verb(word: str) -> bool:
    """Whether a word such as "specify" or "normalize" cannot be read as a noun."""
    return word in _NEVER_NOUNS or (word.endswith(_VERB_ENDINGS) and word in IMPERATIVES - _ALSO_NOUNS)


def _is_closed(text: str) -> bool:
    """Whether each bracket and each backtick or double quote has its partner."""
    if text.count("`") % 2 or text.count('"') % 2:
        return False
    return all(text.count(opening) == text.count(closing) for opening, closing in _PAIRS.items())
