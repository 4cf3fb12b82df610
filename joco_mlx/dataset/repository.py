"""Opening a repository: what can be read, and what it is called."""

import configparser
import re
from dataclasses import dataclass
from pathlib import Path

from joco_mlx import process
from joco_mlx.dataset.plain_git import PlainGit
from joco_mlx.errors import InputError


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
            f"{folder} is no git repository ({type(problem).__name__}).",
            "Name the folder of a clone; make one with: git clone URL",
        ) from problem


def _name(folder: Path, remotes: tuple[str, ...]) -> str:
    """Name a repository after its origin, else after its folder."""
    path = folder.resolve()
    own = path.parent.name if path.name == ".git" else path.name
    last = re.split(r"[/\\:]", remotes[0].rstrip("/\\"))[-1] if remotes else own
    return last.removesuffix(".git") or own.removesuffix(".git") or "repository"
