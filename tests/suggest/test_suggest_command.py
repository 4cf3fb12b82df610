"""`joco-mlx suggest` as a person runs it: real git, a terminal to be asked on, a fake editor and a fake Ollama."""

import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Repository
from hook_fixture import last_message, person, stage
from ollama_server import FakeOllama, running

from joco_mlx.errors import MachineError
from joco_mlx.suggest.committing import edited

ANSWER = "feat(core): add the parser"


@pytest.fixture
def ollama() -> Iterator[FakeOllama]:
    shown = {"parameters": {"num_ctx": 2048}, "template": ""}
    with running(FakeOllama(models={"joco": shown}, answer=ANSWER)) as made:
        yield made


@pytest.fixture
def pushable(repository: Repository, tmp_path: Path) -> Repository:
    """A repository with one commit, an upstream that it could push to, and a change that is staged."""
    repository.commit("chore: begin", {"a": "0\n"})
    repository.git("init", "--quiet", "--bare", str(tmp_path / "upstream"))
    repository.git("remote", "add", "origin", str(tmp_path / "upstream"))
    repository.git("push", "--quiet", "--set-upstream", "origin", "main")
    stage(repository, "src/parser.py", "import json\n")
    return repository


def variables(ollama: FakeOllama, tmp_path: Path, **more: str) -> dict[str, str]:
    settings = {"OLLAMA_HOST": ollama.url, "XDG_CONFIG_HOME": str(tmp_path / "none"), "NO_COLOR": "1"}
    return {**person(), **settings, **more}


def run(
    where: Path, environment: dict[str, str], *words: str, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "joco_mlx", "suggest", *words]
    return subprocess.run(command, cwd=where, env=environment, input=stdin, capture_output=True, check=False)


