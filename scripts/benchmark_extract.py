"""Measures how fast history is read: our stream beside GitPython and bare git, over the same commits in one run.

The contenders take turns, so that a busy machine slows all of them alike. What counts is CPU time, ours and that of
every git that was started. The last line printed is one JSON object.
"""

import argparse
import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import git

from joco_mlx import process
from joco_mlx.config import ExtractConfig
from joco_mlx.dataset.extract import extract
from joco_mlx.dataset.git_stream import Commit, read_commits
from joco_mlx.dataset.plain_git import PlainGit
from joco_mlx.dataset.repository import list_history, open_repository
from joco_mlx.errors import JocoError

ROOT = Path(__file__).resolve().parent.parent
QUICK_COMMITS, COMMITS = 600, 2_000
QUICK_SECONDS, SECONDS = 35.0, 900.0
_PROBED, _TURNS_WANTED = 30, 3
MAXIMUM_REPEATS = 3
_CHUNK_BYTES = 1 << 20
_MARK = b"=joco-benchmark="


@dataclass(frozen=True)
class Contender:
    """One way to read commits: `read` returns how many commits it read."""

    name: str
    read: Callable[[], int]


def our_stream(repository: Path, hashes: Sequence[str]) -> int:
    """Read message, author and patch of every commit as text."""
    return sum(isinstance(item, Commit) for item in read_commits(PlainGit(repository), hashes))


def gitpython(repository: Path, hashes: Sequence[str]) -> int:
    """Read the same with GitPython's own patches; a commit that it fails on is passed over."""
    count = 0
    with git.Repo(repository) as repo:
        for name in hashes:
            commit = repo.commit(name)
            try:
                if commit.parents:
                    changes = commit.parents[0].diff(commit, create_patch=True)
                else:
                    changes = commit.diff(git.NULL_TREE, create_patch=True)
            except git.exc.GitCommandError:
                continue
            patches = [change.diff for change in changes]
            texts = [patch.decode("utf-8", "replace") for patch in patches if isinstance(patch, bytes)]
            count += bool(str(commit.message) and commit.author.name is not None and "".join(texts) is not None)
    return count


def git_log(repository: Path, hashes: Sequence[str]) -> int:
    """Let git print the same patches and only count the commits; it stops at the first that it cannot read."""
    command = ["git", f"--git-dir={repository}", "log", "--no-walk=unsorted", "--stdin", "--patch"]
    count, tail = 0, b""
    with tempfile.TemporaryFile() as requests, tempfile.TemporaryFile() as complaints:
        requests.write("\n".join(hashes).encode())
        requests.seek(0)
        with process.stream(
            [*command, f"--format=tformat:{_MARK.decode()}"], stdin=requests, stderr=complaints
        ) as child:
            while chunk := child.stdout.read(_CHUNK_BYTES):
                count += (tail + chunk).count(_MARK)
                tail = chunk[1 - len(_MARK) :]
            child.wait()
    return count


def borrow_objects(source: PlainGit, folder: Path) -> Path:
    """Make a bare repository that shares the source's objects: a mirror without a config file stops GitPython."""
    objects = source.git_dir / source.run("rev-parse", "--git-path", "objects").stdout.decode().strip()
    process.run(["git", "init", "--quiet", "--bare", folder])
    (folder / "objects" / "info" / "alternates").write_text(f"{objects.resolve()}\n")
    return folder


def generate(folder: Path, commits: int) -> Path:
    """Make a repository with a history of small changes, for a place where there is none."""
    lines = ["line " + "word " * (number % 9) + f"{number}" for number in range(400)]
    stream = []
    for number in range(commits + 1):
        lines[number * 37 % 400] = f"changed by commit {number}"
        text = "\n".join(lines).encode() + b"\n"
        message = f"fix: change line {number * 37 % 400} of the file\n".encode()
        head = f"commit refs/heads/main\ncommitter Ada <ada@example.com> {1_700_000_000 + 60 * number} +0000\n".encode()
        stream.append(head + b"data %d\n" % len(message) + message)
        stream.append(b"M 100644 inline file%d.txt\ndata %d\n" % (number % 20, len(text)) + text + b"\n")
    process.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", folder])
    done = process.run(["git", f"--git-dir={folder}", "fast-import", "--quiet"], stdin=b"".join(stream))
    if done.code:
        raise SystemExit(f"benchmark_extract: git fast-import failed: {done.complaint}")
    return folder


