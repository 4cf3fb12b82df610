"""Proves that a training run killed at any moment ends with the bytes of one that was never killed.

A tiny model is trained in a process that gets SIGKILL after a random number of steps and a random moment more, and is
gone on with by `joco-mlx train --resume`, again and again. Then the same, with the newest checkpoint cut short after each
kill. Ends with 1 when one byte of the final adapters differs, or when a process does not go on from the newest whole
checkpoint: training is deterministic, so that one which begins again ends in the same bytes.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from results import ROOT, record

sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "train")]

from models_fixture import make_model  # type: ignore[import-not-found]  # noqa: E402  (found by the line above)
from tiny_records import make_record  # type: ignore[import-not-found]  # noqa: E402  (found by the line above)

from joco_mlx import process  # noqa: E402  (the imports above come first)
from joco_mlx.artifacts import seal, sha256  # noqa: E402  (the imports above come first)
from joco_mlx.commit.record import write_records  # noqa: E402  (the imports above come first)

KILLS = 30
DAMAGES = 5
STEPS = 600
SAVE_EVERY = 3
MOST_STEPS = 4
"""Between two kills, before the random moment; a quick machine takes some ten more in that."""
LONGEST_MOMENT_SECONDS = 0.3
TIMES = {"seconds", "tokens_per_second", "peak_bytes"}


@dataclass
class Killed:
    """What happened to one run."""

    kills: int = 0
    damaged: int = 0
    beginnings: int = 0
    """Segments that run.json lists."""


def main() -> int:
    """Train once undisturbed, once with kills, once with kills and damage; compare; write the section."""
    parser = argparse.ArgumentParser(prog="scripts/prove kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=KILLS, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: %(default)s)")
    given = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        command = prepared(Path(scratch), STEPS)
        unbroken, killed, damaged = (Path(scratch) / name for name in ("unbroken", "killed", "damaged"))
        finish([*command, "--out", str(unbroken)])
        moments = random.Random(given.seed)  # noqa: S311  (moments, not secrets)
        first = survive(command, killed, given.kills, moments, steps=(0, MOST_STEPS))
        second = survive(command, damaged, DAMAGES, moments, steps=(SAVE_EVERY + 1, 12), damage=True)
        equal = [same(unbroken, other) for other in (killed, damaged)]
    text = report(first, second, equal, time.monotonic() - began)
    record("kills", text)
    print(text)
    return 0 if all(equal) else 1


def prepared(folder: Path, steps: int) -> list[str]:
    """Make a model and a dataset in `folder`; return the command that trains on them, without `--out`."""
    model, data = folder / "model", folder / "data"
    make_model(model, "qwen2", dtype="float32", layers=1)
    data.mkdir()
    files = []
    for split, numbers in (("train", range(7)), ("validation", range(7, 9)), ("test", range(0))):
        files.append(data / f"{split}.jsonl")
        with files[-1].open("wb") as file:
            write_records(file, [make_record(number) for number in numbers])
    seal(data, "dataset", config={}, parents={}, files=files)
    settings: dict[str, Any] = {
        "model": model, "data": data, "steps": steps, "grad-accumulation": 2, "max-seq-length": 512, "rank": 4,
        "dropout": 0.1, "learning-rate": 0.01, "save-every": SAVE_EVERY, "eval-every": 4,
    }  # fmt: skip
    options = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    return [sys.executable, "-m", "joco_mlx", "train", "--no-supervise", *options]


def survive(
    command: list[str],
    out: Path,
    kills: int,
    moments: random.Random,
    *,
    steps: tuple[int, int],
    damage: bool = False,
) -> Killed:
    """Train into `out` and kill it `kills` times, after a number of steps drawn from `steps`; then let it finish."""
    told = Killed()
    while told.kills < kills:
        reached = newest_whole(out)
        begun = [*command, "--out", str(out)]
        if (out / "run.json").is_file():
            begun = resumed(out)
        elif out.exists():
            shutil.rmtree(out)  # killed before it had a name
        with tempfile.TemporaryFile() as complaints, process.converse(begun, stderr=complaints) as child:
            wait_for_steps(child, out, moments.randint(*steps))
            time.sleep(moments.uniform(0, LONGEST_MOMENT_SECONDS))
            if child.poll() is not None:
                complaints.seek(0)
                sys.exit(f"The run ended by itself after {told.kills} kills: {complaints.read().decode()[-500:]}")
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
        require_begun(out, reached)
        told.kills += 1
        told.damaged += damage and cut_newest(out, moments)
    reached = newest_whole(out)
    finish(resumed(out))
    require_begun(out, reached)
    told.beginnings = len(list(segments(out)))
    return told


def resumed(out: Path) -> list[str]:
    """Return the command that goes on with a run."""
    return [sys.executable, "-m", "joco_mlx", "train", "--no-supervise", "--resume", str(out)]


def finish(command: list[str]) -> None:
    """Run to the end; leave with its complaint when it fails."""
    done = process.run(command)
    if done.code:
        sys.exit(f"The run failed: {done.complaint}")


def wait_for_steps(child: process.Child, out: Path, steps: int) -> None:
    """Return when the run that `child` works on has taken `steps` more steps, or has ended."""
    segment = None
    while child.poll() is None and segment is None:
        time.sleep(0.02)
        segment = next((part for part in segments(out) if part["process"] == child.pid), None)
    while child.poll() is None and segment and last_step(out) < segment["from_step"] + steps:
        time.sleep(0.005)


def segments(out: Path) -> Iterator[dict[str, Any]]:
    """Yield the segments of a run; none before it has a run.json."""
    if (out / "run.json").is_file():
        yield from json.loads((out / "run.json").read_text("utf-8"))["segments"]


def newest_whole(out: Path) -> int:
    """Return the step of a run's newest checkpoint whose files have their digests; 0 when there is none."""
    for checkpoint in sorted((out / "checkpoints").glob("step-*"), reverse=True):
        with suppress(ValueError):  # the position itself may be cut
            position = json.loads((checkpoint / "position.json").read_bytes())
            if all(sha256(checkpoint / name) == digest for name, digest in position["files"].items()):
                return int(position["step"])
    return 0


