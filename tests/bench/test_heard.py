"""A GGUF and the run that it was made from, heard side by side through the real llama.cpp."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from bench_records import record
from models_fixture import make_run
from typer.testing import CliRunner

from joco_mlx.bench.heard import hear_gguf
from joco_mlx.cli.main import app
from joco_mlx.errors import ConflictError, InputError, MachineError
from joco_mlx.gguf.card import Card
from joco_mlx.gguf.export import export
from joco_mlx.gguf.imatrix import read_imatrix
from joco_mlx.merge import open_merged, open_weights
from joco_mlx.models.folder import open_folder

pytestmark = pytest.mark.judge("llama.cpp")


@pytest.fixture
def base(tiny_model: Callable[..., Path], llama_library: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LLAMA_LIB_DIR", str(llama_library))
    monkeypatch.setattr("joco_mlx.bench.heard.cores", lambda: 1)
    return tiny_model("qwen2", quantised={"group_size": 32, "bits": 4}, layers=1)


@pytest.fixture
def data(make_dataset: Callable[..., Path]) -> Path:
    records = [record(number) for number in range(4)]
    return make_dataset(records[:1], records[1:])


def test_a_file_of_the_run_is_near_and_one_of_its_base_is_not(base: Path, data: Path, tmp_path: Path) -> None:
    folder = open_folder(base)
    run = make_run(tmp_path / "run", folder)
    tuned, untuned = tmp_path / "tuned.gguf", tmp_path / "untuned.gguf"
    export(open_merged(base, run / "adapters"), base, tuned, quantization="f16", card=Card.of(folder))
    export(open_weights(base), base, untuned, quantization="f16", card=Card.of(folder))
    near, far = (hear_gguf(file, run, data=data, most=2) for file in (tuned, untuned))
    assert (near.texts, near.differing_texts) == (2, 0)
    assert near.places > 2
    assert near.divergence < 1e-3 < far.divergence
    assert near.agreement > 0.98


def test_verify_tells_what_llama_cpp_says(base: Path, data: Path, tmp_path: Path) -> None:
    file = tmp_path / "joco.gguf"
    export(open_weights(base), base, file, quantization="q8_0", card=Card.of(open_folder(base)))
    words = ["gguf", "verify", str(file), "--against", str(base), "--logits", "--data", str(data), "--prompts", "2"]
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == 0, shown.output
    assert "llama.cpp, on 2 prompts: 0 with other tokens; KL to the trained model 0.0" in shown.stdout
    found = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert found["llama.cpp"]["differing_texts"] == 0
    assert found["problems"] == []


def test_a_dataset_without_held_out_records_is_told(base: Path, make_dataset: Callable[..., Path]) -> None:
    data = make_dataset([record(0)])
    with pytest.raises(InputError, match="no records for test or validation"):
        hear_gguf(base / "unread.gguf", base, data=data)


def test_where_an_importance_matrix_goes_is_tried_before_anything_is_read(
    base: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "run", open_folder(base))
    monkeypatch.setattr("joco_mlx.bench.heard.base_folder", lambda *_, **__: pytest.fail("the model was read"))
    words = ["gguf", "imatrix", str(run), "--data", str(data), "--out", str(run / "run.json" / "imatrix.gguf")]
    with pytest.raises(MachineError, match=r"imatrix\.gguf could not be written: Not a directory"):
        CliRunner().invoke(app, words, catch_exceptions=False)


def test_an_importance_matrix_of_a_run_makes_another_file(base: Path, data: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", open_folder(base))
    matrix = tmp_path / "imatrix.gguf"
    words = ["gguf", "imatrix", str(run), "--data", str(data), "--out", str(matrix), "--records", "1"]
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == 0, shown.output
    assert "7 matrices on" in shown.stdout
    assert isinstance(CliRunner().invoke(app, words).exception, ConflictError)
    assert set(read_imatrix(matrix).means) == {
        f"blk.0.{name}.weight"
        for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    }
    fuse = ["fuse", str(run), "--export-gguf", "--out", str(tmp_path)]
    assert CliRunner().invoke(app, [*fuse, "--mode", "reference"]).exit_code == 0
    plain = (tmp_path / "joco.gguf").read_bytes()
    assert CliRunner().invoke(app, [*fuse, "--force", "--imatrix", str(matrix)]).exit_code == 0
    assert (tmp_path / "joco.gguf").read_bytes() != plain
