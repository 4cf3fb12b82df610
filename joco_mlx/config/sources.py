"""The files that a value may come from."""

import tomllib
from pathlib import Path
from typing import Any

from platformdirs import user_config_path

from joco_mlx.errors import InputError

REPOSITORY_FILE = ".joco-mlx.toml"


def user_file() -> Path:
    """Return where a user's own settings are."""
    return user_config_path("joco-mlx") / "config.toml"


def read_file(path: Path, table: str) -> dict[str, Any]:
    """Return one table (`train`, `suggest`, ...) of a TOML file; empty when the file does not have it.

    Raises:
        InputError: The file cannot be read or is not TOML.
    """
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise InputError(f"{path} cannot be read as TOML: {problem}.", f"Repair or remove {path}.") from problem
    found = document.get(table, {})
    if not isinstance(found, dict):
        raise InputError(f"{table!r} in {path} is no table.", f"Write it as [{table}] with one setting a line.")
    return found
