"""Where the hook lives, and what was there before it.

Decides that no hook is ever overwritten: one that exists steps aside under another name, runs first, and comes back on
uninstalling exactly as it was. The folder is git's answer, so that core.hooksPath, husky, worktrees and submodules are
respected. Leaves what the hook does to `hook_script`.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from joco_mlx import artifacts, process
from joco_mlx.config import user_file
from joco_mlx.errors import ConflictError, InputError
from joco_mlx.suggest.hook_script import BEFORE, LIMIT_SECONDS, MADE_FOLDER, NAMED, PRE_COMMIT, hook_script, is_hook
from joco_mlx.suggest.source import refuse_untrusted

HOOK = "prepare-commit-msg"
LEGACY = f"{HOOK}.legacy"
"""Where pre-commit moves a hook that it finds."""
Scope = Literal["this repository", "every repository"]
_REPOSITORY_HINT = "Change into a repository with a work tree, or name it with --repo DIR."


@dataclass(frozen=True)
class HookState:
    """What there is of the hook."""

    path: Path
    """Where git looks for it."""
    installed: Path | None
    """Where ours is: at `path`, or where pre-commit has moved it."""
    before: Path | None
    """The hook that ours runs first."""
    scope: Scope
    tracked: bool
    """Whether the folder belongs to the work tree, so that a change of it could be committed."""


def state(repository: Path) -> HookState:
    """Return where the hook of `repository` is and what belongs to it.

    Raises:
        InputError: There is no repository with a work tree.
    """
    top = Path(_ask(repository, "rev-parse", "--show-toplevel"))
    folder = Path(os.path.normpath(top / _ask(top, "rev-parse", "--git-path", "hooks")))
    git_folder = Path(_ask(top, "rev-parse", "--absolute-git-dir"))
    places = [folder / name for name in (HOOK, LEGACY) if _is_ours(folder / name)]
    before = folder / BEFORE
    inside = folder.is_relative_to(top) and not folder.is_relative_to(git_folder) and ".git" not in folder.parts
    ignored = process.run(["git", "-C", top, "check-ignore", "--quiet", folder / HOOK]).code == 0
    return HookState(
        folder / HOOK,
        places[0] if places else None,
        before if os.path.lexists(before) else None,
        _scope(top),
        inside and not ignored,
    )


def install(repository: Path, *, limit_seconds: int = LIMIT_SECONDS) -> HookState:
    """Install the hook, or bring it up to date where it is; a hook that is there steps aside and runs first.

    Raises:
        InputError: There is no repository with a work tree, or its hooks are switched off.
        ConflictError: Another hook took the place of ours, and one more waits behind ours.
        MachineError: The folder cannot be written.
    """
    found = state(repository)
    place = found.installed or _place(found.path)
    made_folder = not place.parent.exists() or (found.installed is not None and _made_folder(place))
    text = hook_script(settings=user_file(), limit_seconds=limit_seconds, made_folder=made_folder)
    _refuse_no_folder(place.parent)
    with artifacts.telling_disk_errors(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        foreign = found.installed is None and os.path.lexists(place)
        if foreign:
            _step_aside(place, found.before)
        try:
            artifacts.write_text(place, text)
            place.chmod(0o755)
            _give_its_name(place.parent)
        except BaseException:
            if foreign:
                (place.parent / BEFORE).replace(place)
            raise
    return state(repository)


def uninstall(repository: Path) -> HookState:
    """Take the hook away and put back what was there before, exactly as it was.

    Raises:
        InputError: There is no repository, or the hook is not installed.
        MachineError: The folder cannot be written.
    """
    found = state(repository)
    if found.installed is None:
        there = os.path.lexists(found.path)
        wrong = f"{found.path} is not joco-mlx's hook." if there else f"There is no hook at {found.path}."
        raise InputError(wrong, "See: joco-mlx hook status")
    made_folder = _made_folder(found.installed)
    with artifacts.telling_disk_errors(found.path):
        found.installed.unlink()
        if found.before is not None:
            if found.installed == found.path:
                found.before.rename(found.path)
            elif _is_pre_commits(found.before):
                found.before.unlink()  # pre-commit has written it anew
            else:
                found.before.rename(found.installed)
        _take_its_name(found.path.parent)
        if made_folder and not any(found.path.parent.iterdir()):
            found.path.parent.rmdir()
    return state(repository)


def _refuse_no_folder(folder: Path) -> None:
    """Raise InputError where a file is in the way: core.hooksPath = /dev/null is how people switch hooks off."""
    there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not there.is_dir():
        raise InputError(
            f"git takes hooks from {folder}, which is no folder, so it runs none.",
            "See who says so: git config --show-origin --get core.hooksPath",
        )


def _place(path: Path) -> Path:
    """Where ours goes: before a hook that pre-commit keeps, or its next installation would move ours over that one."""
    legacy = path.with_name(LEGACY)
    return legacy if _is_pre_commits(path) and os.path.lexists(legacy) else path


def _step_aside(place: Path, before: Path | None) -> None:
    """Rename a foreign hook; a link stays a link."""
    if before is not None:
        if before.is_file() and place.is_file() and before.read_bytes() == place.read_bytes():
            return  # husky writes its stubs anew with every installation of packages
        raise ConflictError(
            f"{place} is another tool's hook, and {before} waits from an earlier installation.",
            f"Keep one of them, and try again: mv {place} {before}",
        )
    place.rename(place.parent / BEFORE)


def _give_its_name(folder: Path) -> None:
    """Link the hook that stepped aside, and all that lies beside it, where it has the name that git calls it by.

    Dispatchers ask for that name. A hook that climbs to the folder above would lose its way there, so it does without,
    as do pre-commit's, which never asks, and husky's, which is told in another way.
    """
    _take_its_name(folder)
    before, named = folder / BEFORE, folder / NAMED
    if not before.is_file() or _is_pre_commits(before) or (folder / "h").is_file():
        return
    content = before.read_bytes()
    if b"../" in content or b"/.." in content:
        return
    beside = {path.name for path in folder.iterdir() if path.suffix != ".sample"} - {HOOK, BEFORE, named.parent.name}
    with suppress(OSError):  # a disk without links: it runs under the other name
        named.parent.mkdir(exist_ok=True)
        for name in sorted(beside):
            (named.parent / name).symlink_to(f"../{name}")
        named.symlink_to(f"../{BEFORE}")


def _take_its_name(folder: Path) -> None:
    """Remove the links again; what a hook has written between them stays."""
    named = (folder / NAMED).parent
    if named.is_dir():
        for path in named.iterdir():
            if path.is_symlink():
                path.unlink()
        if not any(named.iterdir()):
            named.rmdir()


def _is_ours(path: Path) -> bool:
    return path.is_file() and is_hook(path.read_bytes())


def _is_pre_commits(path: Path) -> bool:
    return path.is_file() and PRE_COMMIT.encode() in path.read_bytes()


def _made_folder(path: Path) -> bool:
    return MADE_FOLDER in path.read_text("utf-8", "replace").splitlines()


def _scope(top: Path) -> Scope:
    """Whether the folder of hooks is shared: a core.hooksPath from outside the repository."""
    words = ["git", "-C", str(top), "config", "--show-scope", "--get", "core.hooksPath"]
    shared = process.run(words).stdout.split(b"\t")[0] in (b"global", b"system")
    return "every repository" if shared else "this repository"


def _ask(folder: Path, *words: str) -> str:
    process.find("git", "Install git (on a Mac: xcode-select --install) and try again.")
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}.", _REPOSITORY_HINT)
    done = process.run(["git", "-C", folder, *words], env={"LC_ALL": "C"})
    if done.code != 0:
        refuse_untrusted(folder, done.stderr)
        raise InputError(f"{folder} has no work tree of a git repository ({done.complaint}).", _REPOSITORY_HINT)
    return os.fsdecode(done.stdout.removesuffix(b"\n"))
