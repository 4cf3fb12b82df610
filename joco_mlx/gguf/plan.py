"""Everything about a file but its weights: metadata, tensors and types, settled before the first byte is written."""

import math
from dataclasses import dataclass
from pathlib import Path

from gguf import GGMLQuantizationType as Type

from joco_mlx.config import Quantization
from joco_mlx.gguf.architecture import Architecture
from joco_mlx.gguf.card import Card
from joco_mlx.gguf.container import Metadata, padded
from joco_mlx.gguf.recipe import stored_bytes, tensor_type
from joco_mlx.gguf.tensors import PlannedTensor, plan_tensors
from joco_mlx.gguf.vocabulary import vocabulary_metadata
from joco_mlx.merge import Weights

_FIELD_BYTES = 64
"""More than a key, a tensor's name and their sizes take, on average."""


@dataclass(frozen=True)
class Plan:
    """What a file will hold."""

    metadata: Metadata
    tensors: tuple[tuple[PlannedTensor, Type], ...]
    """In the order of the file."""

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(math.prod(tensor.shape) for tensor, _ in self.tensors)

    @property
    def nbytes(self) -> int:
        """Size of the file, a little more than it will be."""
        weights = sum(padded(stored_bytes(kind, tensor.shape)) for tensor, kind in self.tensors)
        texts = sum(_text_bytes(value) for value in self.metadata.values())
        return weights + texts + _FIELD_BYTES * (len(self.metadata) + 2 * len(self.tensors))


def make_plan(source: Weights, folder: Path, quantization: Quantization, card: Card) -> Plan:
    """Settle what a GGUF of `source` holds.

    Raises:
        InputError: The model folder or the weights cannot be expressed as a GGUF.
    """
    model = Architecture.from_folder(folder)
    shape = model.shape
    tensors = plan_tensors(source, model)
    typed = tuple(
        (tensor, tensor_type(tensor.name, tensor.shape, quantization, layers=shape.layers, tied=shape.tied))
        for tensor in tensors
    )
    parameters = sum(math.prod(tensor.shape) for tensor in tensors)
    metadata = {
        **model.metadata(),
        **card.metadata(quantization, parameters),
        **vocabulary_metadata(folder, shape.vocabulary, card.end_token, card.chat_template),
    }
    return Plan(metadata, typed)


def _text_bytes(value: object) -> int:
    if isinstance(value, str):
        return 8 + len(value.encode())
    if isinstance(value, list):
        return sum(map(_text_bytes, value))
    return 8
