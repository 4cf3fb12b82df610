"""Measures the whole pipeline, from history to written splits: its speed, a plain GitPython pipeline's, its memory.

Every figure comes from a process of its own, start included; what counts is CPU time, ours and that of every git that
was started. Memory is measured on histories of 2,000 and 20,000 commits that are made for it. The last line printed is
one JSON object.
"""

import argparse
import json
import random
import re
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

import git
from benchmark_extract import borrow_objects, cpu_seconds

from joco_mlx import process
from joco_mlx.config import BuildConfig, ExtractConfig
from joco_mlx.dataset.build import build
from joco_mlx.dataset.repository import list_history, open_repository
from joco_mlx.errors import JocoError

ROOT = Path(__file__).resolve().parent.parent
QUICK_COMMITS, COMMITS = 8_000, 40_000
QUICK_PLAIN, PLAIN = 250, 2_000
SMALL, LARGE = 2_000, 20_000
RECORD_BYTES = 12 << 10
"""What a kept record may take in memory."""
_CONVENTIONAL = re.compile(r"(feat|fix|docs|style|refactor|perf|test|build|ci|chore|revert)(\([^)]*\))?!?: .+")
_NOUNS = ("cache", "queue", "parser", "router", "session", "token", "buffer", "worker", "filter", "loader", "writer")


