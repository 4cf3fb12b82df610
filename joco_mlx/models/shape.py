"""The sizes of a model that arithmetic needs: of a registry entry, or out of a config.json.

Decides which architectures this tool exports to GGUF: qwen2 and llama. What else mlx-lm knows is trained and fused as well.
Imports nothing heavy, so that the table of models can be shown without loading MLX.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from joco_mlx.errors import InputError
from joco_mlx.models.json_file import read_object

EXPORTED = ("qwen2", "llama")
"""Architectures that become a GGUF."""
WELL_KNOWN = ("qwen2", "qwen3", "llama", "mistral")
"""Architectures whose training has a forward pass of its own; mlx-lm's mistral is its llama."""
DENSE_BITS = 16.0


@dataclass(frozen=True)
class Shape:
    """Sizes of a model, named as config.json names them, without the `num_`.

    The arithmetic is that of WELL_KNOWN architectures; of others it gives the order of magnitude.
    """

    architecture: str
    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    vocabulary: int
    """Rows of the embedding, padding included."""
    tied: bool
    """Whether the output layer is the embedding."""
    bits_per_weight: float = DENSE_BITS
    """Of the matrices on disk, scales and biases included: 4.5 for 4 bits in groups of 64 with 16-bit scales."""
    head_dim: int | None = None
    """Width of one attention head where config.json gives it; see `head`."""

    @property
    def head(self) -> int:
        """Width of one attention head."""
        return self.head_dim or self.hidden // self.heads

    @property
    def q_hidden(self) -> int:
        """Width of the queries: `hidden`, unless heads have a width of their own."""
        return self.head * self.heads

    @property
    def kv_hidden(self) -> int:
        """Width of the keys, and of the values."""
        return self.head * self.kv_heads

    def linear(self, module: str) -> tuple[int, int]:
        """Return (inputs, outputs) of one of the seven linear layers of a block; of any other a generous guess."""
        known = {
            "q_proj": (self.hidden, self.q_hidden),
            "k_proj": (self.hidden, self.kv_hidden),
            "v_proj": (self.hidden, self.kv_hidden),
            "o_proj": (self.q_hidden, self.hidden),
            "gate_proj": (self.hidden, self.intermediate),
            "up_proj": (self.hidden, self.intermediate),
            "down_proj": (self.intermediate, self.hidden),
        }
        return known.get(module, (self.hidden, 2 * self.intermediate))

    @property
    def parameters(self) -> int:
        """Number of weights: matrices, norms, the biases that qwen2 has on q, k and v, and qwen3's norms of q and k."""
        modules = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
        block = sum(inputs * outputs for inputs, outputs in map(self.linear, modules)) + 2 * self.hidden
        if self.architecture == "qwen2":
            block += self.q_hidden + 2 * self.kv_hidden
        if self.architecture == "qwen3":
            block += 2 * self.head
        ends = self.vocabulary * self.hidden * (1 if self.tied else 2)
        return self.layers * block + self.hidden + ends

    @property
    def weight_bytes(self) -> int:
        """What the weights take as stored."""
        return round(self.parameters * self.bits_per_weight / 8)

    @classmethod
    def from_config(cls, config: Mapping[str, Any], where: str) -> "Shape":
        """Read the sizes out of a config.json.

        Args:
            config: Its content.
            where: How errors name it.

        Raises:
            InputError: The architecture or a size is missing.
        """
        architecture = config.get("model_type")
        if not isinstance(architecture, str):
            raise InputError(
                f"{where} does not say which architecture it is: its model_type is {architecture!r}.",
                "Use a model that mlx-lm knows; joco-mlx models lists tested ones.",
            )
        try:
            heads = int(config["num_attention_heads"])
            shape = cls(
                architecture=architecture,
                layers=int(config["num_hidden_layers"]),
                hidden=int(config["hidden_size"]),
                intermediate=int(config["intermediate_size"]),
                heads=heads,
                kv_heads=int(config.get("num_key_value_heads") or heads),
                vocabulary=int(config["vocab_size"]),
                tied=bool(config.get("tie_word_embeddings", True)),  # as mlx-lm reads a config that does not say
                head_dim=int(config["head_dim"]) if config.get("head_dim") else None,
            )
            return replace(shape, bits_per_weight=_bits_per_weight(config, shape))
        except (KeyError, TypeError, ValueError, OverflowError) as problem:
            raise InputError(
                f"{where} lacks a size or has one that is no number: {problem}.",
                "Take config.json from the base again.",
            ) from problem


def read_config(folder: Path) -> dict[str, Any]:
    """Return the config.json of a model folder.

    Raises:
        InputError: It is missing or no JSON object.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise InputError(
            f"{folder} has no config.json, so it is no model folder.",
            "Give a folder with config.json, tokenizer.json and *.safetensors.",
        )
    return read_object(path)


def _bits_per_weight(config: Mapping[str, Any], shape: Shape) -> float:
    """Average over all weights; an embedding with a quantisation of its own is counted apart."""
    quantization = config.get("quantization")
    if not isinstance(quantization, Mapping):
        stored = config.get("dtype") or config.get("torch_dtype")  # the second was written before transformers 5
        return 32.0 if stored == "float32" else DENSE_BITS
    usual = _affine_bits(quantization)
    own = quantization.get("model.embed_tokens")
    if not isinstance(own, Mapping):
        return usual
    return usual + (_affine_bits(own) - usual) * shape.vocabulary * shape.hidden / shape.parameters


def _affine_bits(quantization: Mapping[str, Any]) -> float:
    """Bits of a code plus its share of a 16-bit scale and a 16-bit bias per group (MLX's affine form)."""
    return float(quantization["bits"]) + 32 / float(quantization["group_size"])
