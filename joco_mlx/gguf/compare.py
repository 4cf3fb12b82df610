"""What a file's metadata and tensor table say, held against what the model calls for: each difference one sentence."""

from collections.abc import Iterator

import numpy as np

from joco_mlx.gguf.container import GgufFile, Value, padded
from joco_mlx.gguf.plan import Plan
from joco_mlx.gguf.recipe import FILE_TYPES

_WORDS = ("general.name", "general.size_label", "general.license", "general.base_model")
"""Keys whose words are the maker's choice: they have to be there."""
_SHOWN_CHARS = 60


def metadata_problems(file: GgufFile, plan: Plan) -> Iterator[str]:
    """Tell every key that is missing or wrong."""
    claimed = file.metadata.get("general.file_type")
    if claimed not in FILE_TYPES.values():
        known = ", ".join(f"{number} ({name})" for name, number in FILE_TYPES.items())
        yield f"general.file_type is {claimed!r}, but only {known} can be checked tensor by tensor."
    for key, expected in plan.metadata.items():
        found = file.metadata.get(key)
        if found is None:
            yield f"{key} is missing; it should be {_short(expected)}."
        elif key != "general.file_type" and not key.startswith(_WORDS) and not _equal(found, expected):
            yield _difference(key, found, expected)


def tensor_problems(file: GgufFile, plan: Plan) -> Iterator[str]:
    """Tell every tensor that is missing, foreign, of another shape or type, and bytes that belong to none."""
    typed = file.metadata.get("general.file_type") in FILE_TYPES.values()
    for tensor, kind in plan.tensors:
        stored = file.tensors.get(tensor.name)
        if stored is None:
            yield f"The tensor {tensor.name} is missing."
        elif stored.shape != tensor.shape:
            yield f"{tensor.name} has the shape {list(stored.shape)}; it should be {list(tensor.shape)}."
        elif typed and stored.kind is not kind:
            yield f"{tensor.name} is stored as {stored.kind.name}; this mix has {kind.name} there."
    planned = {tensor.name for tensor, _ in plan.tensors}
    for name in file.tensors:
        if name not in planned:
            yield f"The tensor {name} has no place in this model."
    end = max((tensor.begin + tensor.nbytes for tensor in file.tensors.values()), default=file.nbytes)
    if file.nbytes > padded(end):
        yield f"{file.nbytes - end} bytes lie behind the last tensor."


def _equal(found: Value, expected: Value) -> bool:
    """Numbers are stored in 32 bits."""
    if isinstance(found, float) and isinstance(expected, float):
        return bool(np.float32(found) == np.float32(expected))
    return found == expected


def _difference(key: str, found: Value, expected: Value) -> str:
    if isinstance(found, list) and isinstance(expected, list):
        if len(found) != len(expected):
            return f"{key} has {len(found)} entries; it should have {len(expected)}."
        place = next(i for i, (a, b) in enumerate(zip(found, expected, strict=True)) if a != b)
        return f"{key} has {_short(found[place])} at {place}; it should be {_short(expected[place])}."
    return f"{key} is {_short(found)}; it should be {_short(expected)}."


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}..."
