"""Ends that nobody planned: killed at any moment, a disk that fills up. No broken file may have the final name."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from joco_mlx.errors import MachineError
from joco_mlx.gguf.card import Card
from joco_mlx.gguf.export import export
from joco_mlx.gguf.verify import verify
from joco_mlx.merge import open_weights

CARD = Card("joco", "<|im_end|>")
KILLS = 20
FOREVER = """
import sys
from pathlib import Path
from joco_mlx.gguf.card import Card
from joco_mlx.gguf.export import export
from joco_mlx.merge import open_weights

folder, out = map(Path, sys.argv[1:])
print("ready", flush=True)
while True:
    export(open_weights(folder), folder, out, quantization="q4_k_m", card=Card("joco", "<|im_end|>"), force=True)
    print("written", flush=True)
"""


@pytest.fixture
def model(tiny_model: Callable[..., Path]) -> Path:
    return tiny_model("qwen2", hidden=256, intermediate=512, layers=4)


def test_killed_at_any_moment_no_broken_file_has_the_name(model: Path, tmp_path: Path) -> None:
    moments = random.Random(5)
    whole = 0
    for number in range(KILLS):
        out = tmp_path / "joco.gguf"
        command = [sys.executable, "-c", FOREVER, str(model), str(out)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            child.stdout.readline()
            if number % 2:  # a busy machine may need longer for the first file than any moment lasts
                child.stdout.readline()
            time.sleep(moments.uniform(0, 0.4))
            child.send_signal(signal.SIGKILL)
        if out.exists():
            assert verify(out, model, card=CARD).problems == ()
            whole += 1
            out.unlink()
    assert whole > 0
    assert all(left.name.startswith(".joco.gguf.") and left.suffix == ".part" for left in tmp_path.iterdir())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = (
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)], capture_output=True, check=False
        )
        if sys.platform == "linux" and os.geteuid() == 0
        else None
    )
    if mounted is None or mounted.returncode:
        pytest.skip("a small disk cannot be mounted here: that takes Linux, and root's rights")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("known", [True, False], ids=["room asked for", "room taken on the way"])
def test_a_disk_that_fills_up_ends_in_one_sentence(
    known: bool, model: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not known:  # another program takes the room after it was asked for
        monkeypatch.setattr("joco_mlx.artifacts.require_disk", lambda *_: None)
    with pytest.raises(MachineError) as told:
        export(open_weights(model), model, small_disk / "joco.gguf", quantization="q4_k_m", card=CARD)
    assert ("GB free" in told.value.message) if known else ("No space left on device" in told.value.message)
    assert "\n" not in told.value.message
    assert list(small_disk.iterdir()) == []
