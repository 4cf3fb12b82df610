"""Opening a repository and listing its history: which commits there are, newest first.

Decides what counts as a repository that can be read, what it is called, and which of its commits are asked for. Leaves
patches to `git_stream`.
"""

import configparser
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from joco_mlx import process
from joco_mlx.config import ExtractConfig
from joco_mlx.dataset.plain_git import PlainGit
from joco_mlx.errors import InputError, JocoError, UsageError

_MAXIMUM_REPAIRS = 100
_UNREADABLE_PARENTS = re.compile(rb"Failed to traverse parents of commit ([0-9a-f]+)")
_UNREADABLE = re.compile(rb"Could not read ([0-9a-f]+)")


@dataclass(frozen=True)
class Source:
    """A repository that can be read."""

    folder: Path
    git_dir: Path
    name: str
    head: str
    """Hash of the commit that HEAD names."""
    remotes: tuple[str, ...]
    """URLs, origin first."""

    @property
    def git(self) -> PlainGit:
        """Git on this repository, without anybody's settings."""
        return PlainGit(self.git_dir)


@dataclass(frozen=True)
class History:
    """The commits that were asked for."""

    hashes: tuple[str, ...]
    """Newest first, without merges."""
    roots: frozenset[str]
    """Those that have no parent."""
    merges: int
    """How many merges were passed over."""
    severed: tuple[str, ...]
    """Commits that are left out because a parent of theirs is missing from the repository."""


