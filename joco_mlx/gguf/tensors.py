"""Which tensors a GGUF holds, what they are called there, and how their rows lie.

Decides names, order and shapes from the architecture, so that a missing or foreign tensor is told by name before a
byte is written. Names follow `gguf-py/gguf/tensor_mapping.py` of llama.cpp, the permutation its `conversion/llama.py`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from joco_mlx.errors import InputError
from joco_mlx.gguf.architecture import Architecture
from joco_mlx.gguf.rounding import Floats
from joco_mlx.merge import AffineGrid, Change, Weights

Reader = Callable[[int, int], Floats]
"""First row, last + 1 -> those rows."""
Origin = Callable[[int, int], tuple[AffineGrid | None, Change | None]]
"""First row, last + 1 -> the grids of the base, and what training added."""
Number = TypeVar("Number", np.float32, np.int64)

_NORMS = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
_LINEARS = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_QKV = tuple(_LINEARS)[:3]
_MAY_HAVE_BIAS = {"qwen2": _QKV, "llama": tuple(_LINEARS)}
"""Where llama.cpp looks for a bias."""
_ANOTHER = "Give a model of an architecture that is supported; joco-mlx models lists tested ones."


@dataclass(frozen=True)
class PlannedTensor:
    """A tensor of the file to be, and where its weights come from."""

    name: str
    source: str
    """Hugging Face name."""
    shape: tuple[int, ...]
    """Rows first."""
    heads: int = 0
    """Heads whose rows are permuted for llama.cpp's rotary order; 0 leaves the rows alone."""

    def reader(self, source: Weights) -> Reader:
        """Return what gives rows `start` to `stop` as they lie in the file; the permuted ones are read at once."""
        if not self.heads:
            return lambda start, stop: source.read(self.source, start, stop)
        rows = permute(source.read(self.source), self.heads)
        return lambda start, stop: rows[start:stop]

    def origin(self, source: Weights) -> Origin:
        """Return what gives the base's grids of rows `start` to `stop` of the file, and what training added to them."""
        if not self.heads:
            return lambda start, stop: (
                source.grid(self.source, start, stop),
                source.change(self.source, start, stop),
            )
        order = permute(np.arange(self.shape[0], dtype=np.int64), self.heads)
        grid, change = source.grid(self.source), source.change(self.source)
        return lambda start, stop: (
            None if grid is None else grid.rows(order[start:stop]),
            None if change is None else change.rows(order[start:stop]),
        )


def permute(rows: NDArray[Number], heads: int) -> NDArray[Number]:
    """Put the two halves of each head's rotary pairs side by side, as llama.cpp's llama architecture wants them.

    Args:
        rows: Query or key weights [heads * width, ...] or biases.
        heads: Query heads for queries, key-value heads for keys.
    """
    halves = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(rows.shape)


def plan_tensors(source: Weights, model: Architecture) -> tuple[PlannedTensor, ...]:
    """Return the tensors of the file in their order.

    Raises:
        InputError: `source` lacks a tensor, has one that has no place, or one of another shape.
    """
    present = set(source.names())
    planned: dict[str, PlannedTensor] = {}
    for tensor in _expected(model):  # one at a time: a damaged config.json may announce billions of layers
        if not _is_wanted(tensor, present, model):
            continue
        if tensor.source not in present:
            raise InputError(f"The model has no tensor {tensor.source}.", "Download or make the model again.")
        found = source.shape(tensor.source)
        if found != tensor.shape:
            raise InputError(
                f"{tensor.source} has the shape {list(found)}, but config.json makes it {list(tensor.shape)}.",
                "Give the config.json and the weights of one and the same model.",
            )
        planned[tensor.source] = tensor
    foreign = sorted(present - planned.keys())
    if foreign:
        raise InputError(f"{foreign[0]} has no place in a GGUF of architecture {model.shape.architecture}.", _ANOTHER)
    return tuple(planned.values())


def _is_wanted(tensor: PlannedTensor, present: set[str], model: Architecture) -> bool:
    """Biases are there or not, except qwen2's; everything else must be there."""
    if not tensor.source.endswith(".bias") or tensor.source in present:
        return True
    return model.shape.architecture == "qwen2"


def _expected(model: Architecture) -> Iterator[PlannedTensor]:
    shape = model.shape
    embedding = (shape.vocabulary, shape.hidden)
    yield PlannedTensor("token_embd.weight", "model.embed_tokens.weight", embedding)
    for layer in range(shape.layers):
        yield from _block(model, layer)
    yield PlannedTensor("output_norm.weight", "model.norm.weight", (shape.hidden,))
    if not shape.tied:
        yield PlannedTensor("output.weight", "lm_head.weight", embedding)


def _block(model: Architecture, layer: int) -> Iterator[PlannedTensor]:
    there, here = f"blk.{layer}.", f"model.layers.{layer}."
    for module, name in _NORMS.items():
        yield PlannedTensor(f"{there}{name}.weight", f"{here}{module}.weight", (model.shape.hidden,))
    for module, name in _LINEARS.items():
        columns, rows = model.shape.linear(module.partition(".")[2])
        heads = _permuted_heads(model, name)
        yield PlannedTensor(f"{there}{name}.weight", f"{here}{module}.weight", (rows, columns), heads)
        if module in _MAY_HAVE_BIAS[model.shape.architecture]:
            yield PlannedTensor(f"{there}{name}.bias", f"{here}{module}.bias", (rows,), heads)


def _permuted_heads(model: Architecture, name: str) -> int:
    if model.shape.architecture != "llama":
        return 0
    return {"attn_q": model.shape.heads, "attn_k": model.shape.kv_heads}.get(name, 0)
