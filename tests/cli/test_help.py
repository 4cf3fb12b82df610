"""The help texts, word by word: `JOCO_UPDATE_GOLDEN=1 pytest tests/cli/test_help.py` writes them anew."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "golden"
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
    "gguf inspect",
    "gguf verify",
    "bench",
    "bench run",
    "bench runs",
    "bench compare",
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
