"""OWNS reading a unified diff: which files it changes, how, and by which hunks.

Decides where a file's part begins and what status the file has. Anything between the parts is passed over: a log
message before the first file, a mail signature after the last. Leaves names to `paths`, the end of a hunk to `hunks`,
classes to `classify`, and what a model is shown to `fit`.

Format: git-diff(1), "Generating patch text with -p" and "Combined diff format".
"""

import re
from dataclasses import dataclass, field
from typing import Literal

from joco_mlx.commit.classify import FileClass, classify
from joco_mlx.commit.hunks import read_hunk
from joco_mlx.commit.paths import NO_FILE, both_names, name_in, unquote, without_prefixes

__all__ = ["FileChange", "FileClass", "Status", "classify", "parse_diff"]

Status = Literal["A", "M", "D", "R", "C", "T"]

_EXTENDED = (
    "old mode ",
    "new mode ",
    "deleted file mode ",
    "new file mode ",
    "copy from ",
    "copy to ",
    "rename from ",
    "rename to ",
    "similarity index ",
    "dissimilarity index ",
    "index ",
    "mode ",
    "Binary files ",
    "GIT binary patch",
)
_SUBMODULE_MODE = "160000"
_SUBMODULE_LOG = re.compile(
    r"Submodule (.+?) (?:contains (?:modified|untracked) content"
    r"|[0-9a-f]{4,64}\.{2,3}[0-9a-f]{4,64}(?: \((?:(new submodule)|(submodule deleted)|.+)\))?:?)\r?"
)


@dataclass(frozen=True)
class FileChange:
    """What a diff does to one file."""

    path: str
    """The new path, or the old one of a deleted file: unquoted, without prefix."""
    old_path: str | None
    """The path before a rename or copy; None when the path stayed the same."""
    status: Status
    """As `git diff --name-status` says: Added, Modified, Deleted, Renamed, Copied, Type changed."""
    kind: FileClass
    added: int
    """Added lines; with `deleted` what `git diff --numstat` counts, and 0 for a binary file."""
    deleted: int
    binary: bool
    submodule: bool
    header: str
    """The lines before the first hunk, without the payload of a binary patch and without a final newline."""
    hunks: tuple[str, ...]
    """Each hunk from its `@@` line on, without a final newline."""


@dataclass
class _Draft:
    """A file's part while it is read."""

    path: str
    header: list[str]
    old_path: str | None = None
    status: Status = "M"
    mode: str = ""
    added: int = 0
    deleted: int = 0
    binary: bool = False
    submodule: bool = False
    hunks: list[str] = field(default_factory=list)

    def finish(self) -> FileChange:
        return FileChange(
            path=self.path,
            old_path=self.old_path,
            status=self.status,
            kind=classify(self.path),
            added=self.added,
            deleted=self.deleted,
            binary=self.binary,
            submodule=self.submodule,
            header="\n".join(self.header),
            hunks=tuple(self.hunks),
        )


def parse_diff(patch: str | bytes) -> tuple[FileChange, ...]:
    """Return what `patch` changes, file by file in its order; empty when it is no diff.

    Bytes are read as UTF-8, and what is no UTF-8 becomes U+FFFD. Never raises; time and memory grow with the length.
    """
    text = patch.decode("utf-8", "replace") if isinstance(patch, bytes) else patch
    reader = _Reader(text.split("\n"))
    reader.read()
    return tuple(draft.finish() for draft in _join_type_changes(reader.drafts))


def _join_type_changes(drafts: list[_Draft]) -> list[_Draft]:
    """Make one part of a deletion and an addition that git wrote for a file that became a link, or the reverse."""
    joined: list[_Draft] = []
    for draft in drafts:
        before = joined[-1] if joined else None
        if before and _becomes(before, draft):
            before.status = "T"
            before.header += draft.header
            before.hunks += draft.hunks
            before.added += draft.added
            before.deleted += draft.deleted
            before.binary = before.binary or draft.binary
            before.submodule = before.submodule or draft.submodule
        else:
            joined.append(draft)
    return joined


def _becomes(before: _Draft, after: _Draft) -> bool:
    same_place = before.path == after.path and (before.status, after.status) == ("D", "A")
    return same_place and before.mode[:3] != after.mode[:3]


