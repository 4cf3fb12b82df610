"""How much memory a training step takes, by arithmetic alone, and how much this machine has.

Decides the formula. It was fitted to peaks measured on MLX 0.32.4: on a CPU device with real kernels in float32 at the
widths of SmolLM2-135M, Qwen2.5-Coder-1.5B and DeepSeek-Coder-1.3B, for a GPU in bfloat16 with true shapes and each
matmul replaced by an operation that allocates the same buffers. No figure is from a Mac yet. All of them are in
tests/models/test_memory.py.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from joco_mlx.config import ANSWER_TOKENS, SEVEN_PROJECTIONS
from joco_mlx.models.compute import device_kind, mx
from joco_mlx.models.shape import Shape

Device = Literal["gpu", "cpu"]
Checkpointing = Literal["none", "segments", "layer"]
"""What the backward pass computes again: nothing, the cheap parts between the base's matmuls, or whole layers."""

BYTES_PER_ADAPTER_WEIGHT = 16
"""Float32: the weight, its gradient, and AdamW's two moments."""
SHARE_OF_RAM = 0.75
"""Without a GPU, what one program may plan for; Metal recommends two thirds to three quarters itself."""


@dataclass(frozen=True)
class MemoryPlan:
    """The parts of one training step's peak, in bytes."""

    checkpointing: bool
    """Whether layers are computed again in the backward pass."""
    weights: int
    adapters: int
    """Adapter weights, their gradients and the optimizer's state."""
    kept: int
    """What each layer keeps for its backward pass."""
    working: int
    """The layer being differentiated, or the head if that is more."""

    @property
    def total(self) -> int:
        """The peak."""
        return self.weights + self.adapters + self.kept + self.working


def plan(
    shape: Shape,
    max_seq_length: int,
    rank: int,
    *,
    checkpointing: bool,
    batch_size: int = 1,
    modules: Sequence[str] = SEVEN_PROJECTIONS,
    layers: int = -1,
    answer_tokens: int = ANSWER_TOKENS,
    device: Device | None = None,
) -> MemoryPlan:
    """Return the memory plan of one training step.

    Args:
        shape: Of the base model.
        max_seq_length: Tokens of a record, prompt and answer.
        rank: Of the adapters.
        checkpointing: Plan for layers that are computed again in the backward pass.
        batch_size: Records in one forward pass.
        modules: Linear layers with an adapter.
        layers: Adapted layers from the top; -1 for all.
        answer_tokens: Positions that the head is computed for.
        device: What computes; this process's own when None.
    """
    device = device or ("cpu" if device_kind() == "cpu" else "gpu")
    adapted = shape.layers if layers == -1 else min(layers, shape.layers)
    kept, working = _activations(shape, max_seq_length, adapted, checkpointing=checkpointing, device=device)
    head = 3 * 4 * answer_tokens * shape.vocabulary  # float32 logits, their softmax and its gradient
    return MemoryPlan(
        checkpointing=checkpointing,
        weights=4 * shape.parameters if device == "cpu" else shape.weight_bytes,
        adapters=BYTES_PER_ADAPTER_WEIGHT * adapter_parameters(shape, rank, modules, adapted),
        kept=batch_size * kept,
        working=batch_size * max(working, head),
    )


def planned_bytes(
    shape: Shape, max_seq_length: int, rank: int, *, checkpointing: bool = True, batch_size: int = 1
) -> int:
    """Return the peak of a training step on this machine's device, all layers adapted; the smaller form by default."""
    return plan(shape, max_seq_length, rank, checkpointing=checkpointing, batch_size=batch_size).total


def adapter_parameters(shape: Shape, rank: int, modules: Sequence[str], layers: int) -> int:
    """Return the number of adapter weights: rank * (inputs + outputs) for each adapted linear layer."""
    return layers * rank * sum(sum(shape.linear(module)) for module in modules)


def this_machine_budget() -> int:
    """Return how many bytes training may plan for on this machine.

    On a GPU what MLX says of the device: Metal's recommended working set (5.46 GB on a Mac with 8 GB), or CUDA's memory.
    Else `SHARE_OF_RAM` of the physical memory, or of the control group's limit when that is less.
    """
    if device_kind() != "cpu":
        told = mx.device_info()
        for key in ("max_recommended_working_set_size", "total_memory", "memory_size"):
            if isinstance(told.get(key), int):
                return int(told[key])
    return int(SHARE_OF_RAM * min(_physical_bytes(), _control_group_bytes()))


def _activations(shape: Shape, length: int, adapted: int, *, checkpointing: bool, device: Device) -> tuple[int, int]:
    """Return (kept by all layers, worked with in one) in bytes for one record of `length` tokens.

    In numbers per token, with H hidden, I intermediate and K the keys' width, a layer keeps 7 H + 5 K + 5 I of its inner
    results (5.5 I where SwiGLU is not our own), or only its input, H, when it is computed again. The layer at work needs
    6 H + 5 K + 15 I when it is computed again; else 5 (H + K + I) more on a CPU, and H + K + I on a GPU. The last layer
    works on answer positions only and keeps next to nothing. Attention without a fused backward pass (MLX has none on a
    CPU or on Metal) keeps a matrix of length x length per head, on a CPU only the half that is not in the future, and
    works with 1.25 of them.
    """
    hidden, keys, inner = shape.hidden, shape.kv_hidden, shape.intermediate
    scores = shape.heads * length * length
    kept: float
    if checkpointing:
        kept = adapted * hidden * length
        working = (6 * hidden + 5 * keys + 15 * inner) * length
    elif device == "cpu":
        kept = (adapted - 1) * ((7 * hidden + 5 * keys + 5 * inner) * length + 0.5 * scores)
        working = 5 * (hidden + keys + inner) * length
    else:
        kept = (adapted - 1) * ((7 * hidden + 5 * keys + 5.5 * inner) * length + scores)
        working = (hidden + keys + inner) * length
    bytes_each = 4 if device == "cpu" else 2
    return round(bytes_each * kept), round(bytes_each * (working + 1.25 * scores))


def _physical_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _control_group_bytes() -> float:
    """The memory limit of the control group this process is in (cgroup v2), or infinity."""
    try:
        return float(Path("/sys/fs/cgroup/memory.max").read_text("ascii"))
    except (OSError, ValueError):  # no control group, or the word `max`
        return float("inf")
