"""A suggestion, put into the file that git is about to show in the editor.

Decides that what somebody else wrote there is never touched, where our comment may stand so that git takes it out again,
and that the file is whole at every moment. What counts as a comment is the repository's own setting. Reference:
`git help commit`, --cleanup; the scissors line is in git's `wt-status.c`.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from joco_mlx import artifacts, process
from joco_mlx.errors import InputError

_SCISSORS = "------------------------ >8 ------------------------"
_NOTE = "joco-mlx suggested this message. Edit it, or delete it to stop the commit."
# Of --signoff, --trailer and hooks that name who wrote along; no type of a conventional commit ends like this.
_TRAILER = re.compile("[A-Za-z][A-Za-z-]*-by: ")


@dataclass(frozen=True)
class Comments:
    """How a repository marks comments in a message, and whether git takes them out."""

    mark: str
    are_removed: bool


def comments_of(repository: Path) -> Comments:
    """Return the settings core.commentString, core.commentChar and commit.cleanup of a repository."""
    mark = _setting(repository, "core.commentString") or _setting(repository, "core.commentChar")
    kept = _setting(repository, "commit.cleanup") in ("whitespace", "verbatim", "scissors")
    return Comments("#" if mark in ("", "auto") else mark, not kept)


def is_untouched(text: str, comments: Comments) -> bool:
    """Whether a message file holds comments, trailers and white space only, above the scissors."""
    for line in text.split("\n"):
        if line == f"{comments.mark} {_SCISSORS}":
            return True
        if line.strip() and not line.startswith(comments.mark) and not _TRAILER.match(line):
            return False
    return True


def filled(text: str, message: str, comments: Comments) -> str:
    """Return a message file with `message` on top, and a comment wherever git removes it."""
    if _TRAILER.match(text):
        text = f"\n{text}"
    note, scissors = f"{comments.mark} {_NOTE}\n", f"{comments.mark} {_SCISSORS}\n"
    if scissors in text:
        text = text.replace(scissors, scissors + note, 1)
    elif comments.are_removed:
        text = f"\n{note}" + text.removeprefix("\n")
    return f"{message}\n{text}" if text else f"{message}\n"


def read_message(path: Path) -> str:
    """Return the text of a message file.

    Raises:
        InputError: It cannot be read.
    """
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except OSError as problem:
        raise InputError(
            f"{path} cannot be read: {problem.strerror}.", "Give the file that git gives a hook."
        ) from None


def write_message(path: Path, text: str) -> None:
    """Write a message file, whole or not at all."""
    with artifacts.whole_file(path) as file:
        file.write(text.encode("utf-8", "surrogateescape"))


def _setting(repository: Path, name: str) -> str:
    return (
        process.run(["git", "-C", repository, "config", "--get", name]).stdout.decode("utf-8", "replace").rstrip("\n")
    )
