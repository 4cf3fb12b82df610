"""From flags, environment and files to one config: where the command line looks, and what a repository may not set."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import typer

from joco_mlx import config
from joco_mlx.errors import InputError
from joco_mlx.models import registry

Config = TypeVar("Config")

# A cloned repository must not choose what is downloaded, run, talked to or replaced, nor what is kept of a person's work.
_NOT_FOR_REPOSITORIES = ("model", "data", "out", "url", "engine", "keep_edits", "merge_into", "imatrix", "force")
_WITHOUT_A_FLAG = ("keep_edits",)


def option(made: type[Any], name: str, *spellings: str) -> Any:
    """Return the typer option of a config field, with its help text and its default from `config`."""
    default = config.default_of(made, name)
    shown = ",".join(default) if isinstance(default, tuple) else default
    text = config.help_of(made, name)
    if shown is not None and not isinstance(shown, bool):
        text += f" [default: {shown}]"
    return typer.Option(*(spellings or (config.flag_of(made, name),)), help=text, show_default=False)


def settings(
    made: type[Config],
    stage: str,
    flags: Mapping[str, Any],
    *,
    file: Path | None = None,
    repository: Path | None = None,
) -> Config:
    """Build the config of `stage` from every source.

    Args:
        made: The config's class.
        stage: The table that files use for it.
        flags: What the command line gave; None means "not given".
        file: `--config`; it stands in the place of the repository's file.
        repository: Folder whose `.joco-mlx.toml` counts, else that of the work tree it lies in; the current one when
            None.
    """
    return config.resolve(made, flags, files=_files(stage, file, repository or Path()))


def train_settings(flags: Mapping[str, Any], *, file: Path | None = None) -> config.TrainConfig:
    """Build the trainer's config; the registry's better values for the chosen model replace the built-in defaults."""
    model = settings(config.TrainConfig, "train", {"model": flags.get("model")}, file=file).model
    base = registry.find(model)
    files = _files("train", file, Path())
    return config.resolve(config.TrainConfig, flags, files=files, better_defaults=base.training if base else {})


def suggest_settings(flags: Mapping[str, Any], *, repository: Path | None = None) -> config.SuggestConfig:
    """Build the config of what suggests; an engine in a file goes with the model there, not with a stronger one."""
    files = _files("suggest", None, repository or Path())
    prefix = config.ENVIRONMENT_PREFIX
    if flags.get("model") is not None or f"{prefix}MODEL" in os.environ:
        files = {name: {key: table[key] for key in table if key != "engine"} for name, table in files.items()}
    return config.resolve(config.SuggestConfig, flags, files=files)


def _files(stage: str, given: Path | None, repository: Path) -> dict[str, dict[str, Any]]:
    """Return source -> table, strongest first."""
    found: dict[str, dict[str, Any]] = {}
    if given is not None:
        found[str(given)] = config.read_file(given, stage)
    elif own := _repository_file(repository):
        found[str(own)] = _harmless(own, stage, config.read_file(own, stage))
    user = config.user_file()
    if _is_there(user):
        found[str(user)] = config.read_file(user, stage)
    return found


def _repository_file(folder: Path) -> Path | None:
    """Return the file of a folder, else that at the top of the work tree around it, found without starting git."""
    places = [folder]
    with suppress(OSError):  # the folder that we are in is gone
        here = folder.resolve()
        places += [place for place in (here, *here.parents) if os.path.lexists(place / ".git")][:1]
    return next((own for place in places if _is_there(own := place / config.REPOSITORY_FILE)), None)


def _is_there(path: Path) -> bool:
    """Whether a file is there, or nobody may look: then reading it says so."""
    try:
        return path.is_file()
    except PermissionError:
        return True


def _harmless(path: Path, stage: str, table: dict[str, Any]) -> dict[str, Any]:
    made = config.TABLES[stage]
    for name in _NOT_FOR_REPOSITORIES:
        if name in table and name in made.__dataclass_fields__:
            ways = [] if name in _WITHOUT_A_FLAG else [f"by {config.flag_of(made, name)}"]
            ways += [f"by --config {path}"] if stage == "train" else []
            ways += [f"below [{stage}] in your own {config.user_file()}"]
            raise InputError(
                f"{path} sets {name!r}, which a repository may not choose.", f"Set it {', or '.join(ways)}."
            )
    return table
