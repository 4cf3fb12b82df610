"""How far a quantised file is from the model that was trained, as llama.cpp computes with both."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from judges import llama_oracle
from judges.llama_oracle import Model

from joco_mlx.gguf.plan import make_plan
from joco_mlx.gguf.stream import write_gguf
from joco_mlx.merge import open_merged
from joco_mlx.progress import Silent

pytestmark = pytest.mark.judge("llama.cpp")
SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
GOALS = {"0": 0.4, "0.01": 0.4, "0.03": 0.6}
"""Size of what training changed -> KL in units of that of `llama_model_quantize`'s file."""


@dataclass
class Bench:
    """A random six-layer base in 4 bits, what makes adapters for it, and texts."""

    script: ModuleType
    base: Path
    texts: list[list[int]]

    def log_probabilities(self, file: Path) -> np.ndarray:
        with Model(file, threads=1) as model:
            logits = np.concatenate([model.logits(text) for text in self.texts]).astype(np.float64)
        shifted = logits - logits.max(axis=-1, keepdims=True)
        found: np.ndarray = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
        return found


@pytest.fixture
def bench(tiny_model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.syspath_prepend(SCRIPTS)
    import benchmark_gguf

    shape: dict[str, Any] = {"layers": 6, "hidden": 256, "intermediate": 512}
    base = tiny_model("qwen2", quantised=benchmark_gguf.QUANTISED, **shape)
    random = np.random.default_rng(1)
    return Bench(benchmark_gguf, base, [random.integers(0, 400, 64).tolist() for _ in range(2)])


@pytest.mark.parametrize("delta", GOALS)
@pytest.mark.usefixtures("llama_library")
def test_seeded_files_are_nearer_to_the_trained_model(delta: str, bench: Bench, tmp_path: Path) -> None:
    script, base = bench.script, bench.base
    adapters = script.make_adapter(tmp_path / "adapter", base, float(delta))
    source = open_merged(base, adapters)
    plan = make_plan(source, base, "f16", script.CARD)
    exact = replace(plan, tensors=tuple((tensor, Type.F32) for tensor, _ in plan.tensors))
    write_gguf(tmp_path / "exact.gguf", exact, source, mode="reference", threads=2, bar=Silent().start(""))
    llama_oracle.quantize(tmp_path / "exact.gguf", tmp_path / "theirs.gguf")
    script.ours(base, adapters, tmp_path / "ours.gguf", "seeded")
    wanted = bench.log_probabilities(tmp_path / "exact.gguf")

    def divergence(file: Path) -> float:
        return float((np.exp(wanted) * (wanted - bench.log_probabilities(file))).sum(axis=-1).mean())

    theirs = divergence(tmp_path / "theirs.gguf")
    assert theirs > 0.01
    assert divergence(tmp_path / "ours.gguf") <= GOALS[delta] * theirs
