"""What the hook calls: `joco-mlx hook run`, as a process of its own, with a fake Ollama."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import Repository
from hook_fixture import person, stage
from ollama_server import FakeOllama, running

SHOWN = {"parameters": {"num_ctx": 2048}, "template": ""}
MINE = "chore: my very own message\n"


@pytest.fixture
def ready(repository: Repository) -> Repository:
    """A repository with a commit and a change that is staged."""
    repository.commit("chore: begin", {"a": "0\n"})
    stage(repository)
    return repository


def start(repository: Repository, ollama: FakeOllama, message: Path) -> subprocess.Popen[str]:
    settings = {"OLLAMA_HOST": ollama.url, "XDG_CONFIG_HOME": str(repository.folder.parent / "none")}
    command = [sys.executable, "-m", "joco_mlx", "hook", "run", str(message)]
    return subprocess.Popen(
        command,
        cwd=repository.folder,
        env={**person(), **settings},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_a_file_that_changed_meanwhile_is_left_alone(ready: Repository, tmp_path: Path) -> None:
    message = tmp_path / "message"
    message.write_text("\n# Please enter the commit message\n")
    with running(FakeOllama(models={"joco": SHOWN}, pause_seconds=1.0)) as ollama:
        child = start(ready, ollama, message)
        until = time.monotonic() + 30
        while not ollama.requests:
            assert time.monotonic() < until, "nothing was asked"
            time.sleep(0.02)
        message.write_text(MINE)
        _, said = child.communicate(timeout=30)
    assert (child.returncode, message.read_text()) == (0, MINE)
    assert f"{message} was changed meanwhile, and is left alone." in said


def test_a_file_with_a_message_is_told(ready: Repository, tmp_path: Path) -> None:
    message = tmp_path / "message"
    message.write_text(MINE)
    with running(FakeOllama(models={"joco": SHOWN})) as ollama:
        _, said = start(ready, ollama, message).communicate(timeout=30)
        assert not ollama.requests
    assert message.read_text() == MINE
    assert said == f"{message} holds a message already, and is left alone.\n"
