"""The diff that a message is wanted for: what is staged, a file, or standard input.

Decides where a diff comes from and what its absence means. The staged diff looks exactly as the dataset's diffs do
(`dataset.plain_git`), whatever the user has configured; only whether the repository may be trusted is asked with the
user's own settings, because `safe.directory` lives there.
"""

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import IO

from joco_mlx import process
from joco_mlx.dataset.plain_git import DIFF_OPTIONS, PlainGit
from joco_mlx.errors import InputError

STANDARD_INPUT = "-"
LARGEST_DIFF_BYTES = 256 << 20
_PLACES = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
_INSTALL_GIT = "Install git (on a Mac: xcode-select --install) and try again."


def staged_diff(repository: Path) -> str:
    """Return the patch of everything that is staged in `repository`.

    Raises:
        InputError: There is no repository, nothing is staged, or a merge conflict is not resolved.
        MachineError: git is not installed.
    """
    return _index_diff(repository, _git_dir(repository), None)


def _index_diff(repository: Path, git_dir: Path, index: Path | None) -> str:
    """Return the patch from HEAD to an index: `index`, or the one that git takes."""
    git = PlainGit(git_dir)
    parent = git.run("rev-parse", "--verify", "--quiet", "HEAD^{tree}")
    tree = parent if parent.code == 0 else git.run("hash-object", "-t", "tree", "--stdin")  # nothing: the empty tree
    words = ("diff-index", "--cached", "--ita-invisible-in-index", *DIFF_OPTIONS, tree.stdout.decode().strip(), "--")
    environment = _plain_environment(repository)
    if index is not None:
        environment["GIT_INDEX_FILE"] = str(index)
    done = process.run(git.command(*words), env=environment)
    if done.code != 0:
        raise InputError(
            f"The staged changes of {repository} cannot be read: {done.complaint}.", f"Try: git -C {repository} fsck"
        )
    patch = done.stdout.decode("utf-8", "replace")
    if not patch.strip():
        raise InputError(
            f"Nothing is staged in {repository.resolve()}.", "Stage what the message is for: git add --patch"
        )
    if patch.startswith("* Unmerged path ") or "\n* Unmerged path " in patch:
        raise InputError(
            f"{repository} is in the middle of a merge with conflicts.",
            "Resolve them and stage the result: git add FILE",
        )
    return patch


def committed_diff(repository: Path, revision: str) -> str:
    """Return the patch of a commit against its first parent, or of a range: `a..b`, or `a...b` since they parted.

    Raises:
        InputError: There is no repository, no such revision, or it changes nothing.
        MachineError: git is not installed.
    """
    git = PlainGit(_git_dir(repository))
    names = re.split(r"\.{2,3}", revision, maxsplit=1) if ".." in revision else [revision]
    found = [_commit(git, name or "HEAD", revision) for name in names]
    if len(found) == 2:
        first = git.run("merge-base", *found).stdout.decode().strip() if "..." in revision else found[0]
        words = ["diff-tree", *DIFF_OPTIONS, first or found[0], found[1], "--"]
    else:
        words = ["diff-tree", "--root", "--no-commit-id", "--diff-merges=first-parent", *DIFF_OPTIONS, found[0], "--"]
    done = git.run(*words)
    if done.code != 0:
        raise InputError(f"The changes of {revision} cannot be read: {done.complaint}.", "Try: git fsck")
    patch = done.stdout.decode("utf-8", "replace")
    if not patch.strip():
        raise InputError(f"{revision} changes nothing.", "Name another commit or range: HEAD~3..HEAD")
    return patch


