"""A message, edited and committed.

Decides that nothing is ever pushed, that an empty message stops everything, and that an editor is started as git starts
it: by the shell, so that `$HOME/bin/edit` and quotes mean what they mean there.
"""

import tempfile
from pathlib import Path

from joco_mlx import process
from joco_mlx.errors import InputError, MachineError, StoppedError


def edited(repository: Path, message: str) -> str:
    """Return `message` after the person has had it in git's editor.

    Raises:
        MachineError: git names no editor, or it ended with an error.
        StoppedError: The message was deleted.
    """
    done = process.run(["git", "-C", repository, "var", "GIT_EDITOR"])
    editor = done.stdout.decode("utf-8", "surrogateescape").strip() if done.code == 0 else ""
    if not editor:
        raise MachineError("git knows no editor.", "Name one: git config --global core.editor EDITOR")
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "COMMIT_EDITMSG"
        path.write_text(f"{message}\n", "utf-8")
        if process.run_in_terminal(["sh", "-c", f'{editor} "$@"', editor, path]) != 0:
            raise MachineError(f"The editor {editor!r} ended with an error.", "See: git var GIT_EDITOR")
        text = path.read_text("utf-8").strip()
    if not text:
        raise StoppedError("The message is empty, so nothing is done.")
    return text


def commit_with(repository: Path, message: str, *, every: bool) -> str:
    """Commit what is staged, or with `every` all changes to tracked files, and return what git says of it.

    The repository's hooks run as they do for every commit with a message of its own.

    Raises:
        InputError: git refuses.
    """
    words = ["git", "-C", str(repository), "commit", *(["--all"] if every else []), "--file=-"]
    done = process.run(words, stdin=message.encode())
    if done.code != 0:
        told = done.stderr.decode("utf-8", "replace").strip() or done.complaint
        raise InputError(f"git did not commit: {told}.", f"The message was: {message.partition(chr(10))[0]}")
    return done.stdout.decode("utf-8", "replace").strip()
