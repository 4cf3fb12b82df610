"""Where a value comes from, and which source wins: a flag, the environment, a file, the registry, the default."""

import os
import tomllib
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from platformdirs import user_config_path

from joco_mlx.config.known import ENVIRONMENT_PREFIX, meant, refuse_unknown_tables, refuse_unknown_variables
from joco_mlx.config.options import OutOfRangeError, flag_of
from joco_mlx.config.values import convert
from joco_mlx.errors import InputError

REPOSITORY_FILE = ".joco-mlx.toml"
Config = TypeVar("Config")


def resolve(
    config: type[Config],
    flags: Mapping[str, Any],
    *,
    files: Mapping[str, Mapping[str, Any]] | None = None,
    environment: Mapping[str, str] | None = None,
    better_defaults: Mapping[str, Any] | None = None,
) -> Config:
    """Build `config` from its sources; the first that names a field wins.

    Args:
        config: A dataclass of this package.
        flags: Command-line values; None means "not given".
        files: Source name -> table, strongest first (see `read_file`).
        environment: Variables; `os.environ` when None.
        better_defaults: The registry's values for one model; they yield to everything but the built-in default.

    Raises:
        UsageError: A value has the wrong type or is out of range, or a variable of ours is none.
        InputError: A file names a field that does not exist.
    """
    environment = os.environ if environment is None else environment
    refuse_unknown_variables(environment)
    hints = typing.get_type_hints(config)
    values: dict[str, Any] = dict(better_defaults or {})
    told_by: dict[str, str] = {}
    for source, table in reversed(list((files or {}).items())):
        for name, value in table.items():
            if name not in hints:
                hint = meant(name, hints, "Write {}. ") + f"Use one of: {', '.join(sorted(hints))}."
                raise InputError(f"{source} sets {name!r}, which is no setting.", hint)
            told_by[name] = f"{name} in {source}"
            values[name] = convert(hints[name], value, told_by[name])
    for name, hint in hints.items():
        variable = ENVIRONMENT_PREFIX + name.upper()
        if variable in environment:
            told_by[name] = variable
            values[name] = convert(hint, environment[variable], variable)
        if flags.get(name) is not None:
            told_by[name] = flag_of(config, name)
            values[name] = convert(hint, flags[name], told_by[name])
    try:
        return config(**values)
    except OutOfRangeError as problem:
        raise problem.of(told_by.get(problem.name) or flag_of(config, problem.name)) from None


def user_file() -> Path:
    """Return where a user's own settings are."""
    return user_config_path("joco-mlx") / "config.toml"


def read_file(path: Path, table: str) -> dict[str, Any]:
    """Return one table (`train`, `suggest`, ...) of a TOML file; empty when the file does not have it.

    Raises:
        InputError: The file is not there, cannot be read, is not TOML, or sets what no command reads.
    """
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as problem:
        raise InputError(
            f"There is no file {path}.", f"Write it, with a [{table}] table, or leave it out."
        ) from problem
    except IsADirectoryError as problem:
        raise InputError(f"{path} cannot be read: it is a folder.", "Name a file.") from problem
    except OSError as problem:
        raise InputError(
            f"{path} cannot be read: {problem.strerror or problem}.", f"Let yourself read it: chmod u+r {path}"
        ) from problem
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise InputError(f"{path} cannot be read as TOML: {problem}.", f"Repair or remove {path}.") from problem
    refuse_unknown_tables(path, document)
    found = document.get(table, {})
    if not isinstance(found, dict):
        raise InputError(f"{table!r} in {path} is no table.", f"Write it as [{table}] with one setting a line.")
    return found