def tracked_diff(repository: Path) -> str:
    """Return the patch of every change to tracked files, staged or not: what `git commit --all` would commit.

    A copy of the index is brought up to date, with the user's own filters; the real one stays as it is.

    Raises:
        InputError: There is no repository, or nothing has changed.
        MachineError: git is not installed.
    """
    git_dir = _git_dir(repository)
    with tempfile.TemporaryDirectory() as name:
        index = Path(name) / "index"
        if (git_dir / "index").is_file():
            shutil.copy(git_dir / "index", index)
        done = process.run(["git", "-C", repository, "add", "--update", ":/"], env={"GIT_INDEX_FILE": str(index)})
        if done.code != 0:
            raise InputError(f"The changes in {repository} cannot be read: {done.complaint}.", "Try: git status")
        return _index_diff(repository, git_dir, index)


def _commit(git: PlainGit, name: str, revision: str) -> str:
    done = git.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    if done.code != 0:
        raise InputError(f"There is no commit {name!r} in {revision!r}.", "Name one that git log shows: HEAD~1")
    return done.stdout.decode().strip()


def read_diff(source: str, stdin: IO[bytes] | None = None) -> str:
    """Return the diff in the file `source`, or on standard input when `source` is `-`.

    Bytes that are no UTF-8 become U+FFFD, as in the dataset.

    Raises:
        InputError: The file cannot be read, is empty, or is far larger than any diff that a person writes about.
    """
    if source == STANDARD_INPUT:
        where, content = "standard input", (stdin or sys.stdin.buffer).read(LARGEST_DIFF_BYTES + 1)
    else:
        where, content = source, _read(Path(source))
    if len(content) > LARGEST_DIFF_BYTES:
        raise InputError(
            f"The diff in {where} has more than {LARGEST_DIFF_BYTES >> 20} MB.", "Give the diff of one commit."
        )
    if not content.strip():
        raise InputError(
            f"The diff in {where} is empty.",
            "Give a diff that changes something: git diff HEAD | joco-mlx suggest --diff -",
        )
    return content.decode("utf-8", "replace")


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST_DIFF_BYTES + 1)
    except OSError as problem:
        raise InputError(
            f"{path} cannot be read: {problem.strerror or problem}.",
            "Give a file with a diff, or - for standard input.",
        ) from problem


def _git_dir(repository: Path) -> Path:
    """Ask git, with the user's own settings, whether there is a repository that it trusts."""
    process.find("git", _INSTALL_GIT)
    if not repository.is_dir():
        raise InputError(f"There is no folder {repository}.", "Give the folder of a repository with --repo DIR.")
    variables = {"LC_ALL": "C", **({} if _is_here(repository) else dict.fromkeys(_PLACES))}
    done = process.run(["git", "-C", repository, "rev-parse", "--absolute-git-dir"], env=variables)
    if done.code == 0:
        return Path(os.fsdecode(done.stdout.removesuffix(b"\n")))
    refuse_untrusted(repository, done.stderr)
    raise InputError(
        f"{repository} is no git repository ({done.complaint}).",
        "Change into one, or name it with --repo DIR, or give a diff with --diff FILE.",
    )


def refuse_untrusted(repository: Path, complaint: bytes) -> None:
    """Raise InputError when git, asked with LC_ALL=C, complains that another user owns the repository."""
    if b"dubious ownership" in complaint:
        raise InputError(
            f"{repository} belongs to another user, and git does not trust it.",
            f"If you do: git config --global --add safe.directory {repository.resolve()}",
        )


def _plain_environment(repository: Path) -> dict[str, str | None]:
    """Take away what changes a patch, but keep the index that git gives to a hook of `git commit --all`."""
    foreign = dict.fromkeys(name for name in os.environ if name.startswith("GIT_") and name != "GIT_EXEC_PATH")
    index = os.environ.get("GIT_INDEX_FILE") if _is_here(repository) else None
    return {
        **foreign,
        "GIT_INDEX_FILE": str(Path(index).absolute()) if index else None,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "LC_ALL": "C",
    }


def _is_here(repository: Path) -> bool:
    """Whether git's variables, which a hook inherits, are about this repository."""
    return repository.resolve() == Path.cwd()
