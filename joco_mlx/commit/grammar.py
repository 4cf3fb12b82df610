"""What a space, a line and a header are, for `message` (which reads) and `lint` (which judges) alike.

The rules are commitlint's, which runs in JavaScript: its white space is not Python's, its word characters are ASCII, its
dot stops at four line terminators, and its parser drops the lines that `git log --show-signature` puts in. Sources:
conventional-commits-parser 6.4 (`CommitParser.parse`, `trimNewLines`, `gpgFilter`) and
conventional-changelog-conventionalcommits 9.3 (`parser.js`).
"""

import re

TYPES = ("build", "chore", "ci", "docs", "feat", "fix", "perf", "refactor", "revert", "style", "test")
"""The eleven types that commitlint's config-conventional allows."""

SPACES = (
    "\t\n\v\f\r \xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\ufeff"
)
"""What JavaScript's `trim` removes and its `\\s` matches. Unlike Python: with U+FEFF, without U+001C to U+001F, U+0085."""
DOT = r"[^\n\r\u2028\u2029]"
"""JavaScript's dot."""

_GPG = re.compile(rf"[{SPACES}]*gpg:")


def split_lines(text: str) -> list[str]:
    r"""Split at every `\n` or `\r\n`, as commitlint does; a lone `\r` stays."""
    return text.replace("\r\n", "\n").split("\n")


def message_lines(text: str) -> list[str]:
    """Split a commit message into its lines, without leading and trailing empty ones and without gpg's remarks."""
    lines = split_lines(text.strip("\r\n"))
    if "gpg:" in text:
        return [line for line in lines if not _GPG.match(line)]
    return lines


def match_header(pattern: re.Pattern[str], header: str) -> re.Match[str] | None:
    """Match a whole header, in which no dot may stand for a line terminator.

    They are looked for first: a pattern that stumbles over one at the end would try every parenthesis before it.
    """
    if "\r" in header or "\u2028" in header or "\u2029" in header:
        return None
    return pattern.fullmatch(header)
