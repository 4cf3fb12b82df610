"""What it means to put an adapter on another base than the one it was trained on, measured on the base at hand.

Decides when a user should know: the base has another digest, or the trainer held it in fewer bits. An adapter learns on
the weights that it sees. QLoRA shows it the base rounded to nf4, and then it is added to weights that differ from those
by more than what it changes itself. That is how QLoRA is used, and mostly works; how far the two are apart is said.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joco_mlx.adapters.training_base import TrainingBase
from joco_mlx.merge import open_merged
from joco_mlx.merge.adapter_config import CONFIG
from joco_mlx.merge.lora import MergedWeights
from joco_mlx.merge.weights import read_object
from joco_mlx.models.folder import ModelFolder

# QLoRA (Dettmers et al. 2023), appendix E: quantiles of the normal distribution, zero among them.
_NF4 = np.array(
    (-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
     -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
     0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
    np.float32,
)  # fmt: skip
_NF4_BLOCK = 64
_MATRICES, _ROWS = 6, 256
"""How much is measured: a hundredth of a small model, in well under a second."""


def warnings(adapter: Path, base: ModelFolder) -> list[str]:
    """Return what a user should know before the adapter in a folder is fused into `base`; empty when nothing.

    Args:
        adapter: In mlx-lm's layout.
        base: What it is put on.

    Raises:
        InputError: The adapter cannot be read or does not fit the base.
    """
    config = read_object(adapter / CONFIG)
    trained_on = TrainingBase.of_mlx(config)
    if trained_on is None or trained_on.digest is None:
        return []
    same_model = trained_on.digest == base.digest
    says_how = "quantization" in config["base"]  # runs of older versions do not: they trained on the base as it is
    if same_model and (trained_on.quantization == base.quantization or not says_how):
        return []
    held = words(trained_on.quantization)
    if same_model:
        first = f"The adapter was trained on {base.name} in {held} and is put on it in {words(base.quantization)}."
    else:
        first = (
            f"The adapter was trained on {trained_on.name} ({held}) and is put on {base.name}"
            f" ({words(base.quantization)})."
        )
    return [f"{first} {_measured(open_merged(base.path, adapter), base, trained_on.quantization)}"]


def words(quantization: Mapping[str, Any] | None) -> str:
    """Return how a base is held, for people."""
    if quantization is None:
        return "16 or 32 bits"
    if "quant_method" in quantization:
        return str(quantization["quant_method"])
    return f"{quantization.get('bits')} bits of MLX"


def _measured(merged: MergedWeights, base: ModelFolder, quantization: Mapping[str, Any] | None) -> str:
    if quantization is None or base.quantization is not None:
        return "How far the two are apart cannot be measured without both; judge it by joco-mlx bench run."
    names = sorted(merged.deltas)
    chosen = names[:: max(1, len(names) // _MATRICES)][:_MATRICES]
    weights = [merged.base.read(name, 0, _ROWS) for name in chosen]
    rounded = [round_to(weight, quantization) - weight for weight in weights]
    changed = [merged.read(name, 0, _ROWS) - weight for name, weight in zip(chosen, weights, strict=True)]
    whole = _norm(weights)
    return (
        f"Rounding to {words(quantization)} moves its weights by {_norm(rounded) / whole:.1%} of their norm, the adapter"
        f" by {_norm(changed) / whole:.1%} (measured on {len(chosen)} matrices)."
    )


def round_to(weight: NDArray[np.float32], quantization: Mapping[str, Any]) -> NDArray[np.float32]:
    """Return a matrix as it is after quantising: nf4 in blocks of 64, or MLX's affine form by group."""
    if quantization.get("quant_method") == "nf4":
        return _nf4(weight)
    return _affine(weight, int(quantization["bits"]), int(quantization["group_size"]))


def _nf4(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    blocks = _blocks(weight, _NF4_BLOCK)
    largest = np.abs(blocks).max(axis=1, keepdims=True)
    largest[largest == 0] = 1
    borders = (_NF4[1:] + _NF4[:-1]) / 2
    rounded: NDArray[np.float32] = _NF4[np.searchsorted(borders, blocks / largest)] * largest
    return rounded.ravel()[: weight.size].reshape(weight.shape)


def _affine(weight: NDArray[np.float32], bits: int, group_size: int) -> NDArray[np.float32]:
    groups = _blocks(weight, group_size)
    least = groups.min(axis=1, keepdims=True)
    step = (groups.max(axis=1, keepdims=True) - least) / np.float32((1 << bits) - 1)
    step[step == 0] = 1
    rounded: NDArray[np.float32] = np.rint((groups - least) / step) * step + least
    return rounded.ravel()[: weight.size].reshape(weight.shape)


def _blocks(weight: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Return the numbers in rows of `size`; the last is filled up with zeros."""
    return np.pad(weight.ravel(), (0, -weight.size % size)).reshape(-1, size)


def _norm(arrays: list[NDArray[np.float32]]) -> float:
    return float(np.sqrt(sum(float(np.square(array, dtype=np.float64).sum()) for array in arrays)))
