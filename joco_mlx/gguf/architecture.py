"""What a config.json says that llama.cpp must know to compute the same model.

Decides the `qwen2.*` and `llama.*` keys, and refuses what llama.cpp would compute differently from MLX. Defaults are
those of mlx-lm, because its model is the one that was trained. Keys: `docs/gguf.md` of ggml, and `set_gguf_parameters`
in llama.cpp's `conversion/base.py` and `llama.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joco_mlx.errors import InputError
from joco_mlx.gguf.container import Metadata
from joco_mlx.merge.tensorfile import brief
from joco_mlx.models.rotary import older_settings
from joco_mlx.models.shape import EXPORTED, Shape, read_config

_ROPE_BASES = {"qwen2": 1_000_000.0, "llama": 10_000.0}
_LARGEST = 1 << 31
"""What llama.cpp's integers hold; its float32 would hold more, but no model needs it."""
_AGAIN = "Take config.json from the base model again, or give another model."


@dataclass(frozen=True)
class Architecture:
    """A qwen2 or llama model as GGUF describes it."""

    shape: Shape
    names_head: bool
    """Whether config.json gives the width of a head by itself."""
    context: int
    epsilon: float
    rope_base: float
    rope_factor: float | None
    """Of linear rotary scaling; None without."""

    @classmethod
    def from_folder(cls, folder: Path) -> "Architecture":
        """Read the config.json of a model folder.

        Raises:
            InputError: It is missing, lacks a number, or describes a model that cannot be exported.
        """
        where = str(folder / "config.json")
        config = read_config(folder)
        config |= older_settings(config, where)
        shape = Shape.from_config(config, where)
        if shape.architecture not in EXPORTED:
            raise InputError(
                f"{where} is a {shape.architecture!r} model, which cannot be written as a GGUF.",
                f"Use a model of one of: {', '.join(EXPORTED)}; joco-mlx fuse makes a 16-bit folder of any other.",
            )
        _refuse_windows(config, shape, where)
        return cls(
            shape=shape,
            names_head=config.get("head_dim") is not None,
            context=int(_number(config, "max_position_embeddings", where)),
            epsilon=_number(config, "rms_norm_eps", where),
            rope_base=_rope_base(config, shape, where),
            rope_factor=_rope_factor(config, where),
        )

    def metadata(self) -> Metadata:
        """Return the keys of this architecture, `general.architecture` included."""
        shape, kind = self.shape, self.shape.architecture
        values: Metadata = {
            "block_count": shape.layers,
            "context_length": self.context,
            "embedding_length": shape.hidden,
            "feed_forward_length": shape.intermediate,
            "attention.head_count": shape.heads,
            "attention.head_count_kv": shape.kv_heads,
            "attention.layer_norm_rms_epsilon": self.epsilon,
            "rope.freq_base": self.rope_base,
        }
        if self.names_head:
            values |= {"attention.key_length": shape.head, "attention.value_length": shape.head}
        if kind == "llama":
            values |= {"vocab_size": shape.vocabulary, "rope.dimension_count": shape.head}
        if self.rope_factor is not None:
            values |= {"rope.scaling.type": "linear", "rope.scaling.factor": self.rope_factor}
        return {"general.architecture": kind, **{f"{kind}.{key}": value for key, value in values.items()}}


def _number(config: Mapping[str, Any], key: str, where: str, default: float | None = None) -> float:
    value = config.get(key)
    if value is None and default is not None:
        value = default
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < _LARGEST:
        raise InputError(
            f"{key} in {where} is {brief(value)}, but must be a number above 0 and below {_LARGEST}.", _AGAIN
        )
    return float(value)


def _refuse_windows(config: Mapping[str, Any], shape: Shape, where: str) -> None:
    """llama.cpp's llama has no sliding window; mlx-lm's has one in some layers, its qwen2 in none."""
    kinds = config.get("layer_types")
    if shape.architecture == "llama" and isinstance(kinds, list) and "sliding_attention" in kinds:
        raise InputError(
            f"{where} has layers with a sliding window, which cannot be exported.",
            "Use a model without; joco-mlx fuse makes a 16-bit folder of this one.",
        )


def _rope_base(config: Mapping[str, Any], shape: Shape, where: str) -> float:
    if config.get("rope_traditional"):
        raise InputError(f"{where} asks for rope_traditional, which no GGUF can express.", _AGAIN)
    return _number(config, "rope_theta", where, _ROPE_BASES[shape.architecture])


def _rope_factor(config: Mapping[str, Any], where: str) -> float | None:
    scaling = config.get("rope_scaling")
    if scaling is None:
        return None
    table = scaling if isinstance(scaling, Mapping) else {}
    kind = table.get("type") or table.get("rope_type", "default")  # in mlx-lm's order
    if kind == "default":
        return None
    if kind != "linear":
        raise InputError(
            f"{where} scales rotary positions by {kind!r}, which cannot be exported.",
            "Use a model with linear scaling or none; joco-mlx models lists tested ones.",
        )
    return _number(table, "factor", f"rope_scaling of {where}")
