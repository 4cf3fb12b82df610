"""What tests share: real git repositories with fixed dates, and judges that must be there in CI."""

import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from judges.ggml_oracle import Ggml
    from judges.go_template import GoTemplate

pytest_plugins = ["models_fixture", "hub_fixture", "dataset_fixture"]

settings.register_profile("busy machine", deadline=None)
settings.load_profile("busy machine")

# A shell without job control starts what runs in the background with Ctrl-C ignored, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

JUDGES = Path(__file__).parent / "judges" / "node_modules"
SERVER_WHEELS = {("linux", "x86_64"), ("darwin", "arm64")}
"""As pyproject.toml asks for xllamacpp."""
FIRST_SECOND = 1_700_000_000


def missing(what: str, repair: str) -> NoReturn:
    """Skip because a judge is missing; fail instead where judges are required (CI and `scripts/check`)."""
    text = f"{what} is missing; {repair}"
    if os.environ.get("JOCO_REQUIRE_JUDGES") == "1" or os.environ.get("CI", "false") not in ("", "0", "false"):
        pytest.fail(text, pytrace=False)
    pytest.skip(text)


def without_program(name: str, package: str) -> NoReturn:
    """Skip because a large program is missing, which `.ci/run` installs; fail where it says that the program is there."""
    text = f"{name} is missing; on Debian: apt-get install {package}"
    if os.environ.get(f"JOCO_REQUIRE_{name.upper()}") == "1":
        pytest.fail(text, pytrace=False)
    pytest.skip(text)


@pytest.fixture(scope="session")
def commitlint_modules() -> Path:
    """The node_modules folder that holds the real commitlint."""
    if not (JUDGES / "@commitlint" / "lint").is_dir():
        missing("commitlint", "run scripts/check, or npm install in tests/judges")
    return JUDGES


@pytest.fixture(scope="session")
def llama_library() -> Path:
    """The folder of the real llama.cpp's shared libraries."""
    from judges.llama_oracle import LIBRARY

    folder = Path(os.environ.get("LLAMA_LIB_DIR") or LIBRARY)
    if not list(folder.glob("libllama*")):
        missing("llama.cpp", "run scripts/check, or npm install in tests/judges, or set LLAMA_LIB_DIR")
    return folder


@pytest.fixture(scope="session")
def ggml() -> "Ggml":
    """The real ggml's encoders."""
    from judges.ggml_oracle import Ggml

    try:
        return Ggml()
    except (ImportError, OSError):
        missing("libggml-python", "run scripts/check, or pip install libggml-python")


@pytest.fixture(scope="session")
def go_template(tmp_path_factory: pytest.TempPathFactory) -> "GoTemplate":
    """Go's own text/template, which renders templates inside Ollama; 200 MB, so that scripts/check does not install it."""
    from judges.go_template import GoTemplate

    if shutil.which("go") is None:
        without_program("go", "golang-go")
    return GoTemplate(tmp_path_factory.mktemp("go"))


@pytest.fixture(scope="session")
def llama_server_wheel() -> None:
    """The package with llama.cpp's server; never imported here: beside another llama.cpp in one process it aborts."""
    if find_spec("xllamacpp") is None:
        if (sys.platform, platform.machine()) not in SERVER_WHEELS:
            pytest.skip("there is no wheel of llama.cpp's server for this machine")
        missing("llama.cpp's server", "run scripts/check, or pip install xllamacpp")


@dataclass
class Repository:
    """A real git repository whose clock advances by a minute a commit."""

    folder: Path
    clock: int = FIRST_SECOND

    def git(self, *words: str | bytes, stdin: bytes | None = None, env: Mapping[str, str] | None = None) -> str:
        """Run git in the repository and return what it printed."""
        date = f"{self.clock} +0000"
        variables = {
            **os.environ,
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "Ada",
            "GIT_AUTHOR_EMAIL": "ada@example.com",
            "GIT_COMMITTER_NAME": "Ada",
            "GIT_COMMITTER_EMAIL": "ada@example.com",
            "GIT_AUTHOR_DATE": date,
            "GIT_COMMITTER_DATE": date,
            **(env or {}),
        }
        command: list[str | bytes] = ["git", *words]
        done = subprocess.run(command, cwd=self.folder, env=variables, input=stdin, capture_output=True, check=True)
        return done.stdout.decode("utf-8", "replace").strip()

    def write(self, path: str | bytes, content: str | bytes) -> Path:
        """Write a file below the repository."""
        target = Path(os.fsdecode(os.path.join(os.fsencode(self.folder), os.fsencode(path))))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())
        return target

    def commit(self, message: str, files: Mapping[str, str | bytes] | None = None, **env: str) -> str:
        """Write `files`, stage everything, commit, and return the hash."""
        for path, content in (files or {}).items():
            self.write(path, content)
        self.clock += 60
        self.git("add", "--all")
        self.git(
            "commit", "--quiet", "--allow-empty", "--cleanup=verbatim", "--file=-", stdin=message.encode(), env=env
        )
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """An empty repository on branch `main`."""
    folder = tmp_path / "repository"
    folder.mkdir()
    made = Repository(folder)
    made.git("init", "--quiet", "--initial-branch=main")
    return made
