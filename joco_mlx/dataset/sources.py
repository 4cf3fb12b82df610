"""What `build` is told to read: folders, addresses and lists of both, and how they come onto this machine.

Decides the form of a list (`dataset/sources.toml` is one), where a mirror lies and what it is one of (its remotes say
so, and its name only where it has none), and when it is fetched again: never when it has the commit that is asked for.
Leaves reading to `repository`.
"""

import re
import shutil
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joco_mlx.dataset.plain_git import PlainGit
from joco_mlx.errors import InputError, MachineError, UsageError
from joco_mlx.models.cache import cache_folder
from joco_mlx.progress import Progress, Task, task

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://\S+|[\w.-]+@[\w.-]+:\S+")
_SCHEME_AND_USER = re.compile(r"(?:[a-z][a-z0-9+.-]*://)?(?:[^/]*@)?")
_LONGEST_NAME = 200
_COMMITS_A_SECOND = 400
_MEGABYTES_A_SECOND = 5
_FIELDS = {"name": str, "url": str, "commit": str, "licence": str, "language": str, "commits": int, "megabytes": int}


@dataclass(frozen=True)
class Wanted:
    """One repository of those that were asked for."""

    place: str
    """A folder, or an address that git can clone."""
    name: str | None = None
    revision: str | None = None
    """What to read, when a list pins it."""
    licence: str = ""
    commits: int = 0
    """As the list says; 0 when it does not."""
    megabytes: int = 0

    @property
    def is_remote(self) -> bool:
        """Whether it has to be cloned."""
        return _ADDRESS.fullmatch(self.place) is not None


@dataclass(frozen=True)
class Forecast:
    """What a dry run says of one repository."""

    name: str
    where: str
    """The mirror that is there, or "to fetch"."""
    megabytes: int
    """To fetch; 0 when nothing is."""
    minutes: float
    """Fetching and reading, on a machine like that of the measurements."""


def read_sources(words: Sequence[str]) -> tuple[Wanted, ...]:
    """Return the repositories that the words of a command line name, lists unfolded.

    Raises:
        InputError: A folder or list is not there, or a list is not of the form of `dataset/sources.toml`.
    """
    wanted: list[Wanted] = []
    for word in words:
        if _ADDRESS.fullmatch(word):
            wanted.append(Wanted(word))
        elif word.endswith(".toml"):
            wanted += _read_list(Path(word))
        elif Path(word).is_dir():
            wanted.append(Wanted(word))
        else:
            raise InputError(
                f"{word} is no folder, no address and no list.",
                "Name a clone, an address such as https://host/owner/name, or a file such as dataset/sources.toml.",
            )
    return tuple(wanted)


def with_own(wanted: Sequence[Wanted], word: str) -> tuple[tuple[Wanted, ...], int]:
    """Return the repositories with the one that `word` names (as a list does, or by its place), and where it stands.

    Raises:
        InputError: There is no such repository.
        UsageError: It is a list.
    """
    for place, item in enumerate(wanted):
        same_folder = not item.is_remote and Path(word).is_dir() and Path(item.place).resolve() == Path(word).resolve()
        if word in {item.name, item.place} or same_folder:
            return tuple(wanted), place
    if word.endswith(".toml"):
        raise UsageError(f"--on is {word}, which is a list.", "Name one repository, or a name in a list that is read.")
    return (*read_sources([word]), *wanted), 0


def forecast(wanted: Iterable[Wanted], mirrors: Path | None) -> tuple[Forecast, ...]:
    """Say what would be fetched and how long it would take; nothing is fetched or read."""
    return tuple(_forecast(item, mirrors or default_mirrors()) for item in wanted)


def default_mirrors() -> Path:
    """Return the folder in which mirrors are kept when nobody names one."""
    return cache_folder() / "mirrors"


def provide(wanted: Wanted, mirrors: Path | None, progress: Progress) -> Path:
    """Return the folder of a repository, cloned or brought up to date first where it is not on this machine.

    Raises:
        MachineError: It cannot be cloned or fetched.
    """
    if not wanted.is_remote:
        return Path(wanted.place)
    folder = mirrors or default_mirrors()
    there = _mirror(wanted.place, folder)
    if there is not None:
        if not _has(there, wanted.revision):
            _fetch(there, wanted.place, progress)
        return there
    made = folder / f"{'+'.join(_path_words(wanted.place)[-2:])}.git"
    if made.exists():
        made = folder / _whole_name(wanted.place)
    _clone(wanted.place, made, progress)
    return made


def host_and_path(address: str) -> list[str]:
    """Return the words of an address without scheme and user, which are equal for all ways to one repository."""
    return _path_words(_SCHEME_AND_USER.sub("", address, count=1))


def _read_list(path: Path) -> list[Wanted]:
    if not path.exists():
        raise InputError(f"There is no list {path}.", "Name a list such as dataset/sources.toml, or a clone.")
    try:
        entries = tomllib.loads(path.read_text("utf-8")).get("source", [])
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise InputError(f"{path} cannot be read as TOML: {problem}.", f"Repair or remove {path}.") from problem
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{path} has no [[source]].", 'Write [[source]] and below it url = "https://...".')
    return [_entry(entry, f"{path}, source {number}") for number, entry in enumerate(entries, 1)]