def open_repository(folder: Path, name: str | None = None) -> Source:
    """Open a repository: a clone, a linked worktree or a bare mirror.

    Raises:
        InputError: There is no repository, it has no commits, or it is a shallow clone (its oldest commit looks like
            one that adds every file).
    """
    git_dir, remotes = _describe(folder)
    git = PlainGit(git_dir)
    shallow = git.run("rev-parse", "--is-shallow-repository")
    if shallow.code != 0:
        raise InputError(f"{folder} is no readable git repository: {shallow.complaint}.", f"Try: git -C {folder} fsck")
    if shallow.stdout.strip() == b"true":
        raise InputError(
            f"{folder} is a shallow clone, whose oldest commit is not what was committed.",
            f"Fetch the whole history: git -C {folder} fetch --unshallow",
        )
    head = git.run("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if head.code != 0:
        raise InputError(
            f"{folder} has no commits: its HEAD names none.",
            f"Commit something, or check out a branch that has commits: git -C {folder} branch --all",
        )
    return Source(folder, git_dir, name or _name(folder, remotes), head.stdout.decode().strip(), remotes)


def list_history(source: Source, config: ExtractConfig) -> History:
    """List the commits that `config` asks for, at most `config.max_commits` of them, newest first.

    Where a commit is missing from the repository, the walk goes on along all others.

    Raises:
        InputError: The revision is unknown or no commit was found.
        UsageError: The author's pattern is no regular expression.
    """
    walk = _Walk(source, config)
    rows = walk.rows()
    merges = sum(len(row) > 2 for row in rows)
    single = [row for row in rows if len(row) <= 2 and row[0] not in walk.severed]
    if not single and not walk.severed:
        raise InputError(
            f"{source.folder} has no commit for --rev {config.revision}" + _by(config.author) + ".",
            f"See what there is: git -C {source.folder} log --oneline {config.revision}",
        )
    roots = frozenset(row[0] for row in single if len(row) == 1)
    return History(tuple(row[0] for row in single), roots, merges, tuple(walk.severed))


class _Walk:
    """`git rev-list`, started again with a graft wherever a parent is missing."""

    def __init__(self, source: Source, config: ExtractConfig) -> None:
        self._source = source
        self._config = config
        self.severed: dict[str, str] = {}
        """Hash of a commit with a missing parent -> its line in the graft file."""

    def rows(self) -> list[list[str]]:
        """Return hash and parents of each commit, up to the wanted number of commits that are no merges."""
        while True:
            with tempfile.TemporaryFile() as complaints:
                rows = self._run(complaints)
                if rows is not None:
                    return rows
                complaints.seek(0)
                self._sever(complaints.read())

    def _run(self, complaints: IO[bytes]) -> list[list[str]] | None:
        """Walk once; None when git failed."""
        words = ["rev-list", "--parents", *self._limits(), "--"]
        with tempfile.NamedTemporaryFile(prefix="joco-grafts-") as grafts, Path(os.devnull).open("rb") as nothing:
            grafts.write("".join(f"{line}\n" for line in self.severed.values()).encode())
            grafts.flush()
            graft_file = Path(grafts.name)
            with self._source.git.stream(*words, stdin=nothing, stderr=complaints, graft_file=graft_file) as child:
                rows, enough = self._collect(line.decode("ascii").split() for line in child.stdout or ())
                return rows if enough or child.wait() == 0 else None

    def _limits(self) -> list[str]:
        author = [] if self._config.author is None else ["--extended-regexp", f"--author={self._config.author}"]
        revisions = self._config.revision.split()
        for word in revisions:
            if word.startswith("-"):
                raise UsageError(
                    f"--rev is {self._config.revision!r}, but {word} is an option.",
                    "Give a revision (main) or a range (v1.0..main).",
                )
        return [*author, *revisions]

    def _collect(self, lines: Iterator[list[str]]) -> tuple[list[list[str]], bool]:
        """Return the rows, and whether they are all that was wanted."""
        rows, single = [], 0
        for row in lines:
            rows.append(row)
            single += len(row) <= 2
            if single == self._config.max_commits:
                return rows, True
        return rows, False

    def _sever(self, complaint: bytes) -> None:
        """Graft the commit whose parent git could not read onto its other parents."""
        child, missing = _UNREADABLE_PARENTS.search(complaint), _UNREADABLE.search(complaint)
        if child is None or missing is None or len(self.severed) >= _MAXIMUM_REPAIRS:
            raise self._refusal(complaint)
        name, gone = child[1].decode(), missing[1].decode()
        raw = self._source.git.run("cat-file", "commit", name).stdout.partition(b"\n\n")[0].decode("utf-8", "replace")
        parents = [line.split()[1] for line in raw.splitlines() if line.startswith("parent ")]
        known = self.severed.get(name, "").split()[1:] or parents
        self.severed[name] = " ".join([name, *(parent for parent in known if parent != gone)])

    def _refusal(self, complaint: bytes) -> JocoError:
        reason = process.Finished(128, b"", complaint).complaint
        if self._config.author is not None and b"header, " in complaint:
            return UsageError(
                f"--author is {self._config.author!r}, which is no regular expression: {reason}.",
                "Give a part of the author's name or e-mail address.",
            )
        return InputError(
            f"{self._source.folder} cannot list --rev {self._config.revision}: {reason}.",
            f"See what there is: git -C {self._source.folder} log --oneline --all",
        )


def _by(author: str | None) -> str:
    return "" if author is None else f" by an author like {author!r}"


def _describe(folder: Path) -> tuple[Path, tuple[str, ...]]:
    """Return the folder of git's own files and the URLs of the remotes."""
    process.find("git", "Install git (on a Mac: xcode-select --install) and try again.")
    import git  # noqa: PLC0415  (runs git when imported, and fails without it)

    try:
        with git.Repo(folder) as repo:
            remotes = sorted(repo.remotes, key=lambda remote: (remote.name != "origin", remote.name))
            return Path(repo.git_dir), tuple(url for remote in remotes for url in remote.urls)
    except (git.exc.GitError, configparser.Error, OSError, ValueError) as problem:
        raise InputError(
            f"{folder} is no git repository: {_why_not(folder, problem)}.",
            "Name the folder of a clone; make one with: git clone URL",
        ) from problem


def _why_not(folder: Path, problem: Exception) -> str:
    """Return what a person can look for; GitPython's own words are often no more than the path."""
    if not folder.exists():
        return "there is no such folder"
    lines = str(problem).strip().splitlines()
    named = not lines or lines[0] in (str(folder), str(folder.resolve()))
    return "git keeps no history in it" if named else lines[0]


def _name(folder: Path, remotes: tuple[str, ...]) -> str:
    """Name a repository after its origin, else after its folder."""
    path = folder.resolve()
    own = path.parent.name if path.name == ".git" else path.name
    last = re.split(r"[/\\:]", remotes[0].rstrip("/\\"))[-1] if remotes else own
    named = last.removesuffix(".git").strip(".")
    return named or own.removesuffix(".git") or "repository"
