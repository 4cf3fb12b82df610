"""The tracker's files hold the run's figures: written by the real library, read by the format's own rules."""

import json
import struct
import sys

import pytest
from tiny_records import make_record

from joco_mlx.artifacts import open_artifact
from joco_mlx.errors import MachineError, StoppedError
from joco_mlx.progress import Silent
from joco_mlx.train.run import resume, train
from joco_mlx.train.tracker import FOLDER


@pytest.fixture
def config(tiny_config):
    return tiny_config(
        [make_record(number) for number in range(4)],
        [make_record(9)],
        steps=4,
        save_every=1,
        eval_every=2,
        samples=0,
        tracker="tensorboard",
    )


def events(folder):
    """Each event of each file, oldest file first. Format: TFRecord (length, its CRC, data, its CRC) around Event."""
    from tensorboardX.proto.event_pb2 import Event

    for file in sorted((folder / FOLDER).iterdir(), key=lambda path: path.name):
        data, at = file.read_bytes(), 0
        while at < len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            yield Event.FromString(data[at + 12 : at + 12 + length])
            at += 12 + length + 4


def points(folder):
    """(curve, step) -> value."""
    return {
        (value.tag, event.step): value.simple_value
        for event in events(folder)
        for value in event.summary.value
        if value.HasField("simple_value")
    }


def test_every_figure_of_the_metrics_is_a_point(config):
    train(config)
    shown = points(config.out)
    for line in map(json.loads, (config.out / "metrics.jsonl").read_text().splitlines()):
        split = "validation" if "val_loss" in line else "training"
        for name, value in line.items():
            if name != "step":
                key = f"{split}/{name.removeprefix('val_')}", line["step"]
                assert shown.pop(key) == pytest.approx(value)
    assert not shown
    assert not any(FOLDER in name for name in open_artifact(config.out, "run", checked=True).manifest.files)


def test_going_on_hides_what_came_after_the_checkpoint(config, monkeypatch):
    class Stopping(Silent):
        def start(self, title, total=None, unit=""):
            if title == "Validating":
                raise KeyboardInterrupt
            return super().start(title, total, unit)

    with pytest.raises((KeyboardInterrupt, StoppedError)):
        train(config, progress=Stopping())
    resume(config.out)
    starts = [event.step for event in events(config.out) if event.session_log.status == 1]
    assert starts == [2]  # of the second process: it took step 2 again
    assert {step for _, step in points(config.out)} == {1, 2, 3, 4}


def test_without_the_package_nothing_begins(config, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(MachineError, match="needs tensorboardX") as problem:
        train(config)
    assert problem.value.hint == "Install it: pip install 'joco-mlx[tensorboard]'"
    assert not config.out.exists()
