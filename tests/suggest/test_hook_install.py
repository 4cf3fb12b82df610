"""Other people's hooks: they run first, keep their verdict, and come back exactly as they were."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Repository
from hook_fixture import SUGGESTED, Hooked, executable, git, last_message, stage
from models_fixture import make_run

from joco_mlx.errors import ConflictError, InputError
from joco_mlx.models.folder import open_folder
from joco_mlx.suggest import hook
from joco_mlx.suggest.hook_script import BEFORE
from joco_mlx.suggest.source import staged_diff

# husky 9: bin.js writes .husky/_ with one stub a hook, and `h`, which looks at the name that it was called by.
HUSKY_STUB = '#!/usr/bin/env sh\n. "$(dirname "$0")/h"'
HUSKY_H = """\
#!/usr/bin/env sh
[ "$HUSKY" = "2" ] && set -x
n=$(basename "$0")
s=$(dirname "$(dirname "$0")")/$n

[ ! -f "$s" ] && exit 0

i="${XDG_CONFIG_HOME:-$HOME/.config}/husky/init.sh"
[ -f "$i" ] && . "$i"

[ "${HUSKY-}" = "0" ] && exit 0

export PATH="node_modules/.bin:$PATH"
sh -e "$s" "$@"
c=$?

[ $c != 0 ] && echo "husky - $n script failed (code $c)"
exit $c
"""


@pytest.fixture
def hooked(tmp_path: Path) -> Hooked:
    folder = tmp_path / "recorder"
    folder.mkdir()
    return Hooked(folder)


def snapshot(folder: Path) -> dict[str, tuple[int, str, bytes]]:
    """Everything below a folder: mode, target of a link, content."""
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_mode,
            os.readlink(path) if path.is_symlink() else "",
            path.read_bytes() if path.is_file() else b"",
        )
        for path in sorted(folder.rglob("*"))
    }


def test_uninstalling_restores_exactly(repository: Repository, hooked: Hooked, monkeypatch: pytest.MonkeyPatch) -> None:
    executable(repository, ".git/hooks/prepare-commit-msg", "#!/bin/sh\nexit 0\n", 0o750)
    before = snapshot(repository.folder)
    found = hooked.install(repository, monkeypatch)
    assert (found.installed, found.before) == (found.path, found.path.parent / BEFORE)
    once = snapshot(repository.folder)
    hooked.install(repository, monkeypatch)
    assert snapshot(repository.folder) == once
    assert hook.uninstall(repository.folder).installed is None
    assert snapshot(repository.folder) == before


def test_a_hook_that_cannot_be_written_takes_nothing_away(repository: Repository) -> None:
    executable(repository, ".git/hooks/prepare-commit-msg", "#!/bin/sh\nexit 0\n", 0o750)
    before = snapshot(repository.folder)
    install = f"ulimit -f 1; exec {sys.executable} -B -m joco_mlx hook install"  # no file of more than 1 KB
    done = subprocess.run(["sh", "-c", install], cwd=repository.folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (4, "")
    assert "prepare-commit-msg could not be written: File too large" in done.stderr
    assert snapshot(repository.folder) == before


def test_a_link_and_a_missing_folder_are_restored_too(
    repository: Repository, hooked: Hooked, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.write("scripts/hook", "#!/bin/sh\n")
    path = repository.folder / ".git" / "hooks" / "prepare-commit-msg"
    path.symlink_to("../../scripts/hook")
    before = snapshot(repository.folder)
    hooked.install(repository, monkeypatch)
    hook.uninstall(repository.folder)
    assert snapshot(repository.folder) == before
    repository.git("config", "core.hooksPath", "not/yet")
    hooked.install(repository, monkeypatch)
    hooked.install(repository, monkeypatch)
    hook.uninstall(repository.folder)
    assert not (repository.folder / "not" / "yet").exists()


def test_a_hook_that_was_there_runs_first(
    repository: Repository, hooked: Hooked, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable(repository, ".git/hooks/prepare-commit-msg", '#!/bin/sh\necho "$@" >> ran\n')
    hooked.install(repository, monkeypatch)
    stage(repository)
    git(repository, "commit")
    git(repository, "commit", "--amend", "-m", "fix: x")
    assert (repository.folder / "ran").read_text() == ".git/COMMIT_EDITMSG\n.git/COMMIT_EDITMSG message\n"
    assert len(hooked.calls) == 1


def test_a_hook_that_writes_a_message_or_says_no_is_obeyed(
    repository: Repository, hooked: Hooked, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = executable(repository, ".git/hooks/prepare-commit-msg", '#!/bin/sh\necho "fix: its own" > "$1"\n')
    hooked.install(repository, monkeypatch)
    stage(repository)
    assert git(repository, "commit").returncode == 0
    assert last_message(repository) == "fix: its own"
    (path.parent / BEFORE).write_text("#!/bin/sh\nexit 3\n")
    stage(repository, "a", "2\n")
    assert git(repository, "commit").returncode == 1
    (path.parent / BEFORE).chmod(0o644)  # git ignores a hook that is not executable
    assert git(repository, "commit").returncode == 0
    assert len(hooked.calls) == 1


def husky(repository: Repository) -> None:
    executable(repository, ".husky/_/h", HUSKY_H, 0o644)
    repository.write(".husky/_/.gitignore", "*")
    for name in ("pre-commit", "prepare-commit-msg", "commit-msg"):
        executable(repository, f".husky/_/{name}", HUSKY_STUB)
    repository.git("config", "core.hooksPath", ".husky/_")


def test_husky_s_own_hook_still_runs(repository: Repository, hooked: Hooked, monkeypatch: pytest.MonkeyPatch) -> None:
    husky(repository)
    repository.write(".husky/prepare-commit-msg", 'echo "husky $2" >> ran\n')
    before = snapshot(repository.folder)
    found = hooked.install(repository, monkeypatch)
    assert found.path == repository.folder / ".husky" / "_" / "prepare-commit-msg"
    assert not found.tracked
    assert repository.git("status", "--porcelain", ".husky") == "?? .husky/"
    stage(repository)
    done = git(repository, "commit")
    assert done.returncode == 0, done.stderr
    assert last_message(repository) == SUGGESTED
    assert (repository.folder / "ran").read_text() == "husky \n"
    husky(repository)  # an installation of packages writes the stubs anew
    assert hook.state(repository.folder).installed is None
    assert hooked.install(repository, monkeypatch).installed == found.path
    hook.uninstall(repository.folder)
    now = snapshot(repository.folder)
    assert {name: now[name] for name in before if name.startswith(".husky")} == {
        name: entry for name, entry in before.items() if name.startswith(".husky")
    }


def test_a_husky_hook_that_fails_stops_the_commit(
    repository: Repository, hooked: Hooked, monkeypatch: pytest.MonkeyPatch
) -> None:
    husky(repository)
    repository.write(".husky/prepare-commit-msg", "exit 5\n")
    hooked.install(repository, monkeypatch)
    stage(repository)
    assert git(repository, "commit").returncode == 1
    assert hooked.calls == []


def test_a_hooks_path_of_all_repositories_is_told(
    repository: Repository, hooked: Hooked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "gitconfig"
    settings.write_text(f'[core]\n\thooksPath = "{tmp_path / "all hooks"}"\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    found = hooked.install(repository, monkeypatch)
    assert found.path == tmp_path / "all hooks" / "prepare-commit-msg"
    assert found.scope == "every repository"
    stage(repository)
    assert git(repository, "commit", GIT_CONFIG_GLOBAL=str(settings)).returncode == 0
    assert last_message(repository) == SUGGESTED


def test_a_folder_of_hooks_that_is_tracked_is_told(
    repository: Repository, hooked: Hooked, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.git("config", "core.hooksPath", ".githooks")
    below = Repository(repository.folder / "sub")
    below.folder.mkdir()
    found = hooked.install(below, monkeypatch)
    assert found.path == repository.folder / ".githooks" / "prepare-commit-msg"
    assert found.tracked
    repository.git("config", "--unset", "core.hooksPath")
    assert not hook.state(repository.folder).tracked


def test_two_foreign_hooks_are_never_lost(
    repository: Repository, hooked: Hooked, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = executable(repository, ".git/hooks/prepare-commit-msg", "#!/bin/sh\necho one\n")
    hooked.install(repository, monkeypatch)
    path.write_text("#!/bin/sh\necho two\n")
    with pytest.raises(ConflictError, match="another tool's hook"):
        hooked.install(repository, monkeypatch)
    with pytest.raises(InputError, match="is not joco-mlx's hook"):
        hook.uninstall(repository.folder)
    assert path.read_text() == "#!/bin/sh\necho two\n"
    assert (path.parent / BEFORE).read_text() == "#!/bin/sh\necho one\n"


def test_a_hook_that_is_not_there_cannot_be_taken_away(repository: Repository) -> None:
    with pytest.raises(InputError, match=r"There is no hook at .*prepare-commit-msg\."):
        hook.uninstall(repository.folder)


def test_another_users_repository_is_told_as_suggest_does(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the variable that git's own tests have for it."""
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    for ask in (hook.install, staged_diff):
        with pytest.raises(InputError, match="belongs to another user, and git does not trust it") as caught:
            ask(repository.folder)
        assert caught.value.hint.endswith(f"--add safe.directory {repository.folder.resolve()}")