def cpu_seconds() -> float:
    """Return the CPU time of this process and of all its ended children."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def measure(contenders: Sequence[Contender], seconds: float) -> dict[str, list[float]]:
    """Let the contenders take turns until the time is up; return commits per CPU-second of every turn."""
    speeds: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    started, longest = time.monotonic(), 0.0
    for repeat in range(MAXIMUM_REPEATS):
        if repeat and time.monotonic() - started + longest > seconds:
            break
        began = time.monotonic()
        for contender in contenders:
            before = cpu_seconds()
            count = contender.read()
            speeds[contender.name].append(count / (cpu_seconds() - before))
        longest = max(longest, time.monotonic() - began)
    return speeds


def affordable(repository: Path, hashes: Sequence[str], seconds: float) -> int:
    """Return how many commits let the slowest contender, which takes two thirds of a turn, have its turns in time."""
    began = time.monotonic()
    gitpython(repository, hashes[:_PROBED])
    a_commit = (time.monotonic() - began) / min(_PROBED, len(hashes))
    return max(_PROBED, int(seconds * 2 / 3 / _TURNS_WANTED / a_commit))


def benchmark(repo: Path, commits: int, seconds: float, folder: Path) -> dict[str, float | int | str]:
    """Measure all contenders on the newest commits of `repo`, print the table, and return the figures."""
    source = open_repository(repo)
    shared = borrow_objects(source.git, folder / "shared.git")
    hashes = list_history(source, ExtractConfig(max_commits=commits)).hashes
    hashes = hashes[: affordable(shared, hashes, seconds)]
    config = ExtractConfig(max_commits=len(hashes))
    contenders = [
        Contender("joco-mlx, stream", lambda: our_stream(shared, hashes)),
        Contender("joco-mlx, whole extract", lambda: (sum(1 for _ in extract(config, repo)), len(hashes))[1]),
        Contender("GitPython, create_patch", lambda: gitpython(shared, hashes)),
        Contender("git log --patch", lambda: git_log(shared, hashes)),
    ]
    speeds = measure(contenders, seconds)
    middle = {name: statistics.median(values) for name, values in speeds.items()}
    ours, whole, theirs, bare = middle.values()
    print(
        f"{source.name} at {source.head[:12]}: the newest {len(hashes)} commits, {len(speeds[contenders[0].name])} turns"
    )
    print(f"{'contender':<26}{'commits per CPU-second':>24}{'ours is faster by':>20}")
    for name, speed in middle.items():
        print(f"{name:<26}{speed:>24.0f}{ours / speed:>19.2f}x")
    return {
        "repository": source.name,
        "commits": len(hashes),
        "turns": len(speeds[contenders[0].name]),
        "commits_per_cpu_second": round(ours, 1),
        "extract_commits_per_cpu_second": round(whole, 1),
        "ratio_to_gitpython": round(ours / theirs, 2),
        "ratio_to_git_log": round(ours / bare, 3),
    }


def main() -> int:
    """Measure as the command line says and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("repo", nargs="?", type=Path, metavar="REPO", help="clone or bare mirror [default: this one]")
    parser.add_argument("--quick", action="store_true", help="end within a minute")
    given = parser.parse_args()
    commits, seconds = (QUICK_COMMITS, QUICK_SECONDS) if given.quick else (COMMITS, SECONDS)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        own = ROOT if (ROOT / ".git").exists() else generate(folder / "generated.git", commits)
        try:
            figures = benchmark(given.repo or own, commits, seconds, folder)
        except JocoError as problem:
            print(f"benchmark_extract: {problem.message}\n       {problem.hint}", file=sys.stderr)
            return problem.exit_code
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
