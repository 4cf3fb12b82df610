"""OWNS the Conventional Commits grammar: text to `Message` and back.

Decides what is type, scope, description, body and footer (https://www.conventionalcommits.org/en/v1.0.0/). Leaves the
verdict to `lint`, whose names are importable from here: a message can be readable and still break a rule, such as an
unknown type or a description that starts with a capital.
"""

import re
from dataclasses import dataclass

from joco_mlx.commit.grammar import SPACES, TYPES, match_header, message_lines
from joco_mlx.commit.lint import Problem, is_valid, lint

__all__ = ["TYPES", "Footer", "Message", "Problem", "is_valid", "lint", "parse", "strip_pr_suffix"]

# The scope is the shortest that fits, so that `fix(a): b (c): d` has the scope `a`; commitlint would read `a): b (c`.
_HEADER = re.compile(r"(\w+)(?:\((.*?)\))?(!?): (.*)", re.ASCII)
_BREAKING = re.compile(r"(BREAKING[ -]CHANGE):")
_FOOTER = re.compile(rf"([A-Za-z][\w-]*)(?:: +| (?=#))(?=[^{SPACES}])", re.ASCII)
_PR_SUFFIX = re.compile(r"(?<=\s)\([#!]\d+\)")


@dataclass(frozen=True)
class Footer:
    """A line such as `Refs: #12` at the end of a message; the value may go on over several lines."""

    token: str
    value: str


@dataclass(frozen=True)
class Message:
    """A commit message, taken apart. `parse` returns only messages that `format` writes back without a loss."""

    type: str
    description: str
    scope: str | None = None
    breaking: bool = False
    """Whether the header carries `!`."""
    body: str | None = None
    footers: tuple[Footer, ...] = ()

    @property
    def header(self) -> str:
        """The first line: `type(scope)!: description`."""
        scope = f"({self.scope})" if self.scope else ""
        return f"{self.type}{scope}{'!' if self.breaking else ''}: {self.description}"

    def format(self) -> str:
        """Return the whole text: header, body and footers with an empty line between, no line feed at the end."""
        footers = "\n".join(f"{footer.token}: {footer.value}".rstrip(" ") for footer in self.footers)
        return "\n\n".join(part for part in (self.header, self.body, footers) if part)


def parse(text: str) -> Message | None:
    """Take a commit message apart; None when its header is not conventional. Never raises.

    The type may be one that `lint` refuses. Footers are the last paragraphs that each begin with a token (`Refs: 1`,
    `Fixes #1`), and everything from the first line that begins with `BREAKING CHANGE:`.
    """
    header, *lines = message_lines(text) or [""]
    match = match_header(_HEADER, header)
    if match is None or not match[4].strip(SPACES):
        return None
    rest = [line.rstrip("\r") for line in lines]
    start = _footer_start(rest)
    return Message(
        type=match[1],
        description=match[4].strip(SPACES),
        scope=(match[2] or "").strip(SPACES) or None,
        breaking=bool(match[3]),
        body=_trim(rest[:start]) or None,
        footers=_footers(rest[start:]),
    )


def strip_pr_suffix(header: str) -> str:
    """Return `header` without the ` (#1234)` that a forge appends when it squashes a pull request."""
    bare = header.rstrip()
    while _PR_SUFFIX.fullmatch(bare, start := bare.rfind("(")):
        header = bare = bare[:start].rstrip()
    return header


def _footer_start(lines: list[str]) -> int:
    """The index of the first line that belongs to the footers; `len(lines)` when there are none."""
    start = next((index for index, line in enumerate(lines) if _BREAKING.match(line)), len(lines))
    while (paragraph := _paragraph_before(lines, start)) is not None and _footer(lines[paragraph]):
        start = paragraph
    return start


def _paragraph_before(lines: list[str], end: int) -> int | None:
    """The index of the first line of the paragraph that ends before `end`; None when only empty lines are there."""
    last = end - 1
    while last >= 0 and not lines[last].strip(SPACES):
        last -= 1
    if last < 0:
        return None
    while last > 0 and lines[last - 1].strip(SPACES):
        last -= 1
    return last


def _footer(line: str) -> tuple[str, str] | None:
    """The token of a footer's first line and what follows it there; None for any other line."""
    match = _BREAKING.match(line) or _FOOTER.match(line)
    return None if match is None else (match[1], line[match.end() :])


def _footers(lines: list[str]) -> tuple[Footer, ...]:
    found: list[tuple[str, list[str]]] = []
    for line in lines:
        footer = _footer(line)
        if footer is not None:
            found.append((footer[0], [footer[1]]))
        else:
            found[-1][1].append(line)
    return tuple(Footer(token, "\n".join(value).strip(SPACES)) for token, value in found)


def _trim(lines: list[str]) -> str:
    """Join `lines` without the empty ones at both ends."""
    filled = [index for index, line in enumerate(lines) if line.strip(SPACES)]
    return "\n".join(lines[filled[0] : filled[-1] + 1]) if filled else ""