def test_hooks_that_are_switched_off_are_told(repository: Repository) -> None:
    repository.git("config", "core.hooksPath", "/dev/null")
    with pytest.raises(InputError, match=r"^git takes hooks from /dev/null, which is no folder") as caught:
        hook.install(repository.folder)
    assert caught.value.hint == "See who says so: git config --show-origin --get core.hooksPath"
    assert hook.state(repository.folder).installed is None
    repository.git("config", "core.hooksPath", "README/hooks")
    repository.write("README", "")
    with pytest.raises(InputError, match=r"^git takes hooks from .*/README/hooks, which is no folder"):
        hook.install(repository.folder)


def test_what_is_no_work_tree_is_told(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", "--bare", tmp_path / "bare.git"], check=True)
    for folder in (tmp_path, tmp_path / "bare.git"):
        with pytest.raises(InputError, match="has no work tree"):
            hook.state(folder)
    with pytest.raises(InputError, match="There is no folder"):
        hook.state(tmp_path / "nowhere")


def test_the_real_thing_from_the_command_to_the_commit(
    repository: Repository, tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    """A repository that brings a module of our name cannot get into the hook."""
    run = make_run(tmp_path / "model", open_folder(tiny_model("qwen2")), max_seq_length=512)
    repository.write("joco_mlx/__init__.py", "raise SystemExit('hostile')\n")
    stage(repository)
    words = [sys.executable, "-m", "joco_mlx", "hook", "install", "--repo", str(repository.folder)]
    assert b"Installed: " in subprocess.run(words, cwd=tmp_path, capture_output=True, check=True).stdout
    seen = tmp_path / "seen"
    done = git(repository, "commit", editor=f"sh -c 'cp \"$1\" {seen}' -", JOCO_MLX_MODEL=str(run))
    assert "hostile" not in done.stderr
    assert "# joco-mlx suggested this message." in seen.read_text(), done.stderr
    assert seen.read_text().split("\n")[0].strip()
