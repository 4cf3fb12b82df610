"""How much memory a training step takes, by arithmetic alone, and how much this machine has.

Decides the formula. Its coefficients were fitted to peaks of MLX 0.32.4: on a CPU device of real kernels in float32, for
a GPU of true shapes in bfloat16 with each matmul replaced by an operation that allocates the same buffers. Those have
attention that is not fused, which is assumed of Metal in training; where it is fused the plan is too high at worst. Real
kernels took up to 11 % more than such buffers. `scripts/prove memory_plan` holds the formula against points that it was
not fitted to. No figure is from a Mac or any other GPU.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from joco_mlx.config import ANSWER_TOKENS, SEVEN_PROJECTIONS
from joco_mlx.models.compute import device_kind, mx
from joco_mlx.models.control_group import memory_limit_bytes
from joco_mlx.models.shape import Shape

Device = Literal["gpu", "cpu"]
Checkpointing = Literal["none", "segments", "layer"]
"""What the backward pass computes again: nothing, the cheap parts between the base's matmuls, or whole layers."""

OPTIMIZER_BYTES = 8
"""AdamW's two float32 moments of an adapter weight."""
GRADIENT_BYTES = 8
"""A float32 gradient of an adapter weight, and the sum of those of the batches before in the same step."""
SHARE_OF_RAM = 0.75
"""Without a GPU, what one program may plan for; Metal recommends two thirds to three quarters itself."""


FORMS: tuple[Checkpointing, ...] = get_args(Checkpointing)
"""From the fastest to the smallest."""


@dataclass(frozen=True)
class MemoryPlan:
    """The parts of one training step's peak, in bytes."""

    checkpointing: Checkpointing
    tokens: int
    """Padded length of the records."""
    weights: int
    adapters: int
    """Adapter weights and their gradients."""
    optimizer: int
    """AdamW's state."""
    activations: int
    """What the layers keep for the backward pass, and what the layer at work needs beyond what the head has left free."""
    head: int
    """Logits of the answer's positions, their softmax and their gradient."""

    @property
    def total(self) -> int:
        """The peak."""
        return self.weights + self.adapters + self.optimizer + self.activations + self.head


def plan(
    shape: Shape,
    tokens: int,
    rank: int,
    *,
    checkpointing: Checkpointing,
    batch_size: int = 1,
    modules: Sequence[str] = SEVEN_PROJECTIONS,
    layers: int = -1,
    answer_tokens: int = ANSWER_TOKENS,
    device: Device | None = None,
    dora: bool = False,
) -> MemoryPlan:
    """Return the memory plan of one training step.

    Args:
        shape: Of the base model.
        tokens: Padded length of a record, prompt and answer.
        rank: Of the adapters.
        checkpointing: What the backward pass computes again.
        batch_size: Records in one forward pass.
        modules: Linear layers with an adapter.
        layers: Adapted layers from the top; -1 for all.
        answer_tokens: Positions that the head is computed for.
        device: What computes; this process's own when None.
        dora: Whether each row of an adapted matrix has a magnitude as well.
    """
    device = device or ("cpu" if device_kind() == "cpu" else "gpu")
    adapted = shape.layers if layers == -1 else min(layers, shape.layers)
    parameters = adapter_parameters(shape, rank, modules, adapted)
    kept, working = _activations(shape, tokens, adapted, checkpointing, device)
    if dora:
        parameters += adapted * sum(shape.linear(module)[1] for module in modules)
        kept, working = (round(part * _DORA[checkpointing]) for part in (kept, working))
    head = round(_HEAD_BYTES[device] * answer_tokens * shape.vocabulary)
    return MemoryPlan(
        checkpointing=checkpointing,
        tokens=tokens,
        weights=4 * shape.parameters if device == "cpu" else shape.weight_bytes,
        adapters=(4 + GRADIENT_BYTES) * parameters,
        optimizer=OPTIMIZER_BYTES * parameters,
        activations=batch_size * (kept + max(0, working - head)),
        head=batch_size * head,
    )


def fastest(plans: Sequence[MemoryPlan], budget: int) -> MemoryPlan:
    """Return the first of some plans, fastest first, that fits `budget` bytes; the last when none does."""
    return next((made for made in plans if made.total <= budget), plans[-1])


def planned_bytes(
    shape: Shape, tokens: int, rank: int, *, checkpointing: Checkpointing = "layer", batch_size: int = 1
) -> int:
    """Return the peak of a training step on this machine's device, all layers adapted; the smallest form by default."""
    return plan(shape, tokens, rank, checkpointing=checkpointing, batch_size=batch_size).total


def adapter_parameters(shape: Shape, rank: int, modules: Sequence[str], layers: int) -> int:
    """Return the number of adapter weights: rank * (inputs + outputs) for each adapted linear layer."""
    return layers * rank * sum(sum(shape.linear(module)) for module in modules)


