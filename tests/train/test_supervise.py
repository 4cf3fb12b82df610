"""A run survives the death of its process: with less memory when it died of memory, else once."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_records import make_record

from joco_mlx.errors import ConflictError, InputError, MachineError
from joco_mlx.models.runs import open_run
from joco_mlx.progress import Silent
from joco_mlx.train import footprint, supervise

LONG = "diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -0,0 +1,400 @@\n" + "+    value = 1\n" * 400


class Notes(Silent):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


@pytest.fixture
def config(tiny_config):
    return tiny_config([make_record(number) for number in range(4)], [make_record(9)], steps=2, save_every=1)


@pytest.mark.parametrize(
    ("code", "share", "kills", "expected"),
    [
        (-signal.SIGSEGV, 0.95, 0, True),
        (-signal.SIGABRT, 0.9, 0, True),
        (-signal.SIGABRT, 0.89, 0, False),
        (-signal.SIGKILL, 0.2, 1, True),
        (-signal.SIGKILL, 0.99, 0, False),
        (-signal.SIGTERM, 0.99, 1, False),
        (1, 0.99, 1, False),
    ],
)
def test_what_counts_as_a_death_of_memory(code, share, kills, expected):
    assert footprint.died_of_memory(code, share, kills) is expected


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (MemoryError(), True),
        (RuntimeError("[malloc] Unable to allocate 1073741824 bytes."), True),
        (RuntimeError("[metal::malloc] Attempting to allocate 20 bytes which is greater than the maximum"), True),
        (RuntimeError("[METAL] Command buffer execution failed: Insufficient Memory (00000008:kIOGPU)."), True),
        (RuntimeError("cudaMallocAsync(&data, size, stream) failed: out of memory"), True),
        (RuntimeError("[matmul] Last dimension of first input does not match."), False),
        (ValueError("out of memory"), False),
    ],
    ids=["python", "malloc", "metal's largest buffer", "metal", "cuda", "another", "not of mlx"],
)
def test_which_exceptions_say_that_memory_is_out(problem, expected):
    assert footprint.is_out_of_memory(problem) is expected


@pytest.mark.parametrize(
    ("groups", "file", "text", "expected"),
    [
        ("0::/user\n", "user/memory.events", "low 0\noom 3\noom_kill 2\n", 2),
        ("0::/elsewhere\n", "memory.events", "oom_kill 4\n", 4),
        ("9:cpu:/x\n3:memory:/job\n", "memory/job/memory.oom_control", "under_oom 0\noom_kill 5\n", 5),
        ("9:cpu:/x\n", "memory/x/memory.oom_control", "oom_kill 5\n", 0),
    ],
    ids=["v2", "v2 in a container", "v1", "other controllers"],
)
def test_kills_are_read_from_the_control_group(tmp_path, groups, file, text, expected):
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(text)
    (tmp_path / "groups").write_text(groups)
    assert footprint.kill_count(tmp_path / "groups", tmp_path) == expected


def test_without_control_groups_nobody_was_killed(tmp_path):
    assert footprint.kill_count(tmp_path / "none", tmp_path) == 0


def test_a_supervised_run_shows_the_same_and_is_sealed(config):
    notes = Notes()
    made = supervise.train(config, progress=notes)
    assert made.folder == config.out
    run = open_run(config.out)
    assert run.is_finished
    assert [segment["reason"] for segment in run.document["segments"]] == ["begun"]
    assert run.document["process"] != os.getpid()
    assert any(note.startswith("4 records of 1 repository") for note in notes.notes)


def test_an_error_over_there_is_the_same_error_here(config):
    with pytest.raises(InputError, match="no model named 'no-such-model'") as problem:
        supervise.train(replace(config, model="no-such-model"))
    assert problem.value.hint
    config.out.mkdir()
    with pytest.raises(ConflictError, match="exists already"):
        supervise.train(config)


def dying(monkeypatch, *deaths):
    """Let the training processes be programs that do as told, one after another."""
    commands = iter(
        [(sys.executable, "-c", "import os, signal, sys; sys.stdin.readline()\n" + text) for text in deaths]
    )
    real = supervise.process.converse
    monkeypatch.setattr(supervise.process, "converse", lambda _, stderr: real(next(commands), stderr=stderr))


ABORT = "os.kill(os.getpid(), signal.SIGABRT)"


def tell(event, **content):
    return f"print({json.dumps({'event': event, **content})!r}, flush=True)\n"


RAISES = """
import sys
from joco_mlx.train import child
def work(job, pipe):
    pipe.send("begun", folder="/nowhere", smaller=1)
    raise RuntimeError(sys.argv[1])
