"""A hook that was there before ours still finds its own name, and what lies beside it."""

from pathlib import Path
from unittest.mock import Mock

import pytest
from conftest import Repository
from hook_fixture import SUGGESTED, Hooked, executable, git, last_message, stage

from joco_mlx.suggest import hook
from joco_mlx.suggest.hook_script import BEFORE, MARK

FINDINGS = {
    "by basename": '#!/bin/sh\ncase $(basename "$0") in prepare-commit-msg) ;; *) exit 64 ;; esac\n',
    "by the shell": '#!/usr/bin/env bash\n[ "${0##*/}" = prepare-commit-msg ] || exit 64\n',
    "by Python": '#!/usr/bin/env python3\nimport sys\nsys.exit(not sys.argv[0].endswith("/prepare-commit-msg"))\n',
    "beside": '#!/bin/sh\nset -e\n. "$(dirname "$0")/own/library.sh"\n"$0.d/first" "$@"\n',
    "calling itself": '#!/bin/sh\n[ -n "$AGAIN" ] || { AGAIN=1 exec "$0" "$@"; }\ngrep -q AGAIN "$0"\n',
    "above": '#!/bin/sh\n"$(dirname "$0")"/../../tools/check\n',
    "in the folder above": '#!/bin/sh\ncd "$(dirname "$0")/.." && test -f HEAD\n',
}


@pytest.fixture
def hooked(tmp_path: Path) -> Hooked:
    folder = tmp_path / "recorder"
    folder.mkdir()
    return Hooked(folder)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".sample")


@pytest.mark.parametrize("finding", FINDINGS)
def test_a_hook_finds_what_it_found_before(
    repository: Repository, hooked: Hooked, finding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.write(".git/hooks/own/library.sh", ":\n")
    executable(repository, ".git/hooks/prepare-commit-msg.d/first", "#!/bin/sh\n")
    executable(repository, "tools/check", "#!/bin/sh\n")
    path = executable(repository, ".git/hooks/prepare-commit-msg", FINDINGS[finding])
    stage(repository)
    assert git(repository, "commit", "-m", "chore: begin").returncode == 0
    before = names(path.parent)
    hooked.install(repository, monkeypatch)
    stage(repository, "a", "2\n")
    done = git(repository, "commit")
    assert done.returncode == 0, done.stderr
    assert last_message(repository) == SUGGESTED
    hook.uninstall(repository.folder)
    assert names(path.parent) == before
    assert path.read_text() == FINDINGS[finding]


def test_what_an_earlier_version_installed_is_brought_up_to_date_and_taken_away(
    repository: Repository, hooked: Hooked, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = f"#!/bin/sh\n{MARK}: suggests the message of a plain commit.\n"
    path = executable(repository, ".git/hooks/prepare-commit-msg", earlier)
    executable(repository, f".git/hooks/{BEFORE}", FINDINGS["by basename"])
    hooked.install(repository, monkeypatch)
    stage(repository)
    assert git(repository, "commit").returncode == 0
    hook.uninstall(repository.folder)
    assert (names(path.parent), path.read_text()) == ([path.name], FINDINGS["by basename"])
    path.rename(path.parent / BEFORE)
    executable(repository, ".git/hooks/prepare-commit-msg", earlier)
    hook.uninstall(repository.folder)
    assert (names(path.parent), path.read_text()) == ([path.name], FINDINGS["by basename"])


def test_a_disk_without_links_and_what_a_hook_wrote_beside_itself(
    repository: Repository, hooked: Hooked, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes = '#!/bin/sh\necho "${0##*/}" >> "$(dirname "$0")/log"\n'
    path = executable(repository, ".git/hooks/prepare-commit-msg", writes)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "symlink_to", Mock(side_effect=PermissionError))
        hooked.install(repository, monkeypatch)
    stage(repository)
    assert git(repository, "commit").returncode == 0
    assert (path.parent / "log").read_text() == f"{BEFORE}\n"
    (path.parent / "log").unlink()
    hooked.install(repository, monkeypatch)
    stage(repository, "a", "2\n")
    assert git(repository, "commit").returncode == 0
    hook.uninstall(repository.folder)
    assert (path.parent / "before-joco-mlx" / "log").read_text() == "prepare-commit-msg\n"
    hooked.install(repository, monkeypatch)
    stage(repository, "a", "3\n")
    assert git(repository, "commit").returncode == 0
    assert (path.parent / "before-joco-mlx" / "log").read_text() == "prepare-commit-msg\n" * 2