def _entry(entry: Any, where: str) -> Wanted:
    if not isinstance(entry, Mapping) or not entry.get("url"):
        raise InputError(f"{where} has no url.", 'Write [[source]] and below it url = "https://...".')
    for name, value in entry.items():
        if name not in _FIELDS or not isinstance(value, _FIELDS[name]):
            raise InputError(f"{where} sets {name} = {value!r}.", f"Known are: {', '.join(_FIELDS)}.")
    return Wanted(
        entry["url"],
        entry.get("name"),
        entry.get("commit"),
        entry.get("licence", ""),
        entry.get("commits", 0),
        entry.get("megabytes", 0),
    )


def _forecast(wanted: Wanted, folder: Path) -> Forecast:
    name = wanted.name or _path_words(wanted.place)[-1]
    there = _mirror(wanted.place, folder) if wanted.is_remote else Path(wanted.place)
    megabytes = 0 if there else wanted.megabytes
    seconds = megabytes / _MEGABYTES_A_SECOND + wanted.commits / _COMMITS_A_SECOND
    return Forecast(name, str(there or "to fetch"), megabytes, round(seconds / 60, 1))


def _path_words(place: str) -> list[str]:
    words = [word for word in re.split(r"[/\\:]", place.rstrip("/\\").removesuffix(".git")) if word.strip(".")]
    return words or ["repository"]


def _whole_name(address: str) -> str:
    """Return the name of a mirror where another host's has the usual one."""
    return f"{'+'.join(host_and_path(address))[-_LONGEST_NAME:]}.git"


def _mirror(address: str, folder: Path) -> Path | None:
    """Return the mirror of an address below `folder`, under one of the names that people give them."""
    *_, owner, name = ["", *_path_words(address)]
    owned = (f"{owner}+{name}.git", f"{owner}+{name}/repo", f"{owner}/{name}.git", f"{owner}+{name}", f"{owner}/{name}")
    for known in (*owned, f"{name}.git", name, _whole_name(address)):
        found = folder / known
        is_there = (found / "HEAD").is_file() or (found / ".git").exists()
        if is_there and _is_of(found, address, named_after_it=known in owned):
            return found
    return None


def _is_of(mirror: Path, address: str, *, named_after_it: bool) -> bool:
    done = _git(mirror).run("config", "--null", "--get-regexp", r"^remote\..*\.url$")
    remotes = [entry.partition("\n")[2] for entry in done.stdout.decode("utf-8", "replace").split("\0")[:-1]]
    return host_and_path(address) in map(host_and_path, remotes) if remotes else named_after_it


def _git(mirror: Path) -> PlainGit:
    return PlainGit(mirror / ".git" if (mirror / ".git").is_dir() else mirror)


def _has(mirror: Path, revision: str | None) -> bool:
    return revision is not None and _git(mirror).run("cat-file", "-e", f"{revision}^{{commit}}").code == 0


def _clone(address: str, made: Path, progress: Progress) -> None:
    """Clone under a temporary name, so that what a killed build left is no mirror."""
    import git  # noqa: PLC0415  (runs git when imported, and fails without it)

    part = made.with_name(f"{made.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    made.parent.mkdir(parents=True, exist_ok=True)
    with task(progress, f"cloning {address}", 100, "%") as shown:
        watcher = _watcher(shown)
        try:
            git.Repo.clone_from(address, part, mirror=True, progress=watcher, env=_QUIET).close()
        except git.exc.GitError as problem:
            shutil.rmtree(part, ignore_errors=True)
            raise _unreachable(address, watcher.error_lines, problem) from problem
    part.replace(made)


def _fetch(mirror: Path, address: str, progress: Progress) -> None:
    import git  # noqa: PLC0415  (runs git when imported, and fails without it)

    with task(progress, f"fetching {address}", 100, "%") as shown, git.Repo(mirror) as repo:
        watcher = _watcher(shown)
        try:
            with repo.git.custom_environment(**_QUIET):
                for remote in repo.remotes:
                    remote.fetch(progress=watcher)
        except git.exc.GitError as problem:
            raise _unreachable(address, watcher.error_lines, problem) from problem


_QUIET = {"GIT_TERMINAL_PROMPT": "0"}
"""Ask nobody for a password: what is asked for is public, or git knows the key."""


def _watcher(shown: Task) -> Any:
    """Return what GitPython tells its progress to: it moves a bar from 0 to 100 and keeps git's complaints."""
    import git  # noqa: PLC0415  (runs git when imported, and fails without it)

    class Watcher(git.RemoteProgress):
        reached = 0.0

        def update(
            self, op_code: int, cur_count: str | float, max_count: str | float | None = None, message: str = ""
        ) -> None:
            share = 100 * float(cur_count) / float(max_count or 0) if float(max_count or 0) else 0.0
            if share > self.reached:
                shown.advance(share - self.reached)
                self.reached = share

    return Watcher()


def _unreachable(address: str, complaints: Sequence[str], problem: Exception) -> MachineError:
    said = [line.strip() for line in complaints if line.strip()]
    reason = said[0].removeprefix("fatal: ").rstrip(".") if said else type(problem).__name__
    return MachineError(f"{address} cannot be fetched: {reason}.", "Check the address and the network, then try again.")
