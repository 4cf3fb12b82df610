"""Merged weights as a 16-bit model folder in Hugging Face form.

Decides what the folder holds and how it is stored: bfloat16, never quantised again, because a second quantisation keeps
only 13 to 16 % of a small adapter's change (mlx-lm's `fuse` quantises by default). Rows go from the base to the disk;
the model is never in memory. Leaves the merging to `merge`.
"""

import dataclasses
import math
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from joco_mlx import artifacts
from joco_mlx.adapters.other_base import warnings
from joco_mlx.artifacts import Artifact
from joco_mlx.config import FuseConfig
from joco_mlx.errors import ConflictError, InputError
from joco_mlx.merge import Weights, open_merged
from joco_mlx.merge.tensorfile import bfloat16_header, to_bfloat16
from joco_mlx.merge.weights import read_object
from joco_mlx.models.folder import ModelFolder, template_record
from joco_mlx.models.rotary import older_settings
from joco_mlx.models.runs import Run, base_folder
from joco_mlx.progress import Progress, Task, task

SHARD_BYTES = 2 << 30
COPIED = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "chat_template.jinja",
    "generation_config.json",
    "LICENSE*",
    "NOTICE*",
)
"""What is taken over from the base as it is; licences ask to travel with what was made from them."""
CHUNK_ITEMS = 1 << 22
"""Elements merged at a time: 16 MB in float32, whatever the size of a tensor."""


def fuse(config: FuseConfig, run: Run, *, progress: Progress) -> Artifact:
    """Merge a run's best adapter into its base and write the result as a 16-bit model folder.

    Args:
        config: Where to; `RUN/fused` when it does not say.
        run: From `models.runs.open_run`.
        progress: Told of every tensor.

    Returns:
        A sealed artefact of kind `fused`, which mlx-lm and transformers load. Nothing is left behind on a failure.

    Raises:
        ConflictError: The folder exists and may not be replaced.
        InputError: Base or adapter are missing, damaged or do not belong together.
        MachineError: The disk is too small.
    """
    out = config.out or run.folder / "fused"
    _refuse_existing(out, force=config.force)
    base = base_folder(run, progress=progress)
    for warning in warnings(run.adapter, base):
        progress.note(warning)
    weights = open_merged(base.path, run.adapter)
    artifacts.require_disk(out, model_bytes(weights), "The fused model")
    with artifacts.whole_folder(out, force=config.force) as folder:
        write_model(weights, base.path, folder, progress=progress)
        files = list(folder.iterdir())
        artifacts.seal(folder, "fused", config=_record(config, run, base), parents=_parents(run, base), files=files)
    return artifacts.open_artifact(out, "fused")


def _record(config: FuseConfig, run: Run, base: ModelFolder) -> dict[str, Any]:
    """What the manifest keeps: the settings, and all that is needed to speak to the model as in training."""
    return {
        **dataclasses.asdict(config),
        **template_record(base.template),
        "max_seq_length": run.config.max_seq_length,
        "base": base.name,
        "revision": base.revision,
        "licence": base.base.licence if base.base else None,
    }


def _parents(run: Run, base: ModelFolder) -> dict[str, str]:
    """An unfinished run has no manifest yet; then its adapter stands for it."""
    made_from = run.folder / artifacts.MANIFEST if run.is_finished else run.adapter / "adapters.safetensors"
    return {"run": artifacts.sha256(made_from), "base": base.digest}


def _refuse_existing(out: Path, *, force: bool) -> None:
    """Even with `force` only a fused model is replaced: `--out .` must never remove somebody's work."""
    artifacts.refuse_existing(out, force=force)
    if not out.exists():
        return
    try:
        artifacts.open_artifact(out, "fused")
    except InputError as problem:
        raise ConflictError(
            f"{out} exists and is no fused model, so it is not replaced.", "Choose another --out, or move it away."
        ) from problem


def write_model(weights: Weights, source: Path, folder: Path, *, progress: Progress) -> None:
    """Write `weights` as a model folder.

    Args:
        weights: The tensors.
        source: The base model's folder: configuration, tokenizer and licence come from there.
        folder: Exists and is empty.
        progress: Told of every tensor.
    """
    _write_config(weights, source, folder)
    for pattern in COPIED:
        for file in sorted(source.glob(pattern)):
            shutil.copyfile(file, folder / file.name)
    shards = list(_shards(weights))
    with task(progress, "Merging", len(weights.names()), "tensors") as merging:
        for names, shard in zip(shards, _shard_files(len(shards)), strict=True):
            _write_shard(weights, names, folder / shard, merging)
    if len(shards) > 1:
        _write_index(weights, shards, folder)


def model_bytes(weights: Weights) -> int:
    """Return how many bytes the tensors take in 16 bits."""
    return sum(_tensor_bytes(weights, name) for name in weights.names())


def _tensor_bytes(weights: Weights, name: str) -> int:
    return 2 * math.prod(weights.shape(name))


def _shards(weights: Weights) -> Iterator[list[str]]:
    """Cut the tensors into files of at most SHARD_BYTES; a bigger tensor gets a file of its own."""
    names: list[str] = []
    size = 0
    for name in weights.names():
        needed = _tensor_bytes(weights, name)
        if names and size + needed > SHARD_BYTES:
            yield names
            names, size = [], 0
        names.append(name)
        size += needed
    yield names


def _shard_files(count: int) -> list[str]:
    if count == 1:
        return ["model.safetensors"]
    return [f"model-{number:05d}-of-{count:05d}.safetensors" for number in range(1, count + 1)]


def _write_shard(weights: Weights, names: Sequence[str], path: Path, merging: Task) -> None:
    with path.open("wb") as file:
        file.write(bfloat16_header({name: weights.shape(name) for name in names}))
        for name in names:
            shape = weights.shape(name)
            step = max(1, CHUNK_ITEMS // max(1, math.prod(shape[1:])))
            for start in range(0, shape[0], step):
                file.write(to_bfloat16(weights.read(name, start, start + step)).data)
            merging.advance()


def _write_index(weights: Weights, shards: Sequence[Sequence[str]], folder: Path) -> None:
    files = _shard_files(len(shards))
    weight_map = {name: file for names, file in zip(shards, files, strict=True) for name in names}
    artifacts.write_json(
        folder / "model.safetensors.index.json",
        {"metadata": {"total_size": model_bytes(weights)}, "weight_map": weight_map},
    )


def _write_config(weights: Weights, source: Path, folder: Path) -> None:
    """Write the base's configuration without what says that the weights are quantised.

    Rotary settings get the names that mlx-lm reads; transformers reads both.
    """
    path = source / "config.json"
    config = read_object(path)
    config |= older_settings(config, str(path))
    for name in ("quantization", "quantization_config", "dtype"):
        config.pop(name, None)
    config["torch_dtype"] = "bfloat16"
    config["tie_word_embeddings"] = "lm_head.weight" not in weights.names()
    artifacts.write_json(folder / "config.json", config)
