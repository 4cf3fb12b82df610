"""Which modules of which layers an adapter changes, found from its tensors.

Decides what mlx-lm's layout can say: the same linear layers in each of the last layers of the model, all of one rank.
An adapter with gaps, or on the embedding or the head, is refused; which modules are to blame is said.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from joco_mlx.errors import InputError
from joco_mlx.merge.adapter_config import LAYER
from joco_mlx.merge.tensorfile import brief

_UNIFORM = "Train on the same modules of every layer, or of the last ones, with one rank."


@dataclass(frozen=True)
class Extent:
    """Where an adapter lies."""

    layers: tuple[int, ...]
    """Consecutive; the last one is the model's last."""
    modules: tuple[str, ...]
    """Named from inside a layer (`self_attn.q_proj`), in the order of the alphabet."""

    @property
    def short_modules(self) -> list[str]:
        """Their last words (`q_proj`), which is how people and PEFT name them, where those tell them apart."""
        short = [module.rpartition(".")[2] for module in self.modules]
        return short if len(set(short)) == len(short) else list(self.modules)


def extent_of(path: Path, shapes: Mapping[str, tuple[int, ...]], rank: int, *, dora: bool) -> Extent:
    """Return where an adapter lies, its parts checked against each other.

    Args:
        path: Of its tensors, for messages.
        shapes: Name in mlx-lm's layout (`model.layers.0.mlp.up_proj.lora_a`) -> shape there.
        rank: That its configuration says.
        dora: Whether each module must have magnitudes.

    Raises:
        InputError: A part is missing or has another rank, or the adapter lies where mlx-lm's layout has no word for.
    """
    by_layer: dict[int, set[str]] = {}
    for module in dict.fromkeys(name.rpartition(".")[0] for name in shapes):
        _check_parts(path, module, shapes, rank, dora=dora)
        found = LAYER.fullmatch(module)
        if found is None:
            raise InputError(f"{path} adapts {brief(module)}, which is no linear layer inside a block.", _UNIFORM)
        by_layer.setdefault(int(found[1]), set()).add(found[2])
    if not by_layer:
        raise InputError(f"{path} holds no tensor.", "Train an adapter: joco-mlx train")
    first, last = min(by_layer), max(by_layer)
    modules = by_layer[last]
    for layer in range(first, last + 1):
        if by_layer.get(layer, set()) != modules:
            raise InputError(
                f"{path} adapts {_words(by_layer.get(layer, set()))} in layer {layer}, but {_words(modules)} in"
                f" layer {last}; MLX's adapters change the same modules in all of the last layers.",
                _UNIFORM,
            )
    return Extent(tuple(range(first, last + 1)), tuple(sorted(modules)))


def _check_parts(path: Path, module: str, shapes: Mapping[str, tuple[int, ...]], rank: int, *, dora: bool) -> None:
    a, b, m = (shapes.get(f"{module}.{part}") for part in ("lora_a", "lora_b", "m"))
    fits = a is not None and b is not None and a[1] == rank == b[0] and m == ((b[1],) if dora else None)
    if not fits:
        found = ", ".join(f"{part} {_shape(shape)}" for part, shape in (("lora_a", a), ("lora_b", b), ("m", m)))
        raise InputError(
            f"{brief(module)} in {path} has {found}, which is no {'DoRA' if dora else 'LoRA'} of rank {rank}.", _UNIFORM
        )


def _shape(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else str(list(shape))


def _words(modules: set[str]) -> str:
    return ", ".join(sorted(modules)) or "nothing"
