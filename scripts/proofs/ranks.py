"""Proves that ranks learn what one process learns, under mlx.launch; then ranks are killed and stopped at random moments.

Compares the losses of two and four ranks with those of one process and the same batches; kills or stops a random rank and
takes the time until none is left; and goes on with a killed run, whose adapters must be those of an undisturbed one bit for
bit. Ends with 1 when anything differs, a rank is left, or the killed run was begun again in place of gone on with.
"""

import argparse
import json
import os
import random
import signal
import sys
import sysconfig
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO

from results import record
from tiny import tiny_model

from joco_mlx import process
from joco_mlx.artifacts import sha256
from joco_mlx.config import TrainConfig

MOST_SECONDS = 30.0
CONFIG = TrainConfig(
    steps=4, grad_accumulation=4, max_seq_length=256, rank=8, warmup_steps=1, save_every=1,
    eval_every=4, samples=0, backend="mlx",
)  # fmt: skip
PROGRAM = """\
import json, os, sys
from joco_mlx.config import TrainConfig, resolve
from joco_mlx.train.backends.dispatch import resume, train
print("rank", os.environ["MLX_RANK"], os.getpid(), flush=True)
given = json.loads(sys.argv[1])
resume(given) if isinstance(given, str) else train(resolve(TrainConfig, {}, environment={}, files={"the proof": given}))
print("ended in order", flush=True)
"""


@dataclass(frozen=True)
class Ended:
    """How a launch ended."""

    seconds: float
    """From the blow, or from the start when there was none."""
    output: str
    victim: int | None


