"""Two real ranks under `mlx.launch` learn what one process learns, and neither outlives the other."""

import json
import os
import re
import signal
import subprocess
import sys
import sysconfig
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from tiny_records import make_record

from joco_mlx.artifacts import open_artifact
from joco_mlx.config import TrainConfig
from joco_mlx.models.compute import mx
from joco_mlx.models.runs import open_run
from joco_mlx.train.run import train

LAUNCH = Path(sysconfig.get_path("scripts")) / "mlx.launch"
PROGRAM = Path(__file__).with_name("ranked_training.py")
MOST_SECONDS = 30.0
"""A rank may outlive another by this much."""


@pytest.fixture
def config(tiny_model, make_dataset, tmp_path):
    records = [make_record(number) for number in range(10)]
    return TrainConfig(
        model=str(tiny_model("qwen2", dtype="float32")), data=make_dataset(records[:7], records[7:]), steps=4,
        grad_accumulation=4, max_seq_length=512, learning_rate=1e-2, warmup_steps=1, rank=4, save_every=2, eval_every=2,
        backend="mlx",
    )  # fmt: skip


def launched(config, ranks=2, **environment):
    """Start the ranks; their output is one stream."""
    command = [LAUNCH, "--backend", "ring", "-n", str(ranks), "--starting-port", str(free_ports()), sys.executable]
    given = json.dumps(asdict(config), default=str)
    return subprocess.Popen(
        [*command, PROGRAM, given], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, **environment}, start_new_session=True,
    )  # fmt: skip


def free_ports():
    """A port that differs between processes that test at once."""
    return 20_000 + os.getpid() % 20_000


def losses(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line], [
        line["val_loss"] for line in lines if "val_loss" in line
    ]


def test_two_ranks_have_the_losses_of_one_process_and_only_the_first_writes(config, tmp_path):
    alone = train(replace(config, out=tmp_path / "alone"))
    output, _ = launched(replace(config, out=tmp_path / "two")).communicate(timeout=120)
    assert "finished 0" in output, output
    assert "finished 1" in output, output
    two = open_artifact(tmp_path / "two", "run", checked=True)
    for ours, theirs in zip(losses(two.folder), losses(alone.folder), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)
    tensors = [mx.load(str(run / "adapters" / "adapters.safetensors")) for run in (alone.folder, two.folder)]
    assert all(mx.allclose(tensors[1][name], array, atol=1e-4) for name, array in tensors[0].items())
    assert [segment["state"] for segment in open_run(two.folder).document["segments"]] == ["finished"]


def wait_for(output, pattern):
    """The first match in lines of a stream, and the lines before."""
    seen = []
    for line in output:
        seen.append(line)
        found = re.search(pattern, line)
        if found:
            return found
    raise AssertionError("".join(seen))


def test_a_killed_rank_ends_the_other_with_a_sentence(config, tmp_path):
    """Rank 1 is killed; `scripts/prove ranks` strikes either of them, at random moments."""
    slow = replace(config, out=tmp_path / "run", steps=10_000, eval_every=10_000, save_every=5)
    ranks = launched(slow)
    pids = {}
    while len(pids) < 2:
        found = wait_for(ranks.stdout, r"rank (\d) is process (\d+)")
        pids[int(found[1])] = int(found[2])
    while not list((tmp_path / "run" / "checkpoints").glob("step-*/position.json")):
        time.sleep(0.1)
    os.kill(pids[1], signal.SIGKILL)
    began = time.monotonic()
    output, _ = ranks.communicate(timeout=MOST_SECONDS)
    assert time.monotonic() - began < MOST_SECONDS
    assert re.search(r"Rank 1 \(.+\) ended without a word", output), output
    assert "--resume" in output
    assert not any(is_alive(pid) for pid in pids.values())
    document = open_run(tmp_path / "run").document
    assert document["state"] == "failed"
    assert "Rank 1" in document["problem"]


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