def require_begun(out: Path, step: int) -> None:
    """Leave when the last segment of a run did not begin at `step`, that of its newest whole checkpoint."""
    begun = [part["from_step"] for part in segments(out)][-1]
    if begun != step:
        sys.exit(f"A process began at step {begun}, not at its newest whole checkpoint, of step {step}.")


def last_step(out: Path) -> int:
    """Return the step of the last whole line of metrics.jsonl."""
    text = (out / "metrics.jsonl").read_text("utf-8")
    lines = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
    return int(json.loads(lines[-1])["step"]) if lines else 0


def cut_newest(out: Path, moments: random.Random) -> bool:
    """Cut a file of the newest checkpoint somewhere; return whether there was one."""
    newest = sorted((out / "checkpoints").glob("step-*"))[-1:]
    for checkpoint in newest:
        file = moments.choice(sorted(checkpoint.iterdir()))
        os.truncate(file, moments.randrange(file.stat().st_size))
    return bool(newest)


def same(unbroken: Path, other: Path) -> bool:
    """Whether two finished runs have the same adapters to the byte, and the same metrics but for times."""
    files = [folder / "adapters" / "adapters.safetensors" for folder in (unbroken, other)]
    return sha256(files[0]) == sha256(files[1]) and metrics(unbroken) == metrics(other)


def metrics(folder: Path) -> list[dict[str, Any]]:
    """Return metrics.jsonl without what depends on the machine's mood."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text("utf-8").splitlines()]
    return [{name: value for name, value in line.items() if name not in TIMES} for line in lines]


def report(first: Killed, second: Killed, equal: list[bool], seconds: float) -> str:
    """Return the section."""
    words = ["bit-identical" if one else "**different**" for one in equal]
    return f"""## Runs that are killed

`scripts/prove kills`: a tiny Qwen2 with dropout, {STEPS} steps, a checkpoint every {SAVE_EVERY}, a validation every 4. Each
process gets SIGKILL after a random number of its steps and up to {LONGEST_MOMENT_SECONDS:g} s more; `joco-mlx train --resume`
goes on, each time from the newest whole checkpoint. Compared with the same run undisturbed: adapters.safetensors to the
byte, metrics.jsonl but for times.

| | kills | processes | final adapters and metrics |
|---|---:|---:|---|
| killed | {first.kills} | {first.beginnings} | {words[0]} |
| killed, and {second.damaged} times the newest checkpoint cut short | {second.kills} | {second.beginnings} | {words[1]} |

Took {seconds:,.0f} s on CPU."""


if __name__ == "__main__":
    sys.exit(main())
