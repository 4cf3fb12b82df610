"""Where a hunk ends: decided by the line counts in its `@@` line, never by what its content looks like.

A deleted SQL comment is a line that begins with three dashes, and a patch kept under version control holds whole
headers. Format: git-diff(1), "Combined diff format" for the hunks of a merge, which have a column of marks per parent.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_HEAD = re.compile(r"(@{2,99})((?: -[0-9,]+)+) \+([0-9,]+) \1")
_COUNT_DIGITS = 18
_NO_NEWLINE = "\\"
"""Begins "\\ No newline at end of file", which counts on neither side."""


@dataclass(frozen=True)
class Hunk:
    """Where a hunk ends (the index after its last line), and how many lines it adds and deletes."""

    end: int
    added: int
    deleted: int


def read_hunk(lines: Sequence[str], at: int) -> Hunk | None:
    """Return the hunk whose `@@` line is `lines[at]`; None when no hunk begins there.

    A hunk that breaks off, because somebody cut the diff, ends where its lines do.
    """
    head = _HEAD.match(lines[at])
    if head is None:
        return None
    old = [_count(part[1:]) for part in head[2].split()]
    if len(old) != len(head[1]) - 1:  # each line costs time for each parent: a made-up head may not name thousands
        return None
    new = _count(head[3])
    return _two_way(lines, at + 1, old[0], new) if len(old) == 1 else _combined(lines, at + 1, old, new)


def _count(hunk_range: str) -> int:
    """Return how many lines `12,3` (3) or `12` (1) spans; int() refuses thousands of digits."""
    _, comma, count = hunk_range.partition(",")
    return int(count) if comma and count.isdigit() and len(count) <= _COUNT_DIGITS else int(not comma)


def _two_way(lines: Sequence[str], at: int, old: int, new: int) -> Hunk:
    added = deleted = 0
    while at < len(lines):
        mark = lines[at][:1]
        if mark != _NO_NEWLINE and old <= 0 and new <= 0:
            break
        if mark == "+":
            new, added = new - 1, added + 1
        elif mark == "-":
            old, deleted = old - 1, deleted + 1
        elif mark in ("", " ", "\r"):  # mail programs strip the space of an empty context line
            old, new = old - 1, new - 1
        elif mark != _NO_NEWLINE:
            break
        at += 1
    return Hunk(at, added, deleted)


def _combined(lines: Sequence[str], at: int, old: list[int], new: int) -> Hunk:
    added = deleted = 0
    while at < len(lines):
        marks = lines[at][: len(old)]
        if not marks.startswith(_NO_NEWLINE):
            if (new <= 0 and max(old) <= 0) or marks.strip(" +-\r"):
                break
            removed = "-" in marks
            deleted += removed
            added += "+" in marks
            new -= not removed
            counted = "-" if removed else " "
            old = [count - (mark == counted) for count, mark in zip(old, marks.ljust(len(old)), strict=True)]
        at += 1
    return Hunk(at, added, deleted)
