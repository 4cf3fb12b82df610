"""The help texts, word by word: `JOCO_UPDATE_GOLDEN=1 pytest tests/cli/test_help.py` writes them anew.

`docs/commands.md` is made of the same texts, and written by the same command.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from joco_mlx.cli import main
from joco_mlx.errors import JocoError

GOLDEN = Path(__file__).parent / "golden"
REFERENCE = Path(__file__).parents[2] / "docs" / "commands.md"
OPENING = """\
# Commands

Every command with its options, as `--help` prints it; made by `tests/cli/test_help.py` and never edited by hand. What the
commands are for is told in the [README](../README.md) and in the guides beside this page.

A setting comes from the first of: its option, the variable `JOCO_MLX_NAME`, `--config FILE` or `.joco-mlx.toml` in the
repository, your own `config.toml` (`joco-mlx use` prints where it is), the registry's better value for a model, the
default.

| exit code | means |
|---:|---|
| 0 | done |
| 1 | nothing of the below; the message says what, and is left out where whoever read the pipe has gone |
| 2 | an option or argument that cannot be what was meant |
| 3 | a repository, dataset, model or file that is not what it should be |
| 4 | something this machine lacks: a program, disk, memory, a network |
| 5 | an output that exists already, a port or a run that another process holds |
| 6 | a check ran to its end, and what it checked is wrong |
| 70 | a bug of joco-mlx; `JOCO_MLX_DEBUG=1` shows where |
| 130 | stopped by you; what was done so far is kept |

`NO_COLOR=1` takes the colours away; in a pipe there are none, and a row of a table is one line whatever the width of the
terminal. `joco-mlx --install-completion` teaches your shell the commands.
"""
COMMANDS = (
    "",
    "quickstart",
    "doctor",
    "models",
    "plan",
    "train",
    "fuse",
    "suggest",
    "use",
    "serve",
    "connect",
    "forget",
    "dataset from-edits",
    "dataset",
    "dataset extract",
    "dataset curate",
    "dataset stats",
    "dataset validate",
    "dataset build",
    "dataset explain",
    "dataset audit",
    "dataset export",
    "dataset import",
    "gguf",
    "gguf imatrix",
    "gguf inspect",
    "gguf verify",
    "bench",
    "bench run",
    "bench runs",
    "bench compare",
    "bench report",
    "bench prompts",
    "bench import",
    "bench judge",
    "bench calibrate",
    "ollama",
    "ollama create",
    "hook",
    "hook install",
    "hook uninstall",
    "hook status",
    "hook run",
    "adapters",
    "adapters convert",
    "adapters adopt",
)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command or "joco-mlx")
def test_help_is_what_was_reviewed(command: str) -> None:
    environment = {**os.environ, "COLUMNS": "100", "TERMINAL_WIDTH": "100", "NO_COLOR": "1", "LC_ALL": "C.UTF-8"}
    words = [sys.executable, "-m", "joco_mlx", *command.split(), "--help"]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=True)
    lines = (line.rstrip() for line in done.stdout.replace("python -m joco_mlx", "joco-mlx").splitlines())
    shown = "\n".join(lines).strip() + "\n"
    path = GOLDEN / f"{command.replace(' ', '-') or 'joco-mlx'}.txt"
    if os.environ.get("JOCO_UPDATE_GOLDEN") == "1":
        path.parent.mkdir(exist_ok=True)
        path.write_text(shown)
    assert shown == path.read_text()


def reference() -> str:
    """Return the command reference: every help text that was reviewed."""
    parts = [OPENING]
    for command in COMMANDS:
        text = (GOLDEN / f"{command.replace(' ', '-') or 'joco-mlx'}.txt").read_text()
        parts.append(f"## {' '.join(('joco-mlx', command)).strip()}\n\n```text\n{text}```\n")
    return "\n".join(parts)


def test_the_reference_is_made_of_the_help_texts() -> None:
    if os.environ.get("JOCO_UPDATE_GOLDEN") == "1":
        REFERENCE.write_text(reference())
    assert reference() == REFERENCE.read_text()


def test_every_exit_code_is_documented() -> None:
    kinds = [JocoError, *JocoError.__subclasses__()]
    codes = {kind.exit_code for kind in kinds} | {0, main._BUG, main._INTERRUPTED}
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", OPENING, re.MULTILINE)} == codes
