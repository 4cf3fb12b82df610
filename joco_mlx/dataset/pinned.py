"""Which commits of which repositories a build reads: decided once, when it begins, and kept for those that go on.

Decides names (repositories of one name are told apart by their owners, then by numbers) and what a revision means in
hashes. Leaves bringing repositories here to `sources`, and cutting them into shards to `build`.
"""

import itertools
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from joco_mlx.config import BuildConfig
from joco_mlx.dataset.repository import Source, open_repository
from joco_mlx.dataset.shard import Shard
from joco_mlx.dataset.sources import Wanted, host_and_path, provide
from joco_mlx.errors import InputError
from joco_mlx.progress import Progress


@dataclass(frozen=True)
class Pinned:
    """A repository on this machine and the commits of it that a build reads."""

    name: str
    folder: str
    git_dir: str
    head: str
    """Hash of the newest commit."""
    revision: str
    """Hashes for `git rev-list`, those left out with a `^`."""
    licence: str


@dataclass(frozen=True)
class Listed:
    """A pinned repository with its history, cut into shards."""

    pinned: Pinned
    merges: int
    severed: tuple[str, ...]
    """Commits that cannot be read because a parent of theirs is missing."""
    shards: tuple[Shard, ...]


def pin(wanted: Sequence[Wanted], config: BuildConfig, mirrors: Path | None, progress: Progress) -> Iterator[Pinned]:
    """Bring every repository onto this machine and say which commits of it are meant, in the order given.

    Raises:
        InputError: A repository cannot be read, has no such commit, or is named twice.
        MachineError: One cannot be fetched.
    """
    taken: dict[str, str] = {}
    for item in wanted:
        source = open_repository(provide(item, mirrors, progress), item.name)
        folder, git_dir = (str(path.resolve()) for path in (source.folder, source.git_dir))
        if source.name in taken and git_dir in taken.values():
            raise InputError(f"{item.place} is named twice.", "Name each repository once.")
        name = _free_name(source, taken)
        taken[name] = git_dir
        hashes = _resolved(source, item.revision or config.revision)
        head = next(word for word in hashes if not word.startswith("^"))
        yield Pinned(name, folder, git_dir, head, " ".join(hashes), item.licence)


def _free_name(source: Source, taken: Collection[str]) -> str:
    words = host_and_path(source.remotes[0]) if source.remotes else []
    owner = words[-2] if len(words) > 1 else source.folder.resolve().parent.name
    owned = f"{owner}-{source.name}"
    names = itertools.chain([source.name, owned], (f"{owned}-{number}" for number in itertools.count(2)))
    return next(name for name in names if name not in taken)


def _resolved(source: Source, revision: str) -> list[str]:
    """Return the hashes of commits that a revision means, also where it names tags of them."""
    named = _hashes(source, (word for word in revision.split() if word[0] != "-"))
    commits = _hashes(source, (f"{word}^{{commit}}" for word in named))
    if not commits:
        raise InputError(
            f"{source.folder} has no commit {revision!r}.", f"See what there is: git -C {source.folder} log --all"
        )
    if all(word.startswith("^") for word in commits):
        raise InputError(
            f"The revision {revision!r} of {source.folder} only leaves commits out.",
            f"Say where to begin as well: --rev 'HEAD {revision}'",
        )
    return commits


def _hashes(source: Source, words: Iterable[str]) -> list[str]:
    done = source.git.run("rev-parse", "--revs-only", *words)
    return done.stdout.decode("ascii").split() if done.code == 0 else []