child._done = work
sys.exit(child.main())
"""


@pytest.mark.parametrize(
    ("said", "noted"),
    [
        ("[malloc] Unable to allocate 1073741824 bytes.", "Training ran out of memory (SIGABRT at 100% of its memory)"),
        ("[matmul] Shapes do not match.", "The training process died (RuntimeError: [matmul] Shapes do not match.)"),
    ],
    ids=["of memory", "of anything else"],
)
def test_a_gpu_may_say_in_an_exception_that_it_has_no_memory(config, monkeypatch, said, noted):
    real = supervise.process.converse
    commands = iter([(sys.executable, "-c", RAISES, said), (sys.executable, "-c", tell("interrupted"))])
    monkeypatch.setattr(supervise.process, "converse", lambda _, stderr: real(next(commands), stderr=stderr))
    notes = Notes()
    with pytest.raises(KeyboardInterrupt):
        supervise.train(config, progress=notes)
    (note,) = notes.notes
    assert note.startswith(noted)


def test_any_other_death_is_forgiven_once(config, monkeypatch):
    dying(monkeypatch, ABORT, "sys.exit('boom')")
    notes = Notes()
    with pytest.raises(MachineError, match="died twice, the second time of this: boom") as problem:
        supervise.train(config, progress=notes)
    assert notes.notes == ["The training process died (SIGABRT at 0% of its memory). Starting it once more."]
    assert "--no-supervise" in problem.value.hint


def test_memory_plans_get_smaller_until_there_is_none(config, monkeypatch):
    config.out.mkdir()
    (config.out / "run.json").write_text('{"state": "running"}')

    def lives(smaller):
        return tell("begun", folder=str(config.out), smaller=smaller) + tell("memory", share=0.97) + ABORT

    dying(monkeypatch, lives(2), lives(1), lives(0))
    notes = Notes()
    with pytest.raises(MachineError, match="ran out of memory with the smallest plan"):
        supervise.resume(config.out, progress=notes)
    assert len(notes.notes) == 2
    assert json.loads((config.out / "run.json").read_text())["state"] == "failed"


def test_a_half_written_message_of_a_dying_process_is_left_out(config, monkeypatch):
    dying(monkeypatch, tell("memory", share=0.5) + "sys.stdout.write('{\"eve')", tell("interrupted"))
    with pytest.raises(KeyboardInterrupt):
        supervise.train(config)


MEASURE = """
import re, sys
from pathlib import Path
from joco_mlx.config import TrainConfig
from joco_mlx.train.run import Orders, train
model, data, out = sys.argv[1:]
train(TrainConfig(model=model, data=Path(data), out=Path(out), steps=1, grad_accumulation=1, batch_size=2,
                  max_seq_length=768), orders=Orders(smaller_by=2))
print(re.search(r"VmData:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="macOS has no limit on a process's data")
def test_a_run_killed_for_memory_ends_with_a_smaller_plan(tiny_model, make_dataset, tmp_path):
    """The limit is real: what the smallest plan needs and 80 MB, where the largest takes 250 MB more."""
    model = tiny_model("qwen2", dtype="float32", layers=24)
    data = make_dataset([make_record(number, diff=LONG) for number in range(4)])
    measured = [sys.executable, "-c", MEASURE, model, data, tmp_path / "smallest"]
    needed = int(subprocess.run(measured, check=True, capture_output=True, text=True).stdout) * 1024
    limit = needed + 80_000_000
    out = tmp_path / "run"
    words = ["--model", model, "--data", data, "--out", out, "--steps", "1", "--batch-size", "2"]
    done = subprocess.run(
        [sys.executable, "-m", "joco_mlx", "train", *words, "--grad-accumulation", "1", "--max-seq-length", "768"],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit, limit)),
    )
    assert done.returncode == 0, done.stderr
    assert "Training ran out of memory (SIG" in done.stderr
    run = open_run(out)
    assert run.is_finished
    first, *_, last = run.document["segments"]
    assert first["memory_plan"] == "none"
    assert first["state"] == "running"
    assert last["memory_plan"] != "none"
    assert last["reason"].startswith("out of memory: SIG")


@pytest.fixture
def at_work(config):
    """A supervising process whose run has taken its first step, and the process that trains."""
    words = ["--model", config.model, "--data", config.data, "--out", config.out, "--steps", "5000", "--rank", "4"]
    command = [sys.executable, "-m", "joco_mlx", "train", *words, "--max-seq-length", "512", "--eval-every", "5000"]
    parent = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    wait(lambda: (config.out / "metrics.jsonl").is_file() and (config.out / "metrics.jsonl").read_text().count("\n"))
    yield parent, json.loads((config.out / "run.json").read_text())["segments"][-1]["process"]
    parent.kill()
    parent.communicate()


def wait(true, seconds=90):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def is_alive(process):
    status = Path(f"/proc/{process}/stat")
    if sys.platform == "linux":
        return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"
    return subprocess.run(["ps", "-p", str(process)], capture_output=True, check=False).returncode == 0


def test_ctrl_c_reaches_the_child_once_and_both_end(config, at_work):
    parent, child = at_work
    parent.send_signal(signal.SIGINT)
    _, said = parent.communicate(timeout=90)
    assert parent.returncode == 130
    assert f"Go on: joco-mlx train --resume {config.out}" in said
    assert not is_alive(child)
    assert open_run(config.out).state == "interrupted"


def test_when_the_parent_is_killed_the_child_saves_and_ends(config, at_work):
    parent, child = at_work
    parent.kill()
    wait(lambda: not is_alive(child))
    assert open_run(config.out).state == "interrupted"
    assert list((config.out / "checkpoints").glob("step-*"))


def test_when_the_child_is_killed_the_run_goes_on(config, at_work):
    parent, child = at_work
    os.kill(child, signal.SIGKILL)
    wait(lambda: len(open_run(config.out).document["segments"]) == 2)
    parent.send_signal(signal.SIGINT)
    _, said = parent.communicate(timeout=90)
    assert "The training process died (SIGKILL" in said
    assert open_run(config.out).document["segments"][1]["reason"].startswith("died: SIGKILL")
