"""The export as a user meets it: whole or not at all, the same bytes every time, and what it says when it cannot."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from joco_mlx.config import Quantization
from joco_mlx.gguf.card import Card
from joco_mlx.gguf.container import open_gguf
from joco_mlx.gguf.export import Exported, export
from joco_mlx.merge import open_weights
from joco_mlx.progress import Silent, Task

CARD = Card("joco", "<|im_end|>", licence="Apache-2.0", base_model="Qwen/Qwen2.5-Coder-1.5B-Instruct")


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


@pytest.mark.parametrize("quantization", ["q4_k_m", "q8_0", "f16"])
def test_the_same_weights_give_the_same_bytes(
    quantization: Quantization, tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    folder = tiny_model("llama", hidden=256, intermediate=512, layers=2)
    for threads in (1, 3):
        _export(folder, tmp_path / f"{threads}.gguf", quantization, threads=threads)
    assert (tmp_path / "1.gguf").read_bytes() == (tmp_path / "3.gguf").read_bytes()


def test_progress_counts_every_weight(tiny_model: Callable[..., Path], tmp_path: Path) -> None:
    counted: list[float] = []

    class Counting(Silent):
        def start(self, title: str, total: float | None = None, unit: str = "") -> Task:
            assert total == 107_072
            return SimpleNamespace(advance=lambda amount, **_: counted.append(amount))

    _export(tiny_model("qwen2"), tmp_path / "joco.gguf", progress=Counting())
    assert sum(counted) == 107_072
