"""`scripts/check`, `.ci/run` and `scripts/quickstart`: what they run, in which order, and how they end."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = [path for path in sorted((ROOT / "scripts").iterdir()) if path.is_file()]
SHELL_SCRIPTS = [path for path in [*SCRIPTS, ROOT / ".ci/run"] if path.read_text().startswith("#!/usr/bin/env bash")]
TOOLS = ("ruff", "mypy", "lint-imports", "check-jsonschema", "shellcheck", "pytest")

# What bash 3.2 does not know, and what only GNU's tools know.
NEWER = re.compile(
    r"\b(mapfile|readarray|coproc)\b|declare -A|local -n|&>>|\|&|\$\{\w+(,,|\^\^|@)"
    r"|sed -i |readlink -f|\bnproc\b|\btimeout \d|grep -P|date \+%s%N|cp --|\bsha256sum\b"
)


def write_program(path: Path, body: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/usr/bin/env bash\n{body}\n")
    path.chmod(0o755)


def copy_script(name: str, folder: Path) -> Path:
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / name, target)
    return target


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose every tool only says that it was called."""
    copy_script("scripts/check", tmp_path)
    copy_script(".ci/run", tmp_path)
    (tmp_path / "scripts" / "a folder").mkdir()
    for script in ("setup", "judges"):
        write_program(tmp_path / "scripts" / script, f'echo {script} "$@" >>calls')
    for tool in TOOLS:
        write_program(tmp_path / ".venv/bin" / tool, f'echo {tool} "$@" >>calls')
    write_program(tmp_path / ".venv/bin/pytest", 'echo pytest $JOCO_REQUIRE_JUDGES "$@" >>calls; echo 7 passed in 1s')
    return tmp_path


def run(*command: Path | str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_check_runs_every_section_and_ends_with_the_line_of_pytest(checkout: Path) -> None:
    done = run(checkout / "scripts/check", cwd=checkout.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "7 passed in 1s"
    called = [line.split()[0] for line in (checkout / "calls").read_text().splitlines()]
    assert called == [
        *("setup", "judges", "ruff", "ruff", "shellcheck"),
        *("mypy", "lint-imports", "check-jsonschema", "check-jsonschema", "pytest"),
    ]


def test_check_requires_the_judges(checkout: Path) -> None:
    run(checkout / "scripts/check", cwd=checkout)
    calls = (checkout / "calls").read_text()
    assert "setup --dev" in calls
    assert "pytest 1 " in calls


@pytest.mark.parametrize("tool", ["ruff", "mypy", "lint-imports", "check-jsonschema", "shellcheck"])
def test_check_stops_at_the_first_failure_and_shows_it(checkout: Path, tool: str) -> None:
    write_program(checkout / ".venv/bin" / tool, "echo line 3 is wrong; exit 1")
    done = run(checkout / "scripts/check", cwd=checkout)
    assert done.returncode == 1
    assert "line 3 is wrong" in done.stdout
    assert "pytest" not in (checkout / "calls").read_text()


@pytest.mark.parametrize(("word", "code"), [("--help", 0), ("--quick", 2)])
def test_check_does_not_run_the_gate_for_a_word_that_it_was_given(checkout: Path, word: str, code: int) -> None:
    done = run(checkout / "scripts/check", word, cwd=checkout)
    assert (done.returncode, "environment" in done.stdout) == (code, False)
    assert "Usage: scripts/check" in done.stdout + done.stderr


def test_check_fails_with_the_tests(checkout: Path) -> None:
    write_program(checkout / ".venv/bin/pytest", "echo 1 failed; exit 1")
    assert run(checkout / "scripts/check", cwd=checkout).returncode == 1


def test_ci_runs_the_test_command_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    command = (ROOT / ".ci/run").read_text("utf-8").splitlines()[-1]
    assert command == "./scripts/check"
    assert f"\n    {command}\n" in readme


def test_ci_fails_with_the_gate(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_program(checkout / "scripts/check", "exit 3")
    write_program(checkout / "bin/ldconfig", "echo libopenblas.so.0")
    monkeypatch.setenv("PATH", str(checkout / "bin"), prepend=os.pathsep)
    assert run(checkout / ".ci/run", cwd=checkout.parent).returncode == 3


def test_quickstart_hands_its_arguments_on_and_stays_in_the_folder(tmp_path: Path) -> None:
    script = copy_script("scripts/quickstart", tmp_path / "checkout")
    write_program(script.with_name("setup"), "")
    write_program(tmp_path / "checkout/.venv/bin/joco-mlx", 'command -v uv; pwd; printf "<%s>" "$@"')
    write_program(tmp_path / "checkout/.uv/bin/uv", "")
    done = run(script, "--model", "a model", cwd=tmp_path)
    assert done.stdout == f"{tmp_path}/checkout/.uv/bin/uv\n{tmp_path}\n<quickstart><--model><a model>"


def test_quickstart_stops_when_setup_fails(tmp_path: Path) -> None:
    script = copy_script("scripts/quickstart", tmp_path)
    write_program(script.with_name("setup"), "exit 4")
    assert run(script, cwd=tmp_path).returncode == 4


@pytest.mark.parametrize("place", ["checkout/.uv/bin", "home/.local/bin"])
def test_proofs_find_the_uv_that_setup_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    script = copy_script("scripts/prove", tmp_path / "checkout")
    (script.parent / "proofs").mkdir()
    (script.parent / "proofs/two_words.py").touch()
    write_program(tmp_path / "checkout/.venv/bin/python", 'command -v uv; printf "<%s>" "$@"')
    write_program(tmp_path / place / "uv", "")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    done = run(script, "two-words", "--kills", cwd=tmp_path)
    assert done.stdout == f"{tmp_path / place}/uv\n<scripts/proofs/two_words.py><--kills>"


@pytest.mark.parametrize("script", SHELL_SCRIPTS, ids=lambda path: path.name)
def test_shell_scripts_keep_to_what_macos_ships(script: Path) -> None:
    text = script.read_text("utf-8")
    assert "set -euo pipefail" in text
    assert NEWER.search(text) is None


@pytest.mark.parametrize("script", [path for path in SCRIPTS if path.suffix != ".py"], ids=lambda path: path.name)
def test_commands_can_be_executed(script: Path) -> None:
    assert script.stat().st_mode & 0o111
    assert script.read_text("utf-8").startswith("#!/usr/bin/env ")
