"""A hook whose Python is a recorder: it notes that it was started, and writes a message as `hook run` would."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import Repository

from joco_mlx.suggest import hook

SUGGESTED = "feat(core): add what the hook suggests"
RECORDER = """\
#!/bin/sh
echo "$PWD $*" >> {calls}
{extra}
shift 5
{{ echo '{message}'; cat "$1"; }} > "$1.new" && mv "$1.new" "$1"
"""


@dataclass
class Hooked:
    """A place to install hooks from, and what the hook started."""

    folder: Path

    @property
    def calls(self) -> list[str]:
        """One line for every time that Python was started."""
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def python(self, extra: str = "") -> Path:
        """Write the recorder and return its path."""
        path = self.folder / "python with a space"
        path.write_text(RECORDER.format(calls=self.folder / "calls", extra=extra, message=SUGGESTED))
        path.chmod(0o755)
        return path

    def install(self, repository: Repository, monkeypatch: pytest.MonkeyPatch, extra: str = "") -> hook.HookState:
        """Install the hook with the recorder as its Python."""
        with monkeypatch.context() as patched:
            patched.setattr(sys, "executable", str(self.python(extra)))
            return hook.install(repository.folder, limit_seconds=2)


def git(repository: Repository, *words: str, editor: str = "true", **env: str) -> subprocess.CompletedProcess[str]:
    """Run git as a person would: with hooks, an editor, and a model that was chosen."""
    variables = {"GIT_EDITOR": editor, "GIT_SEQUENCE_EDITOR": "true", "JOCO_MLX_MODEL": "tiny", **person(), **env}
    command = ["git", *words]
    return subprocess.run(command, cwd=repository.folder, env=variables, capture_output=True, text=True, check=False)


def person() -> Mapping[str, str]:
    """This process's variables, as somebody who has configured nothing."""
    names = {f"GIT_{role}_{part}" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    foreign = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    plain = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    return {**foreign, **dict.fromkeys(names, "ada@example.com"), **plain}


def stage(repository: Repository, name: str = "a", content: str = "1\n") -> None:
    """Change a file and stage it."""
    repository.write(name, content)
    repository.git("add", "--all")


def last_message(repository: Repository) -> str:
    """The message of the last commit."""
    return repository.git("log", "-1", "--format=%B")
