"""A commit that is stopped while its message is made: nothing lives on and writes into the next one."""

import os
import pty
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import Repository
from hook_fixture import Hooked, committing, git, last_message, stage

SLOW = "sleep 3"
SHELLS = {"dash": "/bin/sh", "bash": "/usr/bin/env -S bash --posix"}
"""As sh is on Debian, and on a Mac."""


@pytest.fixture
def hooked(tmp_path: Path) -> Hooked:
    folder = tmp_path / "recorder"
    folder.mkdir()
    return Hooked(folder)


def wait_for(happened: Callable[[], object], seconds: float = 10) -> None:
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until, "nothing happened"
        time.sleep(0.02)


@contextmanager
def terminal(repository: Repository) -> Iterator[int]:
    """Commit in a terminal whose shell stays open, as a person's does; the exit code appears in .git/status."""
    commands = "trap : INT; git commit; echo $? > .git/new && mv .git/new .git/status; exec sleep 60"
    shell, keyboard = pty.fork()
    if shell == 0:
        os.chdir(repository.folder)
        os.execvpe("sh", ["sh", "-c", commands], committing("true"))
    try:
        yield keyboard
    finally:
        os.kill(shell, signal.SIGKILL)
        os.waitpid(shell, 0)
        os.close(keyboard)


@pytest.mark.parametrize("shell", SHELLS)
def test_after_ctrl_c_the_next_message_is_left_alone(
    repository: Repository, hooked: Hooked, shell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.commit("chore: my very own message", {"a": "0\n"})
    found = hooked.install(repository, monkeypatch, SLOW, limit_seconds=20)
    found.path.write_text(found.path.read_text().replace("#!/bin/sh", f"#!{SHELLS[shell]}", 1))
    stage(repository)
    before = repository.git("rev-parse", "HEAD")
    with terminal(repository) as keyboard:
        wait_for(lambda: hooked.calls)
        os.write(keyboard, b"\x03")
        wait_for((repository.folder / ".git" / "status").exists)
        assert repository.git("rev-parse", "HEAD") == before
        assert git(repository, "commit", "--amend", editor="sleep 4; true").returncode == 0
    assert last_message(repository) == "chore: my very own message"
    assert len(hooked.calls) == 1
