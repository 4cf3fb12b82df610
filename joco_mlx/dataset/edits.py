"""What the hook suggested and what was committed in the end, kept on this computer for whoever asked for that.

Decides where it lies, how much of it at most, and how a commit is found again without a second hook: a suggestion is for
one tree on one parent, and the commit that has both is the one that it became. Nothing is kept unless `keep_edits` is on,
nothing leaves this computer, and what becomes training data is scrubbed first.
"""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from platformdirs import user_data_path

from joco_mlx import artifacts, process
from joco_mlx.commit.record import hash_author
from joco_mlx.errors import InputError

MOST_ENTRIES = 1_000
MOST_BYTES = 20 << 20
LARGEST_DIFF_CHARS = 64_000
"""A longer diff is not kept: far more than a model is shown."""
_ENDING = ".json"
_SEARCHED_COMMITS = 1_000
_FIELDS = "%H%x00%T%x00%P%x00%an%x00%ae%x00%aI%x00%B"


@dataclass(frozen=True)
class Edit:
    """One suggestion, and what became of it."""

    repository: str
    """The top folder of its work tree."""
    parent: str
    """HEAD when it was made; empty before the first commit."""
    tree: str
    """What was staged, as git names it."""
    diff: str
    suggested: str
    committed: str | None = None
    """The message that the person committed; None until the commit is found."""
    commit: str | None = None
    author: str | None = None
    """A pseudonym: `commit.record.hash_author`."""
    authored_at: str | None = None


def place() -> Path:
    """Return the folder of kept edits."""
    return user_data_path("joco-mlx") / "edits"


def keep(repository: Path, diff: str, suggested: str) -> bool:
    """Keep a suggestion for what is staged in `repository`; False for a diff that is too long.

    Run from a hook, git's own index of this commit is meant.

    Raises:
        InputError: git cannot name what is staged.
        MachineError: The folder cannot be written.
    """
    if len(diff) > LARGEST_DIFF_CHARS:
        return False
    top = _ask(repository, "rev-parse", "--show-toplevel")
    edit = Edit(top, _head(repository), _ask(repository, "write-tree"), diff, suggested)
    folder = place()
    with artifacts.telling_disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write(folder / f"{time.time_ns()}-{edit.tree[:12]}{_ENDING}", edit)
        _drop_oldest(folder)
    return True


def settle(repository: Path | None = None) -> int:
    """Look for the commits of kept suggestions, in one repository or in all, and return how many were found."""
    top = None if repository is None else _ask(repository, "rev-parse", "--show-toplevel")
    waiting = [(path, edit) for path, edit in _entries() if edit.committed is None and top in (None, edit.repository)]
    found = 0
    for folder in sorted({edit.repository for _, edit in waiting}):
        commits = dict(_commits(Path(folder)))
        for path, edit in waiting:
            if edit.repository == folder and (edit.tree, edit.parent) in commits:
                _write(path, replace(edit, **commits[edit.tree, edit.parent]))
                found += 1
    return found


def edits() -> list[Edit]:
    """Return everything that is kept, oldest first."""
    return [edit for _, edit in _entries()]


def forget() -> int:
    """Delete everything that is kept and return how many suggestions that were.

    Raises:
        MachineError: A file cannot be deleted.
    """
    paths = edits_on_disk()
    with artifacts.telling_disk_errors(place()):
        for path in paths:
            path.unlink(missing_ok=True)
        if place().is_dir() and not any(place().iterdir()):
            place().rmdir()
    return len(paths)


def edits_on_disk() -> list[Path]:
    """Return the files of kept suggestions, oldest first."""
    return sorted(place().glob(f"*{_ENDING}"), key=lambda path: int(path.name.partition("-")[0]))


def _entries() -> Iterator[tuple[Path, Edit]]:
    for path in edits_on_disk():
        try:
            yield path, Edit(**json.loads(path.read_text("utf-8")))
        except (OSError, ValueError, TypeError) as problem:
            raise InputError(
                f"{path} is no kept suggestion: {problem}.", f"Delete it: rm {path}, or all: joco-mlx forget"
            ) from None


def _write(path: Path, edit: Edit) -> None:
    text = json.dumps(asdict(edit), ensure_ascii=True)  # lone surrogates of a diff stay what they are
    artifacts.write_text(path, text + "\n")
    path.chmod(0o600)


def _drop_oldest(folder: Path) -> None:
    sizes = [(path, path.stat().st_size) for path in edits_on_disk()]
    total = sum(size for _, size in sizes)
    while sizes and (len(sizes) > MOST_ENTRIES or total > MOST_BYTES):
        path, size = sizes.pop(0)
        path.unlink()
        total -= size
    folder.chmod(0o700)


def _commits(repository: Path) -> Iterator[tuple[tuple[str, str], dict[str, str]]]:
    """Yield (tree, parent) and what is kept of the commit, oldest first, so that the newest of two counts."""
    limits = (f"--format={_FIELDS}", f"--max-count={_SEARCHED_COMMITS}", "--branches", "HEAD", "--")
    done = process.run(["git", "-C", repository, "log", "--no-show-signature", "-z", *limits])
    fields = done.stdout.decode("utf-8", "replace").split("\0")
    rows = [fields[at : at + 7] for at in range(0, len(fields) - 6, 7)]
    for commit, tree, parents, name, email, moment, message in reversed(rows):
        found = {"commit": commit, "author": hash_author(name, email), "authored_at": moment}
        yield (tree, parents), {**found, "committed": message.strip()}


def _head(repository: Path) -> str:
    done = process.run(["git", "-C", repository, "rev-parse", "--verify", "--quiet", "HEAD"])
    return done.stdout.decode().strip() if done.code == 0 else ""


def _ask(repository: Path, *words: str) -> str:
    done = process.run(["git", "-C", repository, *words], env={"LC_ALL": "C"})
    if done.code != 0:
        raise InputError(f"git cannot say what is staged in {repository}: {done.complaint}.", "Try: git status")
    return os.fsdecode(done.stdout.removesuffix(b"\n"))
