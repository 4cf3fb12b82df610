"""The export as a user meets it: whole or not at all, the same bytes every time, and what it says when it cannot."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from adapter_fixture import random_adapter

from joco_mlx import artifacts
from joco_mlx.config import Mode, Quantization
from joco_mlx.errors import ConflictError, InputError, MachineError
from joco_mlx.export import verify_gguf
from joco_mlx.gguf import export as stage
from joco_mlx.gguf.card import Card
from joco_mlx.gguf.container import open_gguf
from joco_mlx.gguf.export import Exported, export
from joco_mlx.gguf.verify import verify
from joco_mlx.merge import Weights, open_merged, open_weights
from joco_mlx.progress import Silent, Task

CARD = Card("joco", "<|im_end|>", licence="Apache-2.0", base_model="Qwen/Qwen2.5-Coder-1.5B-Instruct")


class Spoiled:
    """A model one of whose weights went wrong."""

    def __init__(self, source: Weights, name: str, value: float) -> None:
        self.source, self.name, self.value = source, name, value
        self.names, self.shape, self.grid, self.change = source.names, source.shape, source.grid, source.change

    def read(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        found = self.source.read(name, start, stop)
        if name == self.name:
            found.reshape(-1)[5] = self.value
        return found


def _export(folder: Path, out: Path, quantization: Quantization = "q4_k_m", **options: object) -> Exported:
    return export(open_weights(folder), folder, out, quantization=quantization, card=CARD, **options)  # type: ignore[arg-type]


def test_what_is_returned_is_what_was_written(tiny_model: Callable[..., Path], tmp_path: Path) -> None:
    done = _export(tiny_model("llama", tied=False), tmp_path / "new" / "joco.gguf")
    file = open_gguf(done.path)
    assert done.nbytes == done.path.stat().st_size
    assert (
        done.parameters
        == file.metadata["general.parameter_count"]
        == sum(int(np.prod(tensor.shape)) for tensor in file.tensors.values())
    )
    assert done.types == {"Q5_0": 13, "Q8_0": 3, "F32": 5}
    assert sum(done.types.values()) == len(file.tensors)


def test_the_file_says_what_it_is(tiny_model: Callable[..., Path], tmp_path: Path) -> None:
    found = open_gguf(_export(tiny_model("qwen2"), tmp_path / "joco.gguf").path).metadata
    assert {key: value for key, value in found.items() if key.startswith("general.")} == {
        "general.architecture": "qwen2",
        "general.type": "model",
        "general.name": "joco",
        "general.size_label": "107K",
        "general.parameter_count": 107_072,
        "general.file_type": 15,
        "general.quantization_version": 2,
        "general.license": "Apache-2.0",
        "general.base_model.count": 1,
        "general.base_model.0.name": "Qwen2.5-Coder-1.5B-Instruct",
        "general.base_model.0.organization": "Qwen",
        "general.base_model.0.repo_url": "https://huggingface.co/Qwen/Qwen2.5-Coder-1.5B-Instruct",
    }


def test_a_licence_without_an_spdx_name_keeps_its_own() -> None:
    card = Card("joco", "<|im_end|>", licence="Qwen Research License", licence_url="https://example.com/LICENSE")
    found = card.metadata("q8_0", 1_500_000_000)
    assert found["general.license"] == "other"
    assert found["general.license.name"] == "Qwen Research License"
    assert found["general.license.link"] == "https://example.com/LICENSE"
    assert found["general.size_label"] == "1.5B"


@pytest.mark.parametrize(
    ("quantization", "mode"),
    [("q4_k_m", "balanced"), ("q4_k_m", "seeded"), ("q5_k_m", "low-error"), ("q8_0", "reference"), ("f16", "seeded")],
)
def test_the_same_weights_give_the_same_bytes(
    quantization: Quantization, mode: Mode, tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    quantised = {"group_size": 64, "bits": 4}
    folder = tiny_model("llama", hidden=256, intermediate=1024, layers=2, quantised=quantised)
    source = open_merged(folder, random_adapter(folder, tmp_path / "adapter"))
    made = []
    for threads in (1, 3):
        out = tmp_path / f"{threads}.gguf"
        export(source, folder, out, quantization=quantization, card=CARD, mode=mode, threads=threads)
        assert verify(out, folder, source=source, card=CARD).problems == ()
        made.append(out.read_bytes())
    assert made[0] == made[1]


def test_progress_counts_every_weight(tiny_model: Callable[..., Path], tmp_path: Path) -> None:
    counted: list[float] = []

    class Counting(Silent):
        def start(self, title: str, total: float | None = None, unit: str = "") -> Task:
            assert total == 107_072
            return SimpleNamespace(advance=lambda amount, **_: counted.append(amount))

    _export(tiny_model("qwen2"), tmp_path / "joco.gguf", progress=Counting())
    assert sum(counted) == 107_072


def test_an_existing_file_is_kept_unless_forced(tiny_model: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "joco.gguf"
    out.write_bytes(b"precious")
    with pytest.raises(ConflictError, match="exists already"):
        _export(tiny_model("qwen2"), out)
    assert out.read_bytes() == b"precious"
    _export(tiny_model("qwen2"), out, force=True)
    assert open_gguf(out).tensors


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e6])
@pytest.mark.parametrize("name", ["model.embed_tokens.weight", "model.layers.1.self_attn.k_proj.weight"])
def test_a_weight_that_is_no_number_is_told_and_nothing_is_left(
    name: str, value: float, tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    folder = tiny_model("llama")
    with pytest.raises(InputError, match=name):
        export(
            Spoiled(open_weights(folder), name, value), folder, tmp_path / "joco.gguf", quantization="q4_k_m", card=CARD
        )
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_too_small_is_told_before_the_first_byte(
    tiny_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifacts.shutil, "disk_usage", lambda _: SimpleNamespace(free=100_000))
    with pytest.raises(MachineError, match=r"needs 0\.00 GB, but .* has 0\.00 GB free"):
        _export(tiny_model("qwen2"), tmp_path / "joco.gguf")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_on_the_way_leaves_nothing(
    tiny_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(stage, "write_gguf", full)
    with pytest.raises(MachineError, match="No space left on device"):
        _export(tiny_model("qwen2"), tmp_path / "joco.gguf")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_tokenizer_is_told(tiny_model: Callable[..., Path], tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model("qwen2"), folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"tokenizer\.json"):
        _export(folder, tmp_path / "joco.gguf")


def test_the_plan_is_a_little_larger_than_the_file(tiny_model: Callable[..., Path], tmp_path: Path) -> None:
    folder = tiny_model("qwen2")
    for quantization in ("q4_k_m", "f16"):
        done = _export(folder, tmp_path / f"{quantization}.gguf", quantization)
        planned = stage.make_plan(open_weights(folder), folder, quantization, CARD).nbytes
        assert done.nbytes <= planned < done.nbytes + 20_000


def test_what_a_gguf_is_held_against_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"There is no folder .*absent\."):
        verify_gguf(tmp_path / "joco.gguf", tmp_path / "absent")
