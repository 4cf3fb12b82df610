"""OWNS the verdict on a commit message: commitlint's, with its config-conventional, rule for rule.

Decides which rules a text breaks. The names, levels, limits and sentences are those of @commitlint/config-conventional
20.5 and @commitlint/rules 20.5, also where they surprise; the tests run the real commitlint beside this. Differences
are wanted in one place only: here an empty message breaks rules and nothing is exempt, because a text that a model
wrote deserves no pardon for looking like a merge or a revert.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from joco_mlx.commit.grammar import DOT, SPACES, TYPES, message_lines

MAXIMUM_CHARS = 100
"""Of the header and of each line in body and footer, counted in UTF-16 code units as JavaScript does."""

Level = Literal["error", "warning"]

_BREAKING_HEADER = re.compile(rf"(\w*)(?:\(({DOT}*)\))?!: ({DOT}*)", re.ASCII)
_HEADER = re.compile(rf"(\w*)(?:\(({DOT}*)\))?!?: ({DOT}*)", re.ASCII)


@dataclass(frozen=True)
class Problem:
    """One rule that a message breaks."""

    rule: str
    level: Level
    text: str
    """commitlint's sentence."""


class _Parts(NamedTuple):
    """A message as commitlint's parser cuts it; what is absent is empty."""

    header: str
    type: str
    subject: str


def lint(text: str) -> tuple[Problem, ...]:
    """Return every rule that `text` breaks, in alphabetical order; empty when it breaks none. Never raises."""
    parts = _cut(text)
    complaints = ((rule, level, complain(parts)) for rule, level, complain in _RULES)
    return tuple(Problem(rule, level, complaint) for rule, level, complaint in complaints if complaint)


def is_valid(text: str) -> bool:
    """Whether `text` breaks no rule of level error: strict validity."""
    return not any(problem.level == "error" for problem in lint(text))


def _cut(text: str) -> _Parts:
    header, *_ = message_lines(text) or [""]
    match = _BREAKING_HEADER.fullmatch(header) or _HEADER.fullmatch(header)
    return _Parts(
        header=header,
        type=match[1] if match else "",
        subject=match[3] if match else "",
    )


def _utf16_length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _header_max_length(parts: _Parts) -> str:
    length = _utf16_length(parts.header)
    if length <= MAXIMUM_CHARS:
        return ""
    return f"header must not be longer than {MAXIMUM_CHARS} characters, current length is {length}"


def _header_trim(parts: _Parts) -> str:
    starts = parts.header != parts.header.lstrip(SPACES)
    ends = parts.header != parts.header.rstrip(SPACES)
    if starts and ends:
        return "header must not be surrounded by whitespace"
    if starts:
        return "header must not start with whitespace"
    return "header must not end with whitespace" if ends else ""


def _subject_empty(parts: _Parts) -> str:
    return "" if parts.subject else "subject may not be empty"


def _subject_full_stop(parts: _Parts) -> str:
    """Judge the header's last character, whatever the header is; an ellipsis is spared."""
    stops = parts.header.endswith(".") and not parts.header.endswith("...")
    return "subject may not end with full stop" if stops else ""


def _type_case(parts: _Parts) -> str:
    """A type that begins with a digit is never judged."""
    wrong = parts.type != parts.type.lower() and not parts.type[0].isdigit()
    return "type must be lower-case" if wrong else ""


def _type_empty(parts: _Parts) -> str:
    return "" if parts.type else "type may not be empty"


def _type_enum(parts: _Parts) -> str:
    return "" if not parts.type or parts.type in TYPES else f"type must be one of [{', '.join(TYPES)}]"


_RULES: tuple[tuple[str, Level, Callable[[_Parts], str]], ...] = (
    ("header-max-length", "error", _header_max_length),
    ("header-trim", "error", _header_trim),
    ("subject-empty", "error", _subject_empty),
    ("subject-full-stop", "error", _subject_full_stop),
    ("type-case", "error", _type_case),
    ("type-empty", "error", _type_empty),
    ("type-enum", "error", _type_enum),
)
