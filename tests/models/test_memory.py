"""The memory formula against measured peaks, and what a machine may plan for."""

import pytest

from joco_mlx.config import SEVEN_PROJECTIONS
from joco_mlx.models import memory
from joco_mlx.models.registry import MODELS, find
from joco_mlx.models.shape import Shape

MEGABYTE = 1e6


def shape_of(name: str) -> Shape:
    entry = find(name)
    assert entry is not None
    return entry.shape


def wide(hidden: int, intermediate: int, heads: int, kv_heads: int, layers: int) -> Shape:
    """True widths with few layers and 512 tokens of vocabulary, as they were measured."""
    return Shape("qwen2", layers, hidden, intermediate, heads, kv_heads, vocabulary=512, tied=True, bits_per_weight=32)


SMOLLM2 = shape_of("smollm2-135m")
QWEN_15B = wide(1_536, 8_960, 12, 2, layers=3)
DEEPSEEK = wide(2_048, 5_504, 16, 16, layers=2)

# MLX 0.32.4 on Linux x86-64, float32, our trainer's step with one record and an answer of 20 tokens:
# mx.get_peak_memory() less what was there before the step (weights, adapters, optimizer state).
CPU_PEAKS = [
    (SMOLLM2, 16, False, 256, 439.4),
    (SMOLLM2, 16, False, 512, 926.2),
    (SMOLLM2, 16, False, 1_024, 2_118.7),
    (SMOLLM2, 16, True, 256, 67.3),
    (SMOLLM2, 16, True, 512, 121.0),
    (SMOLLM2, 16, True, 1_024, 259.9),
    (QWEN_15B, 16, False, 256, 184.4),
    (QWEN_15B, 16, False, 512, 368.0),
    (QWEN_15B, 16, False, 1_024, 767.7),
    (QWEN_15B, 16, True, 256, 167.3),
    (QWEN_15B, 16, True, 512, 333.6),
    (QWEN_15B, 16, True, 1_024, 675.6),
    (DEEPSEEK, 8, False, 512, 215.2),
    (DEEPSEEK, 8, True, 512, 244.0),
]


@pytest.mark.parametrize(("shape", "rank", "checkpointing", "length", "megabytes"), CPU_PEAKS)
def test_peaks_measured_on_a_cpu(shape: Shape, rank: int, checkpointing: bool, length: int, megabytes: float) -> None:
    planned = memory.plan(shape, length, rank, checkpointing=checkpointing, answer_tokens=32, device="cpu")
    gradients = planned.adapters / 4
    assert 0.95 < (planned.kept + planned.working + gradients) / (megabytes * MEGABYTE) < 1.12


@pytest.mark.parametrize(("length", "gigabytes"), [(512, 1.19), (1_024, 1.38), (2_048, 1.76)])
def test_peaks_of_the_15b_on_a_gpu(length: int, gigabytes: float) -> None:
    """True 28-layer graph in bfloat16 with buffers in place of matmuls and with fused attention, which Metal lacks."""
    planned = memory.plan(shape_of("default"), length, 8, checkpointing=True, answer_tokens=32, device="gpu")
    assert 1.0 < planned.total / (gigabytes * 1e9) < 1.1


def test_the_parts_are_what_they_say() -> None:
    shape = shape_of("default")
    planned = memory.plan(shape, 2_048, 8, checkpointing=True, device="gpu")
    assert memory.adapter_parameters(shape, 8, SEVEN_PROJECTIONS, 28) == 28 * 329_728
    assert planned.adapters == 28 * 329_728 * 16
    assert planned.weights == shape.weight_bytes
    assert memory.plan(shape, 2_048, 8, checkpointing=True, device="cpu").weights == 4 * shape.parameters
    assert planned.total == planned.weights + planned.adapters + planned.kept + planned.working


def test_less_of_anything_never_takes_more() -> None:
    shape = shape_of("qwen2.5-coder-0.5b")

    def total(length: int = 1_024, rank: int = 16, **options: object) -> int:
        return memory.plan(shape, length, rank, **{"checkpointing": True, "device": "gpu", **options}).total  # type: ignore[arg-type]

    assert total(length=512) < total()
    assert total(rank=8) < total()
    assert total(layers=8) < total()
    assert total(modules=("q_proj", "v_proj")) < total()
    assert total() < total(batch_size=2)
    assert total() < total(checkpointing=False)


def test_the_guides_default_fits_the_guides_machine() -> None:
    """An 8 GB Mac recommends a working set of 5.46 GB; the guide trains the 1.5B at 2,048 tokens on it."""
    planned = memory.plan(shape_of("default"), 2_048, 16, checkpointing=True, device="gpu")
    assert planned.total < 5.461e9 / 2


def test_every_model_of_the_registry_has_a_plan() -> None:
    for entry in MODELS:
        assert memory.planned_bytes(entry.shape, 1_024, 16) > entry.shape.weight_bytes


def test_the_budget_is_a_share_of_the_smaller_of_memory_and_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "device_kind", lambda: "cpu")
    monkeypatch.setattr(memory, "_physical_bytes", lambda: 16_000_000_000)
    monkeypatch.setattr(memory, "_control_group_bytes", lambda: float("inf"))
    assert memory.this_machine_budget() == 12_000_000_000
    monkeypatch.setattr(memory, "_control_group_bytes", lambda: 8e9)
    assert memory.this_machine_budget() == 6_000_000_000


def test_metals_recommendation_is_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "device_kind", lambda: "metal")
    told = {"memory_size": 8_589_934_592, "max_recommended_working_set_size": 5_461_000_000}
    monkeypatch.setattr(memory.mx, "device_info", lambda: told)
    assert memory.this_machine_budget() == 5_461_000_000


def test_this_machine_has_some_memory() -> None:
    assert memory._physical_bytes() > 1e9
    assert memory._control_group_bytes() > 1e8
