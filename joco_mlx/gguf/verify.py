"""Does this file say what the model says?

Decides when a GGUF is sound: whole, with the metadata that the model's own config.json and tokenizer call for, every
tensor in its place, and every weight near enough to what was trained. The container is read by `container`, the weights
by the `gguf` package's decoders: neither shares code with what wrote the file. What a file should hold comes from the
same `plan` as the file did; that llama.cpp understands it so is for the tests, which run llama.cpp.
"""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType as Type

from joco_mlx.config import Quantization
from joco_mlx.errors import VerificationError
from joco_mlx.gguf.card import Card
from joco_mlx.gguf.compare import metadata_problems, tensor_problems
from joco_mlx.gguf.container import GgufFile, StoredTensor, open_gguf
from joco_mlx.gguf.encoders import decode
from joco_mlx.gguf.plan import Plan, make_plan
from joco_mlx.gguf.recipe import FILE_TYPES
from joco_mlx.gguf.stream import cores, row_chunks
from joco_mlx.gguf.tensors import PlannedTensor, Reader
from joco_mlx.merge import Weights, open_weights
from joco_mlx.models.folder import open_folder
from joco_mlx.progress import Progress, Silent, task

LIMITS: dict[Type, float] = {
    Type.F32: 0.0,
    Type.F16: 1e-3,
    Type.Q8_0: 0.02,
    Type.Q6_K: 0.05,
    Type.Q5_K: 0.1,
    Type.Q5_1: 0.12,
    Type.Q5_0: 0.12,
    Type.Q4_K: 0.2,
}
"""Largest root-mean-square error of a sound tensor, in units of the RMS of its weights.

Twice what normal weights give, and above what one outlier in every block gives; rows in a wrong order give 1.4.
"""
_FLOOR = 1e-7
"""Error that float16 scales may add to very small weights."""


@dataclass(frozen=True)
class TensorCheck:
    """How near a tensor of the file is to the model's."""

    name: str
    kind: Type
    error: float
    """RMSE in units of the RMS of the weights; NaN or infinite when the file holds such numbers."""
    sound: bool


@dataclass(frozen=True)
class Report:
    """What was found about a file."""

    path: Path
    nbytes: int
    parameters: int
    types: dict[str, int]
    """Type -> number of tensors."""
    tensors: tuple[TensorCheck, ...]
    problems: tuple[str, ...]
    """Each one sentence; empty for a sound file."""

    @property
    def worst(self) -> TensorCheck | None:
        """The tensor with the largest error, unsound ones first."""
        return max(self.tensors, key=lambda check: (not check.sound, check.error), default=None)

    def require_sound(self) -> None:
        """Raise VerificationError with the first problem, if there is one."""
        if self.problems:
            more = f" ({len(self.problems) - 1} more problems)" if len(self.problems) > 1 else ""
            raise VerificationError(f"{self.path}: {self.problems[0]}{more}", "joco-mlx gguf verify lists all of them.")


def verify(
    path: Path,
    against: Path,
    *,
    source: Weights | None = None,
    card: Card | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Compare a GGUF with the model that it was made from.

    Args:
        path: The file.
        against: Model folder with config.json and tokenizer.
        source: The weights that the file should hold (base and adapter, say); those in `against` when None.
        card: What the file should say of itself; what the folder gives when None.
        threads: Chunks compared at once; all cores when None.
        progress: Who is told.

    Raises:
        InputError: `path` is no GGUF, or `against` no model folder.
        VerificationError: The file is cut short or damaged, so that nothing in it can be compared.
    """
    file = open_gguf(path)
    weights = open_weights(against) if source is None else source
    plan = make_plan(weights, against, _quantization(file), card or Card.of(open_folder(against)))
    problems = [*metadata_problems(file, plan), *tensor_problems(file, plan)]
    with (
        task(progress or Silent(), f"Verifying {path.name}", plan.parameters, "weights") as bar,
        ThreadPoolExecutor(threads or cores()) as pool,
    ):
        checks = []
        for tensor, stored in _common(file, plan):
            checks.append(_check(file, weights, tensor, stored, pool))
            bar.advance(stored.weights, tensor=stored.name)
    problems += [_told(check) for check in checks if not check.sound]
    types = Counter(tensor.kind.name for tensor in file.tensors.values())
    return Report(path, file.nbytes, plan.parameters, dict(types), tuple(checks), tuple(problems))


def _quantization(file: GgufFile) -> Quantization:
    """The mix that the file claims to be; `compare` tells when it claims none that is known."""
    claimed = file.metadata.get("general.file_type")
    return next((name for name, number in FILE_TYPES.items() if number == claimed), "f16")


def _common(file: GgufFile, plan: Plan) -> Iterator[tuple[PlannedTensor, StoredTensor]]:
    for tensor, _ in plan.tensors:
        stored = file.tensors.get(tensor.name)
        if stored is not None and stored.shape == tensor.shape:
            yield tensor, stored


def _check(
    file: GgufFile, weights: Weights, tensor: PlannedTensor, stored: StoredTensor, pool: ThreadPoolExecutor
) -> TensorCheck:
    compare = partial(_squares, file, stored, tensor.reader(weights))
    with np.errstate(all="ignore"):
        sums = np.array(list(pool.map(compare, row_chunks(tensor.shape)))).sum(axis=0)
    error, size = np.sqrt(sums / stored.weights)
    limit = LIMITS.get(stored.kind, LIMITS[Type.Q4_K])
    allowed = limit * size + (0 if stored.kind is Type.F32 else _FLOOR)
    return TensorCheck(stored.name, stored.kind, float(error / size) if size else float(error), bool(error <= allowed))


def _squares(file: GgufFile, stored: StoredTensor, read: Reader, rows: tuple[int, int]) -> tuple[float, float]:
    """Sums of the squared errors and of the squared weights of some rows."""
    start, stop = rows
    row_bytes = stored.nbytes // stored.shape[0]
    decoded = decode(stored.kind, file.read(stored, start * row_bytes, (stop - start) * row_bytes))
    expected = read(start, stop).reshape(-1)
    with np.errstate(all="ignore"):
        errors = np.square(decoded - expected).sum(dtype=np.float64)
        return float(errors), float(np.square(expected).sum(dtype=np.float64))


def _told(check: TensorCheck) -> str:
    if not np.isfinite(check.error):
        return f"{check.name} holds numbers that are not finite."
    return (
        f"{check.name} is {check.error:.1%} away from the model's weights; "
        f"{check.kind.name} should be within {LIMITS.get(check.kind, LIMITS[Type.Q4_K]):.1%}."
    )
