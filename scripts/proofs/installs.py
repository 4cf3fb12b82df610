"""Proves that every extra of the Linux path resolves today, without a step back to an old release.

A resolver that cannot have the newest of two packages together takes an old one of either without a word: Unsloth without
a floor resolves to a release of the year before. So each set is resolved for Linux on x86-64 and named packages must be
no older than what this tool was written against. Needs the package index. Ends with 1 when a set does not resolve, or
steps back.
"""

import argparse
import re
import sys
from dataclasses import dataclass

from results import ROOT, record

from joco_mlx import process
from joco_mlx.train.backends.machine import numbers
from joco_mlx.train.backends.verdicts import SUPPORTED

SETS: dict[str, tuple[str, ...]] = {
    "cuda": ("torch", "transformers", "trl", "peft", "bitsandbytes", "datasets", "accelerate", "mlx", "mlx-lm"),
    "unsloth": ("torch", "unsloth", "unsloth-zoo", "transformers", "trl", "peft", "bitsandbytes", "mlx", "mlx-lm"),
    "mlx-cuda": ("mlx", "mlx-cuda-13", "mlx-lm"),
}
"""Extra -> packages that must not step back."""
FLOORS = {
    **{name: first for name, (first, _end) in SUPPORTED.items()},
    "torch": "2.13",
    "datasets": "4.8",
    "accelerate": "1.15",
    "unsloth-zoo": "2026.10",
    "mlx-cuda-13": "0.32.4",
}
PYTHON, PLATFORM = "3.12", "x86_64-manylinux_2_35"
_LONGEST_SECONDS = 600.0


@dataclass(frozen=True)
class Resolved:
    """What became of one extra."""

    extra: str
    packages: dict[str, str]
    """Package -> version, those of SETS alone."""
    complaints: list[str]


def main() -> int:
    """Resolve every set and write the section."""
    argparse.ArgumentParser(prog="scripts/prove installs", description=__doc__).parse_args()
    found = [resolved(extra) for extra in SETS]
    text = report(found)
    record("installs", text)
    print(text)
    return 1 if any(one.complaints for one in found) else 0


def resolved(extra: str) -> Resolved:
    """Resolve one extra, and say what is wrong with what came out."""
    where = ("--python-version", PYTHON, "--python-platform", PLATFORM, ROOT / "pyproject.toml")
    command = ("uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--extra", extra, *where)
    done = process.run(command, timeout_seconds=_LONGEST_SECONDS)
    if done.code:
        return Resolved(extra, {}, [f"does not resolve: {done.complaint}"])
    versions = dict(re.findall(r"^([\w.-]+)==(\S+)", done.stdout.decode(), re.MULTILINE))
    named = {name: versions[name] for name in SETS[extra] if name in versions}
    return Resolved(extra, named, list(steps_back(extra, named)))


def steps_back(extra: str, versions: dict[str, str]) -> list[str]:
    """Return what is missing or older than its floor."""
    complaints = []
    for name in SETS[extra]:
        if name not in versions:
            complaints.append(f"{name} is not in it")
        elif numbers(versions[name]) < numbers(FLOORS[name]):
            complaints.append(f"{name} went back to {versions[name]}, and {FLOORS[name]} is the oldest that is meant")
    return complaints


def report(found: list[Resolved]) -> str:
    """Return the section."""
    lines = []
    for one in found:
        packages = ", ".join(f"{name} {version}" for name, version in one.packages.items())
        lines.append(f"| `{one.extra}` | {packages} | {'; '.join(one.complaints) or 'none'} |")
    table = "\n".join(lines)
    return f"""## What the extras of the Linux path resolve to

`scripts/prove installs`, by uv for Python {PYTHON} on {PLATFORM}. Nothing was installed.

| extra | packages | steps back |
|---|---|---|
{table}"""


if __name__ == "__main__":
    sys.exit(main())
