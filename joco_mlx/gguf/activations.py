"""What the matrices of a model meet: sums of squares of their inputs, collected while it reads texts.

Decides where to listen: at every linear layer of a block, as llama.cpp's `imatrix` does, with MLX's own forward pass and
an adapter in its place. The whole model is in memory while it reads, and nothing else but one sum a column.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from joco_mlx.gguf.rounding import Floats
from joco_mlx.models.compute import mx, nn


class _Listener:
    """Stands in for a layer, and adds up the squares of what it is given."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer
        self.tokens = 0
        self.sums: Any = None

    def __call__(self, inputs: Any) -> Any:
        squares = mx.square(inputs.astype(mx.float32)).reshape(-1, inputs.shape[-1]).sum(axis=0)
        self.sums = squares if self.sums is None else self.sums + squares
        self.tokens += inputs.size // inputs.shape[-1]
        return self.layer(inputs)


def activation_squares(
    model: nn.Module, texts: Iterable[Sequence[int]], modules: Mapping[str, str]
) -> tuple[dict[str, Floats], dict[str, int]]:
    """Let a model read texts.

    Args:
        model: From `load_model`; its layers are back in their places afterwards.
        texts: Token ids.
        modules: Path of a module (`model.layers.0.mlp.up_proj`) -> the name to give back.

    Returns:
        Name -> float32 [columns], the sum over all tokens of each input's square; and name -> tokens.
    """
    listeners = {path: _Listener(_at(model, path)) for path in modules}
    try:
        for path, listener in listeners.items():
            _put(model, path, listener)
        for text in texts:
            model.model(mx.array(list(text))[None])
            mx.eval([listener.sums for listener in listeners.values()])
    finally:
        for path, listener in listeners.items():
            _put(model, path, listener.layer)
    sums = {modules[path]: np.array(listener.sums) for path, listener in listeners.items()}
    return sums, {modules[path]: listener.tokens for path, listener in listeners.items()}


def _at(model: Any, path: str) -> Any:
    place = model
    for part in path.split("."):
        place = place[int(part)] if part.isdigit() else getattr(place, part)
    return place


def _put(model: Any, path: str, layer: Any) -> None:
    parent, _, last = path.rpartition(".")
    setattr(_at(model, parent), last, layer)