def this_machine_budget() -> int:
    """Return how many bytes training may plan for on this machine.

    On a GPU what MLX says of the device: Metal's recommended working set (5.46 GB on a Mac with 8 GB), or CUDA's memory.
    Else `SHARE_OF_RAM` of the physical memory, or of the limit of its control groups when that is less.
    """
    if device_kind() != "cpu":
        told = mx.device_info()
        for key in ("max_recommended_working_set_size", "total_memory", "memory_size"):
            if isinstance(told.get(key), int):
                return int(told[key])
    return int(SHARE_OF_RAM * min(_physical_bytes(), memory_limit_bytes()))


@dataclass(frozen=True)
class _Coefficients:
    """Numbers per token, in multiples of the sizes H (hidden), Q (queries), K (keys), I (intermediate), Z and G (scores).

    Z is heads * length, one row of scores for each head; G is heads * 64, what a block of our CPU attention takes.
    Q was H in the points of the fit. Which part of H's factor is Q's was read off the forward pass; on a CPU it held for
    heads of half and of twice that width.
    """

    kept: tuple[float, float, float, float, float]
    """H, Q, K, I, Z that a layer keeps for its backward pass."""
    mlp: tuple[float, float, float, float, float]
    """H, Q, K, I, Z while an MLP is differentiated."""
    attention: tuple[float, float, float, float]
    """Q, K, Z, G while attention is differentiated."""


# On a CPU, where attention is our own, fitted to real kernels. On a GPU attention in training is taken as not fused.
_COEFFICIENTS: dict[tuple[Device, Checkpointing], _Coefficients] = {
    ("cpu", "none"): _Coefficients((4, 4, 2, 5.25, 0.6), (30, 0, 0, 2.6, 0), (0, 0, 0.85, 6.5)),
    ("cpu", "segments"): _Coefficients((2, 1, 2, 2, 0), (18.6, 0, 0, 12.5, 0), (0, 0, 1.95, 8.9)),
    ("cpu", "layer"): _Coefficients((1.35, 0, 0, 0, 0), (29, 4, 0, 16, 0), (0, 0, 2.9, 6.8)),
    ("gpu", "none"): _Coefficients((4, 3, 5, 5.5, 1), (1, 0, 1, 1, 1.25), (6, 5, 3.1, 0)),
    ("gpu", "segments"): _Coefficients((2, 1, 2, 2, 0), (6, 0, 0, 12, 0), (6, 5, 3.6, 0)),
    ("gpu", "layer"): _Coefficients((1, 0, 0, 0, 0), (11, 3, 5, 17, 0), (7, 5, 4.2, 0)),
}
_CPU_BLOCK = 64
_KERNELS: dict[Checkpointing, float] = {"none": 1.12, "segments": 1.06, "layer": 1.0}
"""What real bfloat16 kernels take over buffers of the same sizes, measured on a CPU: at most 1.12, 1.05 and 0.97."""
_HEAD_BYTES: dict[Device, float] = {"cpu": 4.3 * 4, "gpu": 5.1 * 4}
"""For each logit: four float32 arrays at once, and on a GPU the logits and their gradient in bfloat16 as well."""
# The gradient of a magnitude needs what the adapted layer gave. One point on a CPU: 1.39, 0.93 and 1.15 times LoRA's peak.
_DORA: dict[Checkpointing, float] = {"none": 1.45, "segments": 1.0, "layer": 1.2}


def _activations(
    shape: Shape, length: int, adapted: int, checkpointing: Checkpointing, device: Device
) -> tuple[int, int]:
    """Return what all layers keep, and what the one at work needs, in bytes, for one record of `length` tokens.

    The head works before the first layer of the backward pass does, so only the larger of the two counts beside what is
    kept. The last layer works on answer positions only and keeps next to nothing but its input.
    """
    hidden, queries, keys, inner = shape.hidden, shape.q_hidden, shape.kv_hidden, shape.intermediate
    scores, block = shape.heads * length, shape.heads * _CPU_BLOCK
    known = _COEFFICIENTS[device, checkpointing]
    keeping = adapted if checkpointing == "layer" else adapted - 1
    kept = keeping * _sum(known.kept, (hidden, queries, keys, inner, scores))
    working = max(
        _sum(known.mlp, (hidden, queries, keys, inner, scores)),
        _sum(known.attention, (queries, keys, scores, block)),
    )
    size = 4 * length if device == "cpu" else 2 * _KERNELS[checkpointing] * length
    return round(size * kept), round(size * working)


def _sum(factors: Sequence[float], sizes: Sequence[int]) -> float:
    return sum(factor * size for factor, size in zip(factors, sizes, strict=True))


def _physical_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