class _Reader:
    """Goes through the lines once, from part to part."""

    def __init__(self, lines: list[str]) -> None:
        if not lines[-1]:
            lines.pop()
        self.lines = lines
        self.at = 0
        self.drafts: list[_Draft] = []

    def read(self) -> None:
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if line.startswith("diff --git "):
                self._git_part(line)
            elif line.startswith(("diff --cc ", "diff --combined ")):
                self._combined_part(line)
            elif line.startswith("Submodule ") and (named := _SUBMODULE_LOG.fullmatch(line)):
                self._submodule_part(named)
            elif line.startswith("--- ") and self._begins_plain_part():
                self._plain_part()
            elif line.startswith("@@") and self.drafts:
                self._hunk(self.drafts[-1])
            else:
                self.at += 1

    def _header(self) -> list[str]:
        """Take the lines of a git header, the current one included."""
        start = self.at
        self.at += 1
        while self.at < len(self.lines) and self.lines[self.at].startswith(_EXTENDED):
            self.at += 1
        if self._file_lines():
            self.at += 2
        return self.lines[start : self.at]

    def _file_lines(self) -> bool:
        """Whether a `--- ` and a `+++ ` line stand here."""
        return (
            self.at + 1 < len(self.lines)
            and self.lines[self.at].startswith("--- ")
            and self.lines[self.at + 1].startswith("+++ ")
        )

    def _git_part(self, line: str) -> None:
        header = self._header()
        draft = _Draft("", header)
        old, new = both_names(line[len("diff --git ") :].rstrip("\r")) or _names_below(header)
        for extended in header[1:]:
            _note(draft, extended.rstrip("\r"))
        draft.path = draft.path or (old if new == NO_FILE else new) or line[len("diff --git ") :].strip()
        if draft.status == "M" and old not in ("", new, NO_FILE):
            draft.status, draft.old_path = "R", old
        self.drafts.append(draft)

    def _combined_part(self, line: str) -> None:
        """Read the header of a merge's diff, which names its file once."""
        header = self._header()
        draft = _Draft("", header)
        for extended in header[1:]:
            _note(draft, extended.rstrip("\r"))
        draft.path = unquote(line.split(" ", 2)[2].rstrip("\r"))
        self.drafts.append(draft)

    def _submodule_part(self, line: re.Match[str]) -> None:
        """Read what `--submodule=log` writes: one line, and the subjects of commits in place of hunks.

        Git counts a submodule as a file of one line. One with changes of its own gets further lines of its name.
        """
        path, new, gone = line.groups()
        self.at += 1
        start = self.at
        while self.at < len(self.lines) and self.lines[self.at].startswith(("  > ", "  < ")):
            self.at += 1
        subjects = self.lines[start : self.at]
        if self.drafts and self.drafts[-1].submodule and self.drafts[-1].path == path:
            draft = self.drafts[-1]
            draft.header.append(line[0])
        else:
            status: Status = "A" if new else "D" if gone else "M"
            draft = _Draft(path, [line[0]], status=status, submodule=True, added=int(not gone), deleted=int(not new))
            self.drafts.append(draft)
        draft.hunks += ["\n".join(subjects)] if subjects else []

    def _begins_plain_part(self) -> bool:
        below = self.at + 2
        return self._file_lines() and below < len(self.lines) and read_hunk(self.lines, below) is not None

    def _plain_part(self) -> None:
        """Read the header of a diff that no git wrote: two file lines and nothing else."""
        header = self.lines[self.at : self.at + 2]
        self.at += 2
        old, new = without_prefixes(name_in(header[0]), name_in(header[1]))
        status: Status = "A" if old == NO_FILE else "D" if new == NO_FILE else "M"
        self.drafts.append(_Draft(old if status == "D" else new, header, status=status))

    def _hunk(self, draft: _Draft) -> None:
        hunk = read_hunk(self.lines, self.at)
        if hunk is None:
            self.at += 1
            return
        draft.hunks.append("\n".join(self.lines[self.at : hunk.end]))
        draft.added += hunk.added
        draft.deleted += hunk.deleted
        self.at = hunk.end


def _names_below(header: list[str]) -> tuple[str, str]:
    """Return the names of the file lines that end a header, or two empty ones."""
    if len(header) > 2 and header[-1].startswith("+++ "):
        return without_prefixes(name_in(header[-2]), name_in(header[-1]))
    return "", ""


def _note(draft: _Draft, line: str) -> None:
    """Enter what one extended header line says."""
    if line.startswith(("new file mode ", "deleted file mode ")):
        draft.status = "A" if line.startswith("new") else "D"
        draft.mode = line.rpartition(" ")[2]
    elif line.startswith(("rename from ", "copy from ")):
        draft.status = "R" if line.startswith("rename") else "C"
        draft.old_path = unquote(line.partition(" from ")[2])
    elif line.startswith(("rename to ", "copy to ")):
        draft.path = unquote(line.partition(" to ")[2])
    elif line.startswith(("Binary files ", "GIT binary patch")):
        draft.binary = True
    elif line.startswith("index "):
        draft.mode = draft.mode or line.rpartition(" ")[2]
    draft.submodule = draft.mode == _SUBMODULE_MODE
