"""OWNS the verdict on a commit message: commitlint's, with its config-conventional, rule for rule.

Decides which rules a text breaks. The names, levels, limits and sentences are those of @commitlint/config-conventional
20.5 and @commitlint/rules 20.5, also where they surprise; the tests run the real commitlint beside this. Differences
are wanted in one place only: here an empty message breaks rules and nothing is exempt, because a text that a model
wrote deserves no pardon for looking like a merge or a revert.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from joco_mlx.commit.grammar import DOT, SPACES, TYPES, match_header, message_lines, split_lines

MAXIMUM_CHARS = 100
"""Of the header and of each line in body and footer, counted in UTF-16 code units as JavaScript does."""

Level = Literal["error", "warning"]

_BREAKING_HEADER = re.compile(r"(\w*)(?:\((.*)\))?!: (.*)", re.ASCII)
_HEADER = re.compile(r"(\w*)(?:\((.*)\))?!?: (.*)", re.ASCII)
_NOTE = re.compile(rf"[{SPACES}|*]*BREAKING[ -]CHANGE[:{SPACES}]", re.ASCII | re.IGNORECASE)
_ACTIONS = "close|closes|closed|fix|fixes|fixed|resolve|resolves|resolved"
_SENTENCE = re.compile(rf"(?:{_ACTIONS})[{SPACES}]++({DOT}*?)(?={_ACTIONS}|\Z)", re.ASCII | re.IGNORECASE)
_DOTS = re.compile(rf"{DOT}+")
_REFERENCE = re.compile(rf"#[\w-]+(?=[{SPACES},;)\]]|\Z)", re.ASCII)
_URL = re.compile(r"\bhttps?://(?:www\.)?[-a-zA-Z0-9@:%_+.~#?&/=]+\b", re.ASCII)
_LINK = re.compile(rf"\bhttps?://[^{SPACES}]", re.ASCII)

_QUOTED = re.compile(rf"`{DOT}*?`|\"{DOT}*?\"|'{DOT}*?'")
_WORDLESS_LETTERS = ("\xb5", "\u0345")
"""The two letters that commitlint does not count as part of a word: the micro sign and the combining iota."""
# What passes between words in es-toolkit: rsBreakRange, what `deburr` removes, halves of surrogate pairs.
_BETWEEN_WORDS = re.compile(
    r"[\x00-\x2f\x3a-\x40\x5b-\x60\x7b-\xbf\xd7\xf7\u1680\u180e\u2000-\u206f\u3000\ufeff"
    r"\u0300-\u036f\u20d0-\u20ff\ufe20-\ufe2f\ud800-\udfff]*"
)


@dataclass(frozen=True)
class Problem:
    """One rule that a message breaks."""

    rule: str
    level: Level
    text: str
    """commitlint's sentence."""


class _Parts(NamedTuple):
    """A message as commitlint's parser cuts it; what is absent is empty."""

    raw_lines: list[str]
    header: str
    type: str
    subject: str
    body: str
    footer: str


def lint(text: str) -> tuple[Problem, ...]:
    """Return every rule that `text` breaks, in alphabetical order; empty when it breaks none. Never raises."""
    parts = _cut(text)
    complaints = ((rule, level, complain(parts)) for rule, level, complain in _RULES)
    return tuple(Problem(rule, level, complaint) for rule, level, complaint in complaints if complaint)


def is_valid(text: str) -> bool:
    """Whether `text` breaks no rule of level error: strict validity."""
    return not any(problem.level == "error" for problem in lint(text))


def _cut(text: str) -> _Parts:
    header, *rest = message_lines(text) or [""]
    match = match_header(_BREAKING_HEADER, header) or match_header(_HEADER, header)
    start = next((index for index, line in enumerate(rest) if _starts_footer(line)), len(rest))
    return _Parts(
        raw_lines=split_lines(text),
        header=header,
        type=match[1] if match else "",
        subject=match[3] if match else "",
        body="\n".join(rest[:start]).strip("\r\n"),
        footer="\n".join(rest[start:]).strip("\r\n"),
    )


