"""Measures how fast history is read: our stream beside GitPython and bare git, over the same commits in one run.

The contenders take turns, so that a busy machine slows all of them alike. What counts is CPU time, ours and that of
every git that was started.
"""

import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import git

from joco_mlx import process
from joco_mlx.dataset.git_stream import Commit, read_commits
from joco_mlx.dataset.plain_git import PlainGit

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
            while child.stdout is not None and (chunk := child.stdout.read(_CHUNK_BYTES)):
                count += (tail + chunk).count(_MARK)
                tail = chunk[1 - len(_MARK) :]
            child.wait()
    return count


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
