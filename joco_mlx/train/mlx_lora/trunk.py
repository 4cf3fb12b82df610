"""The layers below the adapters, run apart from the training step.

Decides that their output is computed for each record alone: so it does not depend on the records beside it in a batch,
can be kept from epoch to epoch, and is the same to the last bit whether it was kept or not. Leaves keeping it to
`trunk_cache`.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joco_mlx.artifacts import versions
from joco_mlx.models.cache import cache_folder
from joco_mlx.models.compute import device_kind, fast_blas, mx
from joco_mlx.progress import Progress
from joco_mlx.train.mlx_lora.any_model import is_known
from joco_mlx.train.mlx_lora.forward import frozen_layers, trunk_output
from joco_mlx.train.mlx_lora.trunk_cache import TrunkCache


class Trunk:
    """What the frozen layers make of a batch."""

    def __init__(self, model: Any, cache: TrunkCache | None = None) -> None:
        self.model = model
        self.cache = cache

    def output(self, ids: NDArray[np.int32]) -> Any:
        """Return [batch, length, size] for padded ids [batch, length], as `forward.trunk_output` does."""
        return mx.concatenate([self._of_row(row) for row in ids])

    def _of_row(self, row: NDArray[np.int32]) -> Any:
        made = trunk_output(self.model, mx.array(row)[None])  # nothing is computed before it is asked for
        if self.cache is None:
            mx.eval(made)
            return made
        found = self.cache.get(row, made.shape, made.dtype)
        if found is None:
            mx.eval(made)
            self.cache.put(row, made)
            found = made
        return found


def trunk_below(model: Any, base: str, budget_bytes: int, progress: Progress) -> Trunk | None:
    """Return the trunk of a model with adapters; None when the first layer has some, or the model is not known.

    Args:
        model: A model of mlx-lm.
        base: The base model's digest.
        budget_bytes: What the cache on disk may take; 0 for none.
        progress: Where what was decided is told.
    """
    frozen = frozen_layers(model) if is_known(model) else 0
    if frozen == 0:
        return None
    if budget_bytes == 0:
        return Trunk(model)
    recipe = {
        "base": base,
        "layers": frozen,
        "device": device_kind(),
        "blas": fast_blas,
        "mlx": versions().get("mlx"),
    }
    folder = trunk_folder()
    progress.note(
        f"The output of the {frozen} layers without adapters is computed once for each record and kept in {folder},"
        f" at most {budget_bytes / 1e9:.2f} GB."
    )
    return Trunk(model, TrunkCache(folder, budget_bytes, recipe, progress.note))


def trunk_folder() -> Path:
    """Return where trunks are kept."""
    return cache_folder() / "trunk"