def in_a_terminal(where: Path, environment: dict[str, str], *words: str, typed: bytes) -> tuple[int, str]:
    """Run suggest on a terminal, type an answer when it asks, and return its exit code and what was shown."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "joco_mlx", "suggest", *words]
    child = subprocess.Popen(command, cwd=where, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown, until = b"", time.monotonic() + 60
    while time.monotonic() < until:
        try:
            piece = os.read(ours, 1 << 12)
        except OSError:  # the other end is closed
            break
        shown += piece
        if b"[y/N]" in shown and typed:
            os.write(ours, typed)
            typed = b""
    os.close(ours)
    return child.wait(timeout=10), shown.decode().replace("\r\n", "\n")


def test_a_commit_is_made_after_asking_and_nothing_is_pushed(
    pushable: Repository, ollama: FakeOllama, tmp_path: Path
) -> None:
    pushed = pushable.git("rev-parse", "origin/main")
    code, shown = in_a_terminal(pushable.folder, variables(ollama, tmp_path), "--commit", typed=b"y\n")
    assert code == 0, shown
    assert shown.index(ANSWER) < shown.index("Commit with this message?")
    assert last_message(pushable) == ANSWER
    assert pushable.git("status", "--porcelain") == ""
    assert pushable.git("ls-remote", "origin", "refs/heads/main").split()[0] == pushed


def test_no_is_no(pushable: Repository, ollama: FakeOllama, tmp_path: Path) -> None:
    code, shown = in_a_terminal(pushable.folder, variables(ollama, tmp_path), "--commit", typed=b"\n")
    assert code == 0, shown
    assert last_message(pushable) == "chore: begin"
    assert pushable.git("diff", "--cached", "--name-only") == "src/parser.py"


def test_ctrl_d_instead_of_an_answer_ends_it(pushable: Repository, ollama: FakeOllama, tmp_path: Path) -> None:
    code, shown = in_a_terminal(pushable.folder, variables(ollama, tmp_path), "--commit", typed=b"\x04")
    assert code == 130, shown
    assert "Interrupted." in shown
    assert last_message(pushable) == "chore: begin"


def test_the_editor_has_the_last_word_and_hooks_run(pushable: Repository, ollama: FakeOllama, tmp_path: Path) -> None:
    pushable.write(".git/hooks/commit-msg", '#!/bin/sh\necho "checked: $(cat "$1")" >> ../checked\n').chmod(0o755)
    pushable.write("a", "2\n")
    environment = variables(ollama, tmp_path, GIT_EDITOR="sed -i.bak s/parser/reader/")
    words = ("--all", "--edit", "--commit")
    code, shown = in_a_terminal(pushable.folder, environment, *words, typed=b"y\n")
    assert code == 0, shown
    assert last_message(pushable) == ANSWER.replace("parser", "reader")
    assert (tmp_path / "checked").read_text() == f"checked: {last_message(pushable)}\n"
    assert pushable.git("show", "--name-only", "--format=").split() == ["a", "src/parser.py"]


def test_an_editor_is_a_command_of_the_shell_as_for_git(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor = tmp_path / "my editor"
    editor.write_text('#!/bin/sh\necho "fix: edited" > "$2"\n')
    editor.chmod(0o755)
    monkeypatch.setenv("PLACE", str(tmp_path))
    monkeypatch.setenv("GIT_EDITOR", '"$PLACE/my editor" --wait')
    assert edited(repository.folder, "fix: a") == "fix: edited"
    for broken in ('sed "', "no-such-editor-anywhere", "false"):
        monkeypatch.setenv("GIT_EDITOR", broken)
        with pytest.raises(MachineError, match="ended with an error") as caught:
            edited(repository.folder, "fix: a")
        assert repr(broken) in caught.value.message


def test_a_message_that_was_deleted_or_refused_commits_nothing(
    pushable: Repository, ollama: FakeOllama, tmp_path: Path
) -> None:
    deleting = variables(ollama, tmp_path, GIT_EDITOR="sh -c ': > \"$1\"' -")
    code, shown = in_a_terminal(pushable.folder, deleting, "--edit", "--commit", typed=b"y\n")
    assert code == 130
    assert "The message is empty" in shown
    pushable.write(".git/hooks/commit-msg", "#!/bin/sh\necho no such style >&2\nexit 1\n").chmod(0o755)
    code, shown = in_a_terminal(pushable.folder, variables(ollama, tmp_path), "--commit", typed=b"y\n")
    assert code == 3
    assert "git did not commit: no such style" in shown
    assert last_message(pushable) == "chore: begin"


def test_without_a_terminal_nothing_is_committed(pushable: Repository, ollama: FakeOllama, tmp_path: Path) -> None:
    done = run(pushable.folder, variables(ollama, tmp_path), "--commit", stdin=b"y\n")
    assert done.returncode == 2
    assert b"no terminal to ask on" in done.stderr
    assert last_message(pushable) == "chore: begin"


def test_standard_input_to_json(ollama: FakeOllama, tmp_path: Path, pushable: Repository) -> None:
    patch = pushable.git("diff", "--cached").encode()
    done = run(tmp_path, variables(ollama, tmp_path), "--diff", "-", "--json", "-n", "2", stdin=patch)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [one["message"] for one in found["candidates"]] == [ANSWER]
    assert 0 <= found["candidates"][0]["score"] <= 1
    assert isinstance(found["candidates"][0]["score"], float)


def test_a_commit_leaves_the_json_one_document(pushable: Repository, ollama: FakeOllama, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, b"y\n")
    command = [sys.executable, "-m", "joco_mlx", "suggest", "--json", "--commit"]
    environment = variables(ollama, tmp_path)
    done = subprocess.run(
        command, cwd=pushable.folder, env=environment, stdin=theirs, capture_output=True, check=False, timeout=60
    )
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["message"] == ANSWER
    assert b"[main " in done.stderr
    assert last_message(pushable) == ANSWER


def test_a_hint_is_read_and_a_big_diff_gives_one_message(
    pushable: Repository, ollama: FakeOllama, tmp_path: Path
) -> None:
    for number in range(300):
        pushable.write(f"src/part_{number}.py", f"value = {number}\n" * 200)
    pushable.git("add", "--all")
    ollama.answer = f"{ANSWER}\n\nfix: something else\n\ndocs: and more"
    done = run(pushable.folder, variables(ollama, tmp_path), "--hint", "users asked for it")
    assert done.stdout.decode() == f"{ANSWER}\n"
    asked = [request for request in ollama.requests if "messages" in request]
    assert len(asked) == 1
    content = asked[0]["messages"][-1]["content"]
    assert content.startswith("Why: users asked for it\n\nA src/parser.py")
    assert len(content) < 3 * 2_048
