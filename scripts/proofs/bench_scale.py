"""Proves that a benchmark of 2,000 cases with a baseline takes less than a minute, flat memory, and the same bytes twice.

Each run is the command line in a process of its own, on made-up commits; the system tells the seconds and the largest
memory of that process. The minute is of processor time, because other work may share the machine. Ends with 1 when something is not so.
"""

import argparse
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from results import ROOT, record

sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "bench")]

from bench_records import record as made_up  # type: ignore[import-not-found]  # noqa: E402  (found by the line above)

from joco_mlx.commit.record import write_records  # noqa: E402  (the imports above come first)

CASES, FEW = 2_000, 200
TRAIN = 400
BASELINES = ("paths", "tfidf", "neighbour")
MOST_SECONDS = 60
MOST_MORE_BYTES = 150_000_000
"""Of 2,000 cases over 200: their texts, read and judged, and nothing that grows faster."""


@dataclass(frozen=True)
class Measured:
    """One process."""

    seconds: float
    """On the wall, with whatever else the machine did."""
    processor_seconds: float
    peak_bytes: int


def main() -> int:
    """Run each baseline on few and on many cases, the many twice; write the section."""
    argparse.ArgumentParser(prog="scripts/prove bench_scale", description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name, numbers in (("few", range(FEW)), ("many", range(CASES)), ("train", range(CASES, CASES + TRAIN))):
            with (folder / f"{name}.jsonl").open("wb") as file:
                write_records(file, [made_up(number) for number in numbers])
        found = [row(folder, name) for name in BASELINES]
    text = "\n".join([HEAD, *(line for line, _ in found)])
    record("bench_scale", text)
    print(text)
    return 0 if all(holds for _, holds in found) else 1


HEAD = f"""## A benchmark of {CASES:,} cases

`scripts/prove bench_scale`: made-up commits, a process for each run, its leak check included where it learns.

| baseline | processor seconds | on the wall | peak memory | of {FEW} cases | run again |
|---|---:|---:|---:|---:|---|"""


def row(folder: Path, name: str) -> tuple[str, bool]:
    """Return a baseline's line, and whether everything in it is as it should be."""
    few, many, again = (
        measured(folder, name, cases, f"{name}-{number}") for number, cases in enumerate(("few", "many", "many"))
    )
    equal = contents(folder / f"{name}-1") == contents(folder / f"{name}-2")
    more = many.peak_bytes - few.peak_bytes
    holds = equal and max(many.processor_seconds, again.processor_seconds) < MOST_SECONDS and more < MOST_MORE_BYTES
    words = "the same bytes" if equal else "**other bytes**"
    peak, less = (f"{one.peak_bytes / 1e6:,.0f} MB" for one in (many, few))
    return f"| {name} | {many.processor_seconds:.1f} | {many.seconds:.1f} | {peak} | {less} | {words} |", holds


def measured(folder: Path, name: str, cases: str, out: str) -> Measured:
    """Run one benchmark in a process of its own."""
    words = ["--model", f"baseline:{name}", "--cases", str(folder / f"{cases}.jsonl"), "--out", str(folder / out)]
    train = [] if name == "paths" else ["--train", str(folder)]
    began = time.monotonic()
    child = os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "joco_mlx", "bench", "run", *words, *train, "--json"],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
    )
    _, status, usage = os.wait4(child, 0)
    if os.waitstatus_to_exitcode(status):
        sys.exit(f"The run of baseline:{name} failed.")
    unit = 1 if sys.platform == "darwin" else 1_024
    return Measured(time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit)


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file of a run but its timings."""
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name != "timings.jsonl"}


if __name__ == "__main__":
    sys.exit(main())
