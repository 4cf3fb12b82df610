"""Proves that damaged models, tokenizers and adapters end an export with a sentence: no traceback, no hang, no flood.

Safetensors headers, config.json, tokenizer.json and adapter_config.json are damaged by meaning (strange values, keys
gone or renamed) and by bytes. Every kind runs in a process that may not hold more than a gigabyte more than it has to,
and not longer than its time. Ends with 1 when one of them dies.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from results import ROOT, record

sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "gguf")]

from adapter_fixture import random_adapter  # type: ignore[import-not-found]  # noqa: E402  (found by the line above)
from models_fixture import make_model  # type: ignore[import-not-found]  # noqa: E402  (found by the line above)
from mutators import TARGETS, attack  # type: ignore[import-not-found]  # noqa: E402  (found by the line above)

MUTATIONS = 2_000
ROOM_BYTES = 1 << 30
SECONDS_EACH = 2.0
Ends = dict[str, dict[str, Any]]


def main() -> int:
    """Let a process for each kind of file damage it, and write the section."""
    parser = argparse.ArgumentParser(prog="scripts/prove gguf_fuzz", description=__doc__)
    parser.add_argument("--mutations", type=int, default=MUTATIONS, help="how many in all (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the damage (default: %(default)s)")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    each = -(-given.mutations // len(TARGETS))
    if given.child:
        folder, target = given.child
        attacked(Path(folder), target, each, given.seed)
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        ends = {target: survive(Path(scratch) / target, target, each, given.seed) for target in TARGETS}
    text = "\n".join(section(ends, each))
    print(text)
    if given.mutations >= MUTATIONS:
        record("gguf_fuzz", text)
    return 1 if any(end["died"] for end in ends.values()) else 0


def survive(folder: Path, target: str, count: int, seed: int) -> dict[str, Any]:
    """Make a small model with an adapter, and let a process of its own damage it."""
    base = make_model(folder / "model", "qwen2", quantised={"group_size": 32, "bits": 4}, layers=1)
    random_adapter(base, folder / "adapter")
    command = [sys.executable, __file__, "--mutations", str(count * len(TARGETS)), "--seed", str(seed)]
    command += ["--child", str(folder), target]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60 + SECONDS_EACH * count)
    except subprocess.TimeoutExpired:
        return {"died": f"did not end within {60 + SECONDS_EACH * count:.0f} s"}
    if done.returncode:
        return {"died": done.stderr.strip()[-2_000:] or f"exit code {done.returncode}"}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found | {"died": ""}


def attacked(folder: Path, target: str, count: int, seed: int) -> None:
    """Damage under a limit on the address space; print how it ended."""
    attack(folder, target, 1, "warm")  # everything is imported, and the threads have their stacks
    status = Path("/proc/self/statm")
    if status.is_file():
        held = int(status.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + ROOM_BYTES, held + ROOM_BYTES))
    found = attack(folder, target, count, seed)
    figures = {"files": found.files, "told": found.told.total(), "sentences": len(found.told)}
    print(json.dumps(figures | {"slowest": found.slowest_seconds, "grown": found.grown_bytes}))


def section(ends: Ends, each: int) -> Iterator[str]:
    """Yield the lines of the section."""
    yield "## Damaged inputs of a GGUF export\n"
    yield f"`scripts/prove gguf_fuzz`: {each * len(ends):,} exports from a small Qwen2 with an adapter, one file damaged in each."
    yield f"Every process may hold {ROOM_BYTES >> 30} GB more than a first export left it with.\n"
    yield "| damaged | exports | told | different sentences | harmless | died | slowest | memory grew by |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|"
    for target, end in ends.items():
        if end["died"]:
            yield f"| {target} | {each} | | | | **yes** | | |"
            continue
        yield (
            f"| {target} | {each} | {end['told']} | {end['sentences']} | {end['files']} | 0 | {end['slowest']:.2f} s "
            f"| {end['grown'] / 1e6:.0f} MB |"
        )
    for target, end in ends.items():
        if end["died"]:
            yield f"\n{target}: `{end['died']}`"


if __name__ == "__main__":
    sys.exit(main())
