r"""File names as they stand in the header of a diff.

Decides how a quoted name is read, where one name ends and the next begins, and what is prefix and what is path. Git
writes `a/x b/x` by default, `i/x w/x` with diff.mnemonicPrefix, `x x` with diff.noprefix, and puts a name with control
characters, quotes, backslashes or (core.quotePath) bytes above 0x7F in double quotes with C escapes: git's quote.c.
"""

import re

NO_FILE = "/dev/null"

_QUOTED = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_ESCAPE = re.compile(rb"\\([0-7]{1,3}|.)", re.DOTALL)
_LETTERS = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_PREFIXES = frozenset("abciow12")


def unquote(name: str) -> str:
    """Return the path that `name` stands for; bytes that are no UTF-8 become U+FFFD."""
    if len(name) < 2 or not (name.startswith('"') and name.endswith('"')):
        return name
    raw = name[1:-1].encode("utf-8", "surrogatepass")
    return _ESCAPE.sub(_byte, raw).decode("utf-8", "replace")


def _byte(escape: re.Match[bytes]) -> bytes:
    code = escape[1]
    return bytes([int(code, 8) & 0xFF]) if code[:1] in b"01234567" else _LETTERS.get(code, code)


def both_names(text: str) -> tuple[str, str] | None:
    """Return the old and the new path of a `diff --git` line, given what follows these words.

    Bare names are not delimited: `a/x y b/x y` is read by both halves being the same path. None when that fails, which
    happens only where other lines of the header tell the names (renames, `git diff --no-index`).
    """
    if text.startswith('"'):
        first = _QUOTED.match(text)
        split = first.end() if first else len(text)
    elif text.endswith('"'):
        split = text.find(' "')
    elif text.count(" ") == 1:
        split = text.index(" ")
    else:
        split = len(text) // 2
        if not _same_path(text[:split], text[split + 1 :]):
            return None
    if not 0 < split < len(text) - 1 or text[split] != " ":
        return None
    return without_prefixes(unquote(text[:split]), unquote(text[split + 1 :]))


def without_prefixes(old: str, new: str) -> tuple[str, str]:
    """Return two paths without their `a/` and `b/`, whatever these are called; equal names have none."""
    if old == new:
        return old, new
    if _same_path(old, new) or (_has_prefix(old) and _has_prefix(new)):
        return _after_slash(old), _after_slash(new)
    return old, new


def name_in(line: str) -> str:
    """Return the name in a `--- ` or `+++ ` line: unquoted, without the tab and the date that may follow."""
    name = line[4:].rstrip("\r")
    quoted = _QUOTED.match(name)
    return unquote(quoted[0]) if quoted else name.partition("\t")[0]


def _same_path(old: str, new: str) -> bool:
    return old == new or ("/" in old and "/" in new and _after_slash(old) == _after_slash(new))


def _has_prefix(name: str) -> bool:
    return name == NO_FILE or (name[1:2] == "/" and name[:1] in _PREFIXES)


def _after_slash(name: str) -> str:
    return name if name == NO_FILE else name.partition("/")[2]
