"""A name becomes a model on disk: of the registry, of the Hub, or a folder.

Decides what a name means and in which order: registry, folder, Hub (`ORG/NAME` or `ORG/NAME@REVISION`). Leaves fetching
to `download` and `embedded`, and judging the folder to `folder`.
"""

import re
from pathlib import Path

from joco_mlx.errors import InputError
from joco_mlx.models import embedded, registry
from joco_mlx.models.download import fetch
from joco_mlx.models.folder import ModelFolder, open_folder
from joco_mlx.progress import Progress

__all__ = ["ModelFolder", "locate", "open_folder"]

_HUB_NAME = re.compile(r"(?P<repository>[A-Za-z0-9][\w.-]*/[\w.-]+)(@(?P<revision>[\w./-]+))?")


def locate(name: str, *, progress: Progress) -> ModelFolder:
    """Return the checked model folder that `name` means, fetched when it is not here yet.

    Args:
        name: A registry name or alias, a folder, or a Hub name with or without `@REVISION`.
        progress: Shows what is fetched.

    Raises:
        InputError: Nothing has this name, or what has it is no usable model.
        MachineError: It must be fetched, and there is no network or too little disk.
    """
    entry = registry.find(name)
    if entry is not None:
        return _of_registry(entry, progress)
    path = _existing(name)
    if path is not None:
        return _of_path(path)
    hub = _HUB_NAME.fullmatch(name)
    if hub is None:
        raise _unknown(name)
    repository = hub["repository"]
    fetched = fetch(repository, hub["revision"], progress=progress)
    known = registry.find_repository(repository)
    return open_folder(fetched.path, name=repository, base=known, revision=fetched.revision)


def _of_registry(entry: registry.BaseModel, progress: Progress) -> ModelFolder:
    if entry.repository is None:
        return open_folder(embedded.materialise(progress=progress), name=entry.name, base=entry)
    if entry.note:
        progress.note(f"{entry.name}: {entry.note}")
    fetched = fetch(entry.repository, entry.revision, progress=progress)
    return open_folder(fetched.path, name=entry.name, base=entry, revision=fetched.revision)


def _existing(name: str) -> Path | None:
    """Return what lies at `name`; text that cannot be a path is none."""
    try:
        path = Path(name).expanduser()
        return path if name and path.exists() else None
    except (OSError, RuntimeError, ValueError):  # too long, no such user, a NUL byte
        return None


def _of_path(path: Path) -> ModelFolder:
    if path.is_file():
        raise InputError(
            f"{path} is a file, not a model folder.",
            "Give the folder with config.json, tokenizer.json and model*.safetensors.",
        )
    if (path / "run.json").is_file():
        raise InputError(
            f"{path} is a training run, not a base model.",
            f"Use it with joco-mlx suggest --model {path}, or make a model of it: joco-mlx fuse {path}",
        )
    return open_folder(path)


def _unknown(name: str) -> InputError:
    return InputError(
        f"There is no model named {name!r}.",
        f"Use one of: {', '.join(registry.nearest(name))}; a folder; or a Hub name (ORG/NAME).",
    )