def _starts_footer(line: str) -> bool:
    """Whether commitlint ends the body before this line: a breaking change, or a reference to an issue."""
    return _NOTE.match(line) is not None or _refers_to_an_issue(line)


def _refers_to_an_issue(line: str) -> bool:
    """`CommitParser.parseReferences`: `#12` anywhere, except that after a `fix` only what follows it is searched."""
    if "#" not in line:
        return False
    sentences = _SENTENCE.findall(line) or _DOTS.findall(line)
    return any(_REFERENCE.search(sentence) and not _URL.search(sentence) for sentence in sentences)


def _has_long_line(text: str) -> bool:
    """Whether a line is too long and holds no link, which would excuse it."""
    if len(text) * 2 <= MAXIMUM_CHARS:
        return False
    return any(_utf16_length(line) > MAXIMUM_CHARS and not _LINK.search(line) for line in split_lines(text))


def _utf16_length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _has_capital_case(subject: str) -> bool:
    """Whether commitlint finds `subject` in sentence, start, pascal or upper case.

    All four write the first letter as a capital, so it decides: one that is its own capital breaks the rule, any other
    keeps it, and a subject that begins with no letter is not judged. JavaScript sees half of a letter outside the Basic
    Multilingual Plane, which is its own capital. Two letters are no part of a word to commitlint (`ensure/case.js`,
    `es-toolkit/compat`); after them the rule is also broken when no word follows, or one that begins with a digit.
    """
    first = subject[:1] or " "
    if unicodedata.category(first) not in {"Ll", "Lu", "Lt"} and first not in _WORDLESS_LETTERS:
        return False
    if first.upper() == first or first > "\uffff":
        return True
    if first not in _WORDLESS_LETTERS:
        return False
    words = _BETWEEN_WORDS.sub("", _QUOTED.sub("", subject), count=1)
    return not words or words[0] in "0123456789"


def _body_leading_blank(parts: _Parts) -> str:
    blank = parts.raw_lines[1:2] == [""]
    return "body must have leading blank line" if parts.body and not blank else ""


def _body_max_line_length(parts: _Parts) -> str:
    return f"body's lines must not be longer than {MAXIMUM_CHARS} characters" if _has_long_line(parts.body) else ""


def _footer_leading_blank(parts: _Parts) -> str:
    """Look at the line before the first line that equals the footer's, wherever that is, as commitlint does."""
    if not parts.footer:
        return ""
    first = split_lines(parts.footer)[0]
    index = parts.raw_lines.index(first) if first in parts.raw_lines else -1
    # A slice of JavaScript from -1 holds the last line, from -2 the last but one, or the only one.
    before = parts.raw_lines[max(index - 1, -len(parts.raw_lines))]
    return "" if before == "" else "footer must have leading blank line"


def _footer_max_line_length(parts: _Parts) -> str:
    return f"footer's lines must not be longer than {MAXIMUM_CHARS} characters" if _has_long_line(parts.footer) else ""


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


def _subject_case(parts: _Parts) -> str:
    wrong = _has_capital_case(parts.subject)
    return "subject must not be sentence-case, start-case, pascal-case, upper-case" if wrong else ""


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
    ("body-leading-blank", "warning", _body_leading_blank),
    ("body-max-line-length", "error", _body_max_line_length),
    ("footer-leading-blank", "warning", _footer_leading_blank),
    ("footer-max-line-length", "error", _footer_max_line_length),
    ("header-max-length", "error", _header_max_length),
    ("header-trim", "error", _header_trim),
    ("subject-case", "error", _subject_case),
    ("subject-empty", "error", _subject_empty),
    ("subject-full-stop", "error", _subject_full_stop),
    ("type-case", "error", _type_case),
    ("type-empty", "error", _type_empty),
    ("type-enum", "error", _type_enum),
)
