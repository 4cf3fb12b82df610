"""A run folder, read: which base, which adapter, which settings.

Decides the schema of `run.json` (trainers write it with `BaseRecord` and `DatasetRecord`), which run is meant when none
is named, and which of a run's adapters is used: `adapters/` holds the best checkpoint. Leaves writing to the trainer.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from joco_mlx import artifacts
from joco_mlx.commit.prompt import Template
from joco_mlx.config import RUNS_FOLDER, TrainConfig, resolve
from joco_mlx.errors import InputError
from joco_mlx.models import hub, registry
from joco_mlx.models.folder import ModelFolder, named_template, open_folder
from joco_mlx.progress import Progress

RUN_FILE = "run.json"
ADAPTERS = "adapters"
TRAIN_HINT = "Train one: joco-mlx train"

State = Literal["running", "interrupted", "failed", "finished"]


@dataclass(frozen=True)
class BaseRecord:
    """The base model of a run, as `run.json` has it under `base`."""

    name: str
    revision: str | None
    path: str
    template: str
    end_token: str
    quantization: Mapping[str, Any] | None
    digest: str

    @classmethod
    def of(cls, folder: ModelFolder) -> "BaseRecord":
        """Return what a run on `folder` writes down."""
        return cls(
            name=folder.name,
            revision=folder.revision,
            path=str(folder.path.resolve()),
            template=folder.template.name,
            end_token=folder.template.end_token,
            quantization=folder.quantization,
            digest=folder.digest,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the table for `run.json`."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class DatasetRecord:
    """The dataset of a run, as `run.json` has it under `dataset`."""

    path: str
    digest: str
    """SHA-256 of the dataset's manifest."""
    records: int
    """Records that were trained on."""

    def to_json(self) -> dict[str, Any]:
        """Return the table for `run.json`."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Run:
    """A run folder whose `run.json` was read and checked."""

    folder: Path
    state: State
    config: TrainConfig
    base: BaseRecord
    dataset: DatasetRecord
    started_at: str
    """ISO 8601."""
    document: Mapping[str, Any]
    """Everything that `run.json` says: versions, segments, and what a later version adds."""

    @property
    def is_finished(self) -> bool:
        """Whether the run came to its end; only a finished run has a manifest."""
        return self.state == "finished" and artifacts.is_finished(self.folder)

    @cached_property
    def template(self) -> Template:
        """The template that the run was trained with."""
        return named_template(self.base.template, self.base.end_token, str(self.folder / RUN_FILE))

    @property
    def adapter(self) -> Path:
        """The folder with the best checkpoint's adapter.

        Raises:
            InputError: The run has none yet.
        """
        folder = self.folder / ADAPTERS
        if not all((folder / name).is_file() for name in ("adapters.safetensors", "adapter_config.json")):
            raise InputError(
                f"{self.folder} has no adapter yet; its state is {self.state}.",
                "Let it go on until its first checkpoint, or name another run.",
            )
        return folder


def open_run(path: Path | str | None = None, *, root: Path = RUNS_FOLDER) -> Run:
    """Open a run: the latest finished one in `root` when none is named, or the named one in any state.

    Args:
        path: A run folder, or the name of one in `root`.
        root: Where runs are kept.

    Raises:
        InputError: There is no such run, it is damaged, or none is finished.
    """
    if path is None:
        return _latest(root)
    folder = next((place for place in (Path(path), root / path) if (place / RUN_FILE).is_file()), None)
    if folder is None:
        raise InputError(f"There is no run at {path} (no {RUN_FILE}).", TRAIN_HINT)
    return _read(folder)


def base_folder(run: Run, *, progress: Progress) -> ModelFolder:
    """Return the base model that `run` was trained on, with the template it was trained with.

    A base that is still where it was needs no network; otherwise it is fetched again at the recorded revision.

    Raises:
        InputError: It cannot be found, or is not the same model any more.
        MachineError: It must be fetched and there is no network.
    """
    record = run.base
    entry = registry.find(record.name)
    known = entry or registry.find_repository(record.name)
    embedded = entry is not None and entry.repository is None
    if Path(record.path).is_dir() and not embedded:
        found = open_folder(Path(record.path), name=record.name, base=known, revision=record.revision)
    elif entry is not None or "/" in record.name:
        found = hub.locate(_pinned(record, entry), progress=progress)
    else:
        raise InputError(
            f"The base model of {run.folder} is no longer at {record.path}.", "Bring it back, or train again."
        )
    if found.digest != record.digest:
        raise InputError(
            f"The base model {record.name} at {found.path} is not the one that {run.folder} was trained on.",
            f"Bring the old one back, or train again: joco-mlx train --model {record.name}",
        )
    return replace(found, name=record.name, base=known, template=run.template)


def _pinned(record: BaseRecord, entry: registry.BaseModel | None) -> str:
    """The name to fetch the recorded base by, at the recorded revision."""
    name = entry.repository if entry and entry.repository else record.name
    return f"{name}@{record.revision}" if record.revision else name


def _latest(root: Path) -> Run:
    documents = sorted(root.glob(f"*/{RUN_FILE}"))
    finished = [document.parent for document in documents if artifacts.is_finished(document.parent)]
    if finished:
        return max(map(_read, finished), key=lambda run: run.started_at)
    if not documents:
        raise InputError(f"There is no run in {root} yet.", TRAIN_HINT)
    newest = max(documents, key=lambda document: document.stat().st_mtime).parent
    raise InputError(f"No run in {root} is finished.", f"Name an unfinished one, like {newest}, or train again.")


def _read(folder: Path) -> Run:
    path = folder / RUN_FILE
    try:
        document = json.loads(path.read_text("utf-8"))
        state, config = document["state"], document["config"]
        if state not in get_args(State):
            raise ValueError(f"its state is {state!r}")  # noqa: TRY301  (told with the other damages)
        base, dataset = _record(BaseRecord, document["base"]), _record(DatasetRecord, document["dataset"])
        started_at = str(document["started_at"])
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise InputError(f"{path} is damaged: {problem}.", TRAIN_HINT) from problem
    if artifacts.is_finished(folder):
        artifacts.open_artifact(folder, "run")
    settings = resolve(TrainConfig, {}, environment={}, files={str(path): config})
    return Run(folder, state, settings, base, dataset, started_at, document)


def _record(kind: Any, table: Mapping[str, Any]) -> Any:
    """Build a record from its table; entries that a later version added are left out."""
    return kind(**{field.name: table[field.name] for field in dataclasses.fields(kind)})