def main() -> int:
    """Compare, strike, go on, and write the section."""
    parser = argparse.ArgumentParser(prog="scripts/prove ranks", description=__doc__)
    parser.add_argument("--model", help="base model; a tiny random one when not given")
    parser.add_argument("--blows", type=int, default=6, help="ranks that are killed or stopped (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "program.py").write_text(PROGRAM, "utf-8")
        config = replace(CONFIG, model=options.model or str(tiny_model(folder)))
        apart = {ranks: _compared(folder, config, ranks) for ranks in (2, 4)}
        told = [_struck(folder, config, number) for number in range(options.blows)]
        same = _resumed(folder, config)
    text = (
        "## Several ranks\n\n`scripts/prove ranks`: "
        f"{options.model or 'a tiny random model'}, four steps of four batches, ring backend, one Linux machine's CPU.\n\n| ranks | largest relative difference of a loss to one process |\n|---|---|\n"
        + "".join(f"| {ranks} | {difference:.1e} |\n" for ranks, difference in apart.items())
        + f"\n- ranks killed or stopped at random moments: {len(told)}; "
        f"**longest time until no rank was left: {max(told):.1f} s**\n"
        f"- adapters of a killed and resumed run: {'bit-identical' if same else '**different**'}"
    )
    print(text)
    if max(apart.values()) > 1e-5 or max(told) > MOST_SECONDS or not same:
        return 1
    record("ranks", text)
    return 0


def _compared(folder: Path, config: TrainConfig, ranks: int) -> float:
    """The largest relative difference of a loss between some ranks and one process."""
    alone = folder / "alone"
    if not alone.is_dir():
        _launched(folder, 1, _given(config, alone))
    _launched(folder, ranks, _given(config, folder / f"of-{ranks}"))
    pairs = zip(_losses(alone), _losses(folder / f"of-{ranks}"), strict=True)
    return max(abs(ours / one - 1) for one, ours in pairs)


def _struck(folder: Path, config: TrainConfig, number: int) -> float:
    """Kill or stop a rank; return the seconds until none was left."""
    chance = random.Random(number)  # noqa: S311  (moments, no secret)
    blow = signal.SIGSTOP if number % 3 == 2 else signal.SIGKILL
    long = replace(config, steps=1_000, out=folder / f"struck-{number}", eval_every=1_000)
    ended = _launched(folder, 2, asdict(long), blow=blow, chance=chance)
    if f"Rank {ended.victim}" not in ended.output or "--resume" not in ended.output:
        sys.exit(f"Nobody said what happened to rank {ended.victim}:\n{ended.output}")
    print(f"{blow.name} to rank {ended.victim}: {ended.seconds:.1f} s", flush=True)
    return ended.seconds


def _resumed(folder: Path, config: TrainConfig) -> bool:
    """Whether a run that is killed and gone on with ends in the adapters of an undisturbed one."""
    wanted = sha256(folder / "of-2" / "adapters" / "adapters.safetensors")
    broken = folder / "broken"
    _launched(folder, 2, _given(config, broken), blow=signal.SIGKILL, chance=random.Random(1))  # noqa: S311  (a moment)
    _launched(folder, 2, str(broken))
    begun = [part["from_step"] for part in json.loads((broken / "run.json").read_text("utf-8"))["segments"]]
    if not begun[-1]:  # one that begins again ends in the same adapters, too
        sys.exit(f"The run that should have gone on began again: {begun}")
    return sha256(broken / "adapters" / "adapters.safetensors") == wanted


def _launched(
    folder: Path, ranks: int, given: object, *, blow: signal.Signals | None = None, chance: random.Random | None = None
) -> Ended:
    """Start ranks and wait for their end; with a blow, strike one at a random moment after the first checkpoint."""
    launcher = Path(sysconfig.get_path("scripts")) / "mlx.launch"
    port = str(20_000 + (os.getpid() + time.monotonic_ns() // 10**9) % 20_000)
    words: list[str | Path] = [launcher, "--backend", "ring", "-n", str(ranks), "--starting-port", port]
    words += [sys.executable, folder / "program.py", json.dumps(given, default=str)]
    if ranks == 1:
        words = [sys.executable, folder / "program.py", json.dumps(given, default=str)]
    environment = {"MLX_RANK": "0"} if ranks == 1 else {}
    read, write = os.pipe()  # the launcher wants an input that never ends
    with os.fdopen(read, "rb") as silence, os.fdopen(write, "wb"), tempfile.TemporaryFile() as errors:
        with process.stream(words, stdin=silence, stderr=errors, env=environment) as child:
            seen: list[str] = []
            pids = _pids(child.stdout, ranks, seen)
            began, victim = time.monotonic(), None
            if blow is not None and chance is not None:
                _wait_for_checkpoint(given)
                time.sleep(chance.uniform(0, 3))
                victim, began = chance.randrange(ranks), time.monotonic()
                os.kill(pids[victim], blow)
            while any(_is_alive(pid) for rank, pid in pids.items() if rank != victim):
                time.sleep(0.05)
                if blow is not None and time.monotonic() - began > 2 * MOST_SECONDS:
                    sys.exit("A rank outlived another.")
            seconds = time.monotonic() - began
            if victim is not None:
                with suppress(ProcessLookupError):  # a stopped one must not be left behind
                    os.kill(pids[victim], signal.SIGKILL)
            seen += [line.decode() for line in child.stdout]
            child.wait()
        errors.seek(0)
        output = "".join(seen) + errors.read().decode()
    if blow is None and output.count("ended in order") != ranks:
        sys.exit(f"A training failed:\n{output}")
    return Ended(seconds, output, victim)


def _pids(lines: IO[bytes], ranks: int, seen: list[str]) -> dict[int, int]:
    """Rank -> process, as each of them says."""
    found: dict[int, int] = {}
    for line in lines:
        seen.append(line.decode())
        words = seen[-1].split()
        if words[:1] == ["rank"]:
            found[int(words[1])] = int(words[2])
        if len(found) == ranks:
            return found
    sys.exit("".join(seen))


def _wait_for_checkpoint(given: object) -> None:
    assert isinstance(given, dict)
    while not list(Path(given["out"]).glob("checkpoints/step-*/position.json")):
        time.sleep(0.05)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _given(config: TrainConfig, out: Path) -> dict[str, object]:
    return asdict(replace(config, out=out))


def _losses(run: Path) -> list[float]:
    lines = map(json.loads, (run / "metrics.jsonl").read_text("utf-8").splitlines())
    return [line[name] for line in lines for name in ("loss", "val_loss") if name in line]


if __name__ == "__main__":
    sys.exit(main())
