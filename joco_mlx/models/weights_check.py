"""Whether a folder holds weights that can be read, found out from names, sizes and headers alone.

Decides what counts as weights: safetensors under mlx-lm's names. Pickled weights are refused by name and never opened,
because unpickling runs code. Format of a header: the safetensors specification (8 bytes little-endian length, then
JSON with `data_offsets` relative to the header's end).
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from joco_mlx.errors import InputError

PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
INDEX = "model.safetensors.index.json"
_SAMPLES, _SAMPLE_BYTES = 64, 4_096
_LONGEST_HEADER = 100_000_000  # what the safetensors library accepts


def weight_files(folder: Path) -> tuple[Path, ...]:
    """Return the weight files of a model folder, sorted by name, after checking that each is whole.

    Raises:
        InputError: There are none, only pickled ones, one that the index names is missing, or one is cut short.
    """
    files = tuple(sorted(folder.glob("model*.safetensors")))
    if not files:
        raise _no_weights(folder)
    for name in sorted(_indexed(folder)):
        if not (folder / name).is_file():
            raise InputError(f"{folder / name} is missing, but {INDEX} lists it.", "Download the model again.")
    for file in files:
        check_whole(file)
    return files


def fingerprint(config: Path, files: Iterable[Path]) -> str:
    """Return a SHA-256 that tells one model from another without reading gigabytes.

    It covers config.json, and of each weight file its name, size, header and 64 samples of 4 KiB spread over the data.
    Two trainings of one architecture differ in it; a single flipped bit may not, which is for checksums to find.
    """
    digest = hashlib.sha256(config.read_bytes())
    for file in files:
        size = file.stat().st_size
        digest.update(f"{file.name} {size}".encode())
        with file.open("rb") as opened:
            start = 8 + int.from_bytes(opened.read(8), "little")
            opened.seek(0)
            digest.update(opened.read(start))
            for number in range(_SAMPLES):
                opened.seek(start + (size - start) * number // _SAMPLES)
                digest.update(opened.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def _no_weights(folder: Path) -> InputError:
    pickled = [file.name for pattern in PICKLED for file in sorted(folder.glob(pattern))]
    if pickled:
        return InputError(
            f"{folder} has only pickled weights ({pickled[0]}), which are never opened because they can run code.",
            "Use a model with safetensors weights; joco-mlx models lists some.",
        )
    other = sorted(folder.glob("*.safetensors"))
    if other:
        return InputError(
            f"{folder} has weights in {other[0].name}, but they must be in model*.safetensors.",
            f"If it holds the whole model, rename it to model.safetensors in {folder}.",
        )
    return InputError(
        f"{folder} has no weights (model*.safetensors).",
        "Give a folder with config.json, tokenizer.json and model*.safetensors.",
    )


def _indexed(folder: Path) -> set[str]:
    path = folder / INDEX
    if not path.is_file():
        return set()
    try:
        return set(json.loads(path.read_text("utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise InputError(f"{path} is damaged: {problem}.", "Download the model again.") from problem


def check_whole(file: Path, again: str = "Download the model again.") -> None:
    """Check that a safetensors file is as long as its header says.

    Raises:
        InputError: It is not, or it has no such header; `again` is what to do then.
    """
    try:
        declared, size = _declared_size(file), file.stat().st_size
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as problem:
        raise InputError(f"{file} is no safetensors file: {problem}.", again) from problem
    if declared != size:
        raise InputError(f"{file} has {size} bytes instead of {declared}.", again)


def _declared_size(file: Path) -> int:
    """Return the size in bytes that the header of a safetensors file promises."""
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if length > _LONGEST_HEADER:
            raise ValueError("its header is too long")
        header: dict[str, Any] = json.loads(opened.read(length))
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    return 8 + length + max(ends, default=0)
