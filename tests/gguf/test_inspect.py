"""`joco-mlx gguf inspect` on a real file."""

import json
from collections.abc import Callable
from pathlib import Path

from typer.testing import CliRunner

from joco_mlx.cli.main import app
from joco_mlx.gguf.card import Card
from joco_mlx.gguf.export import export
from joco_mlx.merge import open_weights


def test_inspect_shows_metadata_and_tensors(tiny_model: Callable[..., Path], tmp_path: Path) -> None:
    folder, file = tiny_model("qwen2"), tmp_path / "joco.gguf"
    export(open_weights(folder), folder, file, quantization="q4_k_m", card=Card("joco", "<|im_end|>"))
    shown = CliRunner().invoke(app, ["gguf", "inspect", str(file)])
    assert shown.exit_code == 0
    assert any(line.split()[:2] == ["general.architecture", "qwen2"] for line in shown.stdout.splitlines())
    assert any(line.split()[:2] == ["blk.0.attn_q.weight", "Q5_0"] for line in shown.stdout.splitlines())
    assert max(map(len, shown.stdout.splitlines())) < 250
    found = json.loads(CliRunner().invoke(app, ["gguf", "inspect", "--json", str(file)]).stdout)
    assert found["metadata"]["general.file_type"] == 15
    assert {"name": "output_norm.weight", "type": "F32", "shape": [64], "bytes": 256} in found["tensors"]
    assert found["bytes"] == file.stat().st_size
