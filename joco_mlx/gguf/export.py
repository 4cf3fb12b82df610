"""A model to one GGUF. OWNS what has to be true before the first byte: tensors, tokenizer, room on the disk.

The file appears under its name only when it is whole.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from joco_mlx import artifacts
from joco_mlx.config import Mode, Quantization
from joco_mlx.gguf.card import Card
from joco_mlx.gguf.imatrix import Imatrix
from joco_mlx.gguf.plan import make_plan
from joco_mlx.gguf.stream import write_gguf
from joco_mlx.merge import Weights
from joco_mlx.progress import Progress, Silent, task


@dataclass(frozen=True)
class Exported:
    """A finished file."""

    path: Path
    nbytes: int
    parameters: int
    types: dict[str, int]
    """Type -> number of tensors stored in it."""


def export(
    source: Weights,
    folder: Path,
    out: Path,
    *,
    quantization: Quantization,
    card: Card,
    mode: Mode = "reference",
    imatrix: Imatrix | None = None,
    force: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Exported:
    """Write a model as a GGUF.

    Args:
        source: The weights under their Hugging Face names.
        folder: Model folder with the `config.json` and the tokenizer that belong to them.
        out: The file to make.
        quantization: The mix of types.
        card: What the file says of itself.
        mode: How weights become blocks.
        imatrix: How much each column's error matters; in mode reference blocks become llama.cpp's with it.
        force: Replace `out` when it exists.
        threads: Chunks encoded at once; all cores when None.
        progress: Who is told.

    Raises:
        ConflictError: `out` exists.
        InputError: The model cannot be expressed as a GGUF, the matrix is another model's, or a weight is not finite or too large.
        MachineError: The disk is too small or refuses.
    """
    artifacts.refuse_existing(out, force=force)
    plan = make_plan(source, folder, quantization, card)
    if imatrix:
        imatrix.check({tensor.name: tensor.shape[-1] for tensor, _ in plan.tensors})
    artifacts.require_disk(out, plan.nbytes, str(out))
    with (
        artifacts.whole_path(out) as temporary,
        task(progress or Silent(), f"Writing {out.name}", plan.parameters, "weights") as bar,
    ):
        write_gguf(temporary, plan, source, mode=mode, threads=threads, bar=bar, imatrix=imatrix)
    types = Counter(kind.name for _, kind in plan.tensors)
    return Exported(out, out.stat().st_size, plan.parameters, dict(types))
