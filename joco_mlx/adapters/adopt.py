"""An adapter that another trainer made becomes a run, so that fuse, suggest and bench take it.

Decides what `run.json` says of training that nobody here watched: what the adapter itself knows, and, where
`train --write-only` prepared it, the settings, base and data that were written down then. Leaves the adapter's own
layout to `convert`.
"""

import dataclasses
import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from joco_mlx import artifacts
from joco_mlx.adapters.convert import TENSORS, Converted, convert, form_of
from joco_mlx.adapters.other_base import warnings
from joco_mlx.adapters.peft_config import CONFIG
from joco_mlx.adapters.training_base import TrainingBase
from joco_mlx.artifacts import Artifact
from joco_mlx.config import RUNS_FOLDER, TrainConfig, resolve
from joco_mlx.errors import InputError, UsageError
from joco_mlx.merge import open_merged
from joco_mlx.merge.weights import read_object
from joco_mlx.models import hub
from joco_mlx.models.folder import ModelFolder
from joco_mlx.models.runs import ADAPTERS, RUN_FILE, BaseRecord, DatasetRecord
from joco_mlx.progress import Progress, Silent

PREPARED = "joco-mlx.json"
"""What `train --write-only` leaves beside the files of another trainer: `config` and `dataset` as in run.json."""
_LOOK_UP = 3


def adopt(
    source: Path,
    *,
    model: str | None = None,
    data: Path | None = None,
    out: Path | None = None,
    progress: Progress | None = None,
) -> Artifact:
    """Make a finished run of an adapter.

    Args:
        source: A folder in PEFT's or mlx-lm's layout.
        model: Base model to use it on; what the preparation says when None.
        data: Dataset that it was trained on, so that the benchmark knows what it has seen.
        out: The run to make; `runs/TIME-adopted` when None.
        progress: Who watches.

    Raises:
        InputError: The adapter cannot be converted, or does not fit the base.
        UsageError: Nothing says which base it is for.
        ConflictError: The run exists.
        MachineError: The base must be fetched and there is no network, or the disk is full.
    """
    shown = progress or Silent()
    if not source.is_dir():
        raise InputError(f"There is no folder {source}.", "Give the folder of an adapter, PEFT's or mlx-lm's.")
    prepared = _preparation(source)
    name = model or prepared.get("config", {}).get("model")
    if name is None:
        raise UsageError(f"Nothing in {source} says which base model it is for.", "Give --model the base model.")
    base = hub.locate(name, progress=shown)
    folder = out or RUNS_FOLDER / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-adopted"
    with artifacts.whole_folder(folder) as made:
        adapter = _adapter(source, made / ADAPTERS, base, prepared)
        open_merged(base.path, made / ADAPTERS)
        for warning in warnings(made / ADAPTERS, base):
            shown.note(warning)
        _put_on(base, made / ADAPTERS / CONFIG)
        document = _document(source, adapter, base, prepared, _dataset(data, prepared))
        artifacts.write_json(made / RUN_FILE, document)
        files = [made / RUN_FILE, *(made / ADAPTERS).iterdir()]
        artifacts.seal(made, "run", config=document["config"], parents={"base": base.digest}, files=files)
    return artifacts.open_artifact(folder, "run")


def _preparation(source: Path) -> dict[str, Any]:
    """Return what was written down before training, in the adapter's folder or one above it; empty when nothing was."""
    for folder in (source, *source.resolve().parents[:_LOOK_UP]):
        if (folder / PREPARED).is_file():
            try:
                found = json.loads((folder / PREPARED).read_text("utf-8"))
                return {"config": dict(found["config"]), "dataset": dict(found["dataset"]), **found}
            except (OSError, ValueError, KeyError, TypeError) as problem:
                raise InputError(f"{folder / PREPARED} is damaged: {problem}.", "Remove it, and give --model.") from (
                    problem
                )
    return {}


def _adapter(source: Path, target: Path, base: ModelFolder, prepared: Mapping[str, Any]) -> Converted:
    """Put the adapter into `target` in mlx-lm's layout; what it says of its training base stays."""
    assumed = TrainingBase.of(base, prepared.get("quantization"))
    if form_of(source) == "peft":
        made = convert(source, target)
        known = made.base is not None and made.base.digest is not None
        return made if known else convert(source, target, base=assumed, force=True)
    checked = convert(source, target.with_name("checked"), base=assumed)
    shutil.rmtree(checked.folder)
    target.mkdir()
    for name in (CONFIG, TENSORS["mlx"]):
        shutil.copyfile(source / name, target / name)
    return dataclasses.replace(checked, folder=target, form="mlx")


def _put_on(base: ModelFolder, path: Path) -> None:
    """Let the adapter say that it belongs to `base`; in which form its training base was held stays."""
    config = read_object(path)
    trained_on = TrainingBase.of_mlx(config)
    held = base.quantization if trained_on is None or trained_on.digest is None else trained_on.quantization
    record = TrainingBase(base.name, base.digest, held)
    artifacts.write_json(path, {**config, "model": base.name, "base": dataclasses.asdict(record)})


def _dataset(data: Path | None, prepared: Mapping[str, Any]) -> DatasetRecord:
    if data is None:
        about = prepared.get("dataset", {"path": "", "digest": "", "records": 0})
        return DatasetRecord(str(about["path"]), str(about["digest"]), int(about["records"]))
    artifact = artifacts.open_artifact(data, "dataset")
    with (data / "train.jsonl").open("rb") as lines:
        return DatasetRecord(str(data.resolve()), artifact.digest, sum(1 for _ in lines))


def _document(
    source: Path, adapter: Converted, base: ModelFolder, prepared: Mapping[str, Any], data: DatasetRecord
) -> dict[str, Any]:
    known = resolve(TrainConfig, {}, environment={}, files={PREPARED: prepared.get("config", {})})
    config = dataclasses.replace(
        known,
        model=base.name,
        rank=adapter.rank,
        alpha=adapter.scale * adapter.rank,
        adapter=adapter.kind,  # an rsLoRA's scale is in alpha
        dropout=adapter.dropout,
        target_modules=tuple(adapter.extent.short_modules),
        layers=len(adapter.extent.layers),
    )
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {
        "state": "finished",
        "started_at": now,
        "changed_at": now,
        "adopted_from": str(source.resolve()),
        "config": dataclasses.asdict(config),
        "base": BaseRecord.of(base).to_json(),
        "dataset": data.to_json(),
        "versions": artifacts.versions(),
        "segments": [],
    }
