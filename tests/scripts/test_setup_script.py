"""`scripts/setup` against a fake uv, pip and system: what it asks of them, and when it asks nothing."""

import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SYSTEM_TOOLS = (
    "bash",
    "cat",
    "chmod",
    "cksum",
    "cp",
    "dirname",
    "env",
    "grep",
    "head",
    "ln",
    "mkdir",
    "rm",
    "sed",
    "sort",
)
COPIED = ("scripts/setup", "pyproject.toml", *(path.name for path in ROOT.glob("requirements*.txt")))

FAKE_UV = f"""#!/usr/bin/env bash
case "$*" in
  --version) echo "uv ${{FAKE_UV_VERSION:-0.13.9}} (fake)"; exit ;;
  "cache dir" | "python dir") echo "$HOME/$1"; exit ;;
esac
echo "uv $* [$UV_DEFAULT_INDEX]" >>"$LOG"
case "$*" in
  venv*)
    mkdir -p .venv/bin
    printf '#!/bin/sh\\ncase $1 in -) exit ;; esac\\nexec {sys.executable} "$@"\\n' >.venv/bin/python
    chmod +x .venv/bin/python ;;
  *"$FAKE_UV_FAILS"*) [ -z "$FAKE_UV_FAILS" ] || exit 1 ;;
esac
"""
FAKE_PYTHON = """#!/usr/bin/env bash
case "$*" in
  "-m pip --version") exit "${FAKE_PIP_MISSING:-0}" ;;
  "-m pip config get global.index-url") echo "$FAKE_PIP_INDEX"; exit ;;
  "-m pip install"*) echo "pip $*" >>"$LOG"; mkdir -p .uv/bin; cp "$FAKE_UV" .uv/bin/uv ;;
esac
"""


@dataclass
class Machine:
    """A folder with a copy of what setup reads, and a PATH that holds only what a test puts there."""

    folder: Path
    programs: Path
    log: Path
    variables: dict[str, str] = field(default_factory=dict)

    def program(self, name: str, text: str) -> Path:
        path = self.programs / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    def setup(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {**self.variables, **variables}
        command = [str(self.folder / "scripts" / "setup"), *words]
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)

    def asked(self) -> list[str]:
        """What uv and pip were asked since the last call."""
        lines = self.log.read_text().splitlines()
        self.log.write_text("")
        return lines


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    folder, programs, log = tmp_path / "a checkout", tmp_path / "bin", tmp_path / "log"
    (folder / "scripts").mkdir(parents=True)
    programs.mkdir()
    log.write_text("")
    for name in COPIED:
        shutil.copy(ROOT / name, folder / name)
    for tool in SYSTEM_TOOLS:
        (programs / tool).symlink_to(shutil.which(tool) or tool)
    made = Machine(folder, programs, log)
    home = tmp_path / "home"
    home.mkdir()
    made.variables = {
        "PATH": str(programs),
        "HOME": str(home),
        "LOG": str(log),
        "FAKE_UV": str(made.program("uv", FAKE_UV)),
        "UV_DEFAULT_INDEX": "",
        "FAKE_UV_FAILS": "",
    }
    made.program("python3", FAKE_PYTHON)
    made.program("npm", "#!/usr/bin/env bash\n")
    made.program("node", "#!/usr/bin/env bash\n")
    made.program("uname", "#!/usr/bin/env bash\n[ $1 = -s ] && echo Linux || echo x86_64\n")
    made.program("getconf", "#!/usr/bin/env bash\necho glibc 2.36\n")
    return made


def test_installs_by_hash_and_then_itself(machine: Machine) -> None:
    done = machine.setup()
    assert done.returncode == 0, done.stderr
    venv, sync, editable = machine.asked()
    assert venv.startswith("uv venv")
    assert ">=3.11" in venv
    assert "--require-hashes requirements.txt" in sync
    assert "--no-deps --no-build-isolation --editable ." in editable


def test_says_and_does_nothing_when_nothing_changed(machine: Machine) -> None:
    machine.setup()
    machine.asked()
    done = machine.setup()
    assert (done.returncode, done.stdout, done.stderr, machine.asked()) == (0, "", "", [])


def test_an_environment_for_the_gate_serves_users_too(machine: Machine) -> None:
    machine.setup()
    machine.setup("--dev")
    assert any("requirements-dev.txt" in line for line in machine.asked())
    machine.setup()
    assert machine.asked() == []


def test_a_changed_lock_is_installed_and_the_gate_stays(machine: Machine) -> None:
    machine.setup("--dev")
    machine.asked()
    (machine.folder / "requirements.txt").write_text("numpy==2.4.6\n")
    machine.setup()
    sync, _ = machine.asked()
    assert "requirements-dev.txt" in sync


def test_a_moved_folder_gets_a_new_environment(machine: Machine) -> None:
    machine.setup()
    machine.asked()
    machine.folder = machine.folder.rename(machine.folder.with_name("moved"))
    machine.setup()
    assert machine.asked()[0].startswith("uv venv")


def test_an_interrupted_installation_is_not_taken_for_a_finished_one(machine: Machine) -> None:
    machine.setup()
    (machine.folder / "pyproject.toml").write_text("[project]\n")
    assert machine.setup(FAKE_UV_FAILS="pip sync").returncode != 0
    machine.asked()
    assert machine.setup().returncode == 0
    assert any("pip sync" in line for line in machine.asked())


def test_an_unknown_option_is_refused(machine: Machine) -> None:
    done = machine.setup("--fast")
    assert done.returncode == 2
    assert "'--fast'" in done.stderr
    assert "Usage" in done.stderr