def ours(repo: Path, revision: str, minimum_score: int) -> dict[str, Any]:
    """Build a dataset in this process; return commits, kept records, CPU seconds and the peak in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        config = BuildConfig(revision=revision, minimum_score=minimum_score)
        made = build(config, [str(repo)], Path(folder) / "data", jobs=1)
        counts = json.loads((made.folder / "stats.json").read_text("utf-8"))["funnel"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    read = counts["read"] + len(counts["skipped"])
    return {"commits": read, "kept": counts["kept"], "cpu": cpu_seconds(), "peak": peak}


def plain(repo: Path, hashes: list[str]) -> dict[str, Any]:
    """Do what the original guide does, in plain GitPython: patch, filters, equal messages, random split, JSONL."""
    seen: set[str] = set()
    records = []
    with git.Repo(repo) as opened:
        for name in hashes:
            commit = opened.commit(name)
            header = str(commit.message).partition("\n")[0]
            try:
                patches = commit.parents[0].diff(commit, create_patch=True) if commit.parents else []
            except git.exc.GitCommandError:
                continue
            text = "".join(
                change.diff.decode("utf-8", "replace") for change in patches if isinstance(change.diff, bytes)
            )
            good = _CONVENTIONAL.fullmatch(header) and len(header) < 72 and not header.endswith(".")
            if good and 50 <= len(text) <= 8_000 and header not in seen:
                seen.add(header)
                records.append({"instruction": "Write a commit message.", "input": text, "output": header})
    random.Random(0).shuffle(records)  # noqa: S311  (a split, no secret)
    with tempfile.TemporaryDirectory() as folder:
        for part, chosen in (("train", records[len(records) // 10 :]), ("valid", records[: len(records) // 10])):
            (Path(folder) / f"{part}.jsonl").write_text("\n".join(map(json.dumps, chosen)), "utf-8")
    return {"commits": len(hashes), "kept": len(records), "cpu": cpu_seconds()}


def generate(folder: Path, commits: int) -> Path:
    """Make a repository: of ten commits two are conventional."""
    chance = random.Random(1)  # noqa: S311  (the same history every time)
    stream = []
    for number in range(commits + 1):
        noun, name = chance.choice(_NOUNS), f"{chance.getrandbits(48):012x}"
        header = f"fix({noun}): keep {noun} of {name}" if number % 10 < 2 else f"{noun} work on {name}"
        words = [
            f"{noun}_{name[:6]}_{chance.getrandbits(40):x} = {chance.random()}" for _ in range(chance.randint(5, 60))
        ]
        text = "\n".join(words).encode() + b"\n"
        message = f"{header}\n".encode()
        who = f"committer Person {number % 40} <person@example.com> {1_500_000_000 + 60 * number} +0000\n".encode()
        stream.append(b"commit refs/heads/main\n" + who + b"data %d\n" % len(message) + message)
        stream.append(
            b"M 100644 inline src/%s%d.py\ndata %d\n" % (noun.encode(), number % 97, len(text)) + text + b"\n"
        )
    process.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", folder])
    done = process.run(["git", f"--git-dir={folder}", "fast-import", "--quiet"], stdin=b"".join(stream))
    if done.code:
        raise SystemExit(f"benchmark_dataset: git fast-import failed: {done.complaint}")
    return folder


def measured(*words: str | Path | int) -> dict[str, Any]:
    """Run one measurement in a process of its own."""
    done = process.run([sys.executable, __file__, "--only", *map(str, words)])
    if done.code:
        raise SystemExit(f"benchmark_dataset: {words[0]} failed: {done.stderr.decode()}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def benchmark(repo: Path, folder: Path, *, quick: bool, minimum_score: int) -> dict[str, Any]:
    """Measure everything, print the table, and return the figures.

    The messages of the histories that are made here say nothing, so there every score is let in.
    """
    source = open_repository(repo)
    hashes = list_history(source, ExtractConfig()).hashes
    most, few = (QUICK_COMMITS, QUICK_PLAIN) if quick else (COMMITS, PLAIN)
    revision = source.head if len(hashes) <= most else f"{hashes[most]}..{source.head}"
    shared = borrow_objects(source.git, folder / "shared.git")
    sample = hashes[:most][:: max(1, min(most, len(hashes)) // few)]
    (folder / "hashes").write_text("\n".join(sample))
    whole = measured("ours", repo, revision, minimum_score)
    theirs = measured("plain", shared, folder / "hashes")
    sizes = {count: generate(folder / f"{count}.git", count) for count in (SMALL, LARGE)}
    small, large = (measured("ours", sizes[count], "HEAD", 0) for count in (SMALL, LARGE))
    speed, plain_speed = (found["commits"] / found["cpu"] for found in (whole, theirs))
    spare = large["peak"] - RECORD_BYTES * (large["kept"] - small["kept"])
    print(f"{source.name} at {source.head[:12]}: {whole['commits']:,} commits, {whole['kept']:,} records")
    print(f"whole pipeline             {speed:8.0f} commits per CPU second")
    print(
        f"plain GitPython pipeline   {plain_speed:8.0f} (every {len(hashes[:most]) // len(sample)}th of these commits)"
    )
    for count, found in ((SMALL, small), (LARGE, large)):
        print(f"peak on {count:>6,} commits    {found['peak'] / 1e6:8.0f} MB, {found['kept']:,} records")
    return {
        "repository": source.name,
        "commits": whole["commits"],
        "kept": whole["kept"],
        "commits_per_cpu_second": round(speed, 1),
        "gitpython_commits_per_cpu_second": round(plain_speed, 1),
        "ratio_to_gitpython_pipeline": round(speed / plain_speed, 2),
        "peak_memory_growth": round(spare / small["peak"], 3),
    }


def _only(what: str, repo: str, argument: str, score: str = "0") -> dict[str, Any]:
    if what == "ours":
        return ours(Path(repo), argument, int(score))
    return plain(Path(repo), Path(argument).read_text("ascii").split())


def _everything(repo: Path | None, quick: bool, score: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if repo is None and not (ROOT / ".git").exists():
            return benchmark(generate(folder / "own.git", SMALL), folder, quick=quick, minimum_score=0)
        return benchmark(repo or ROOT, folder, quick=quick, minimum_score=score)


def main() -> int:
    """Measure as the command line says and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("repo", nargs="?", type=Path, metavar="REPO", help="clone or bare mirror [default: this one]")
    parser.add_argument("--quick", action="store_true", help="end within a minute")
    parser.add_argument("--minimum-score", type=int, default=BuildConfig().minimum_score, metavar="POINTS")
    parser.add_argument("--only", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    try:
        found = _only(*given.only) if given.only else _everything(given.repo, given.quick, given.minimum_score)
    except JocoError as problem:
        print(f"benchmark_dataset: {problem.message}\n       {problem.hint}", file=sys.stderr)
        return problem.exit_code
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
