"""`scripts/setup` against a fake uv, pip and system: what it asks of them, and when it asks nothing."""

import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from conftest import missing

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


def test_packages_that_cannot_be_fetched_end_in_two_sentences(machine: Machine) -> None:
    done = machine.setup(FAKE_UV_FAILS="pip sync")
    assert done.returncode == 4
    assert done.stderr.splitlines()[-2] == "setup: uv could not install the packages (its reason is above)."
    assert "SSL_CERT_FILE" in done.stderr.splitlines()[-1]
    assert machine.setup().returncode == 0


def test_an_unknown_option_is_refused(machine: Machine) -> None:
    done = machine.setup("--fast")
    assert done.returncode == 2
    assert "'--fast'" in done.stderr
    assert "Usage" in done.stderr


def test_pip_brings_a_hashed_uv_where_there_is_none(machine: Machine) -> None:
    (machine.programs / "uv").rename(machine.programs / "uv-to-copy")
    done = machine.setup(FAKE_UV=str(machine.programs / "uv-to-copy"))
    assert done.returncode == 0, done.stderr
    pip = machine.asked()[0]
    assert "--target .uv" in pip
    assert "--require-hashes --requirement requirements-uv.txt" in pip
    assert "--user" not in pip


@pytest.mark.parametrize("version", [pytest.param("0.4.30", id="too-old"), pytest.param("", id="shim-without-uv")])
def test_a_uv_that_cannot_do_the_work_is_passed_over(machine: Machine, version: str) -> None:
    machine.program("uv", f"#!/usr/bin/env bash\n[ -n '{version}' ] && echo uv {version} || exit 127\n")
    machine.setup(FAKE_UV=str(machine.program("uv-to-copy", FAKE_UV)))
    assert machine.asked()[0].startswith("pip ")


def test_without_uv_and_pip_the_next_step_is_told(machine: Machine) -> None:
    (machine.programs / "uv").unlink()
    done = machine.setup(FAKE_PIP_MISSING="1")
    assert done.returncode == 4
    assert done.stderr.splitlines()[0] == "setup: There is neither uv nor a python3 with pip here."
    assert "brew install uv" in done.stderr


def test_node_comes_by_hash_where_the_gate_has_none(machine: Machine) -> None:
    (machine.programs / "npm").unlink()
    machine.setup("--dev")
    assert "--target .uv/node --require-hashes -r requirements-node.txt" in machine.asked()[-1]


@pytest.mark.parametrize(("version", "is_enough"), [("24.1.0", True), ("18.0.0", True), ("16.20.2", False)])
def test_a_node_that_runs_the_judges_is_used(machine: Machine, version: str, is_enough: bool) -> None:
    node = shutil.which("node") or missing("Node", "run scripts/check")
    pretence = f"Object.defineProperty(process, 'versions', {{ value: {{ node: '{version}' }} }});"
    machine.program("node", f'#!/usr/bin/env bash\nexec "{node}" -e "{pretence} $2"\n')
    machine.setup("--dev")
    assert any("requirements-node.txt" in line for line in machine.asked()) is not is_enough


def test_uv_is_told_of_the_index_that_pip_knows(machine: Machine) -> None:
    machine.setup(FAKE_PIP_INDEX="https://mirror.example/simple")
    assert all(line.endswith("[https://mirror.example/simple]") for line in machine.asked())


def test_the_index_of_the_environment_beats_the_file(machine: Machine) -> None:
    machine.setup(PIP_INDEX_URL="https://first.example/simple", FAKE_PIP_INDEX="https://second.example/simple")
    assert all(line.endswith("[https://first.example/simple]") for line in machine.asked())


def test_the_index_that_uv_knows_is_left_alone(machine: Machine) -> None:
    machine.setup(UV_DEFAULT_INDEX="https://own.example/simple", FAKE_PIP_INDEX="https://mirror.example/simple")
    assert all(line.endswith("[https://own.example/simple]") for line in machine.asked())


def test_a_home_that_cannot_be_written_is_not_needed(machine: Machine) -> None:
    machine.program("uv", FAKE_UV + 'echo "cache $UV_CACHE_DIR $UV_PYTHON_INSTALL_DIR" >>"$LOG"\n')
    done = machine.setup(HOME="/dev/null")
    assert done.returncode == 0, done.stderr
    assert f"cache {machine.folder}/.uv/cache {machine.folder}/.uv/python" in machine.asked()


UNAME = "#!/usr/bin/env bash\n[ $1 = -s ] && echo {} || echo {}\n"


@pytest.mark.parametrize(
    ("system", "hardware", "tools", "told"),
    [
        pytest.param("Darwin", "arm64", {"sw_vers": "echo 13.6.1"}, "macOS 13.6.1 is too old", id="old-macos"),
        pytest.param("Darwin", "x86_64", {"sysctl": "exit 1"}, "This is an Intel Mac", id="intel-mac"),
        pytest.param("Darwin", "x86_64", {"sysctl": "echo 1"}, "arch -arm64", id="rosetta"),
        pytest.param("Linux", "x86_64", {"getconf": "echo glibc 2.31"}, "here it is 'glibc 2.31'", id="old-glibc"),
        pytest.param("Linux", "x86_64", {"getconf": "exit 1"}, "another C library", id="musl"),
        pytest.param("Linux", "riscv64", {}, "not on Linux riscv64", id="hardware"),
        pytest.param("MINGW64_NT-10.0", "x86_64", {}, "WSL 2", id="windows"),
    ],
)
def test_a_machine_without_mlx_gets_one_sentence(
    machine: Machine, system: str, hardware: str, tools: dict[str, str], told: str
) -> None:
    machine.program("uname", UNAME.format(system, hardware))
    for name, body in tools.items():
        machine.program(name, f"#!/usr/bin/env bash\n{body}\n")
    done = machine.setup()
    assert done.returncode == 4
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 2
    assert machine.asked() == []


@pytest.mark.parametrize("version", ["14.0", "15.7.1", "26.1"])
def test_a_current_mac_passes(machine: Machine, version: str) -> None:
    machine.program("uname", UNAME.format("Darwin", "arm64"))
    machine.program("sw_vers", f"#!/usr/bin/env bash\necho {version}\n")
    assert machine.setup().returncode == 0
