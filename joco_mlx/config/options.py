"""What an option is: a field with a default and the one help text, which may refuse a value.

Decides how a field is spelt on the command line and how a wrong value is told. Leaves which options there are to the
stages' modules.
"""

import dataclasses
from typing import Any

from joco_mlx.errors import UsageError


def option(default: Any, help_text: str) -> Any:
    """Return a field of a dataclass; its help text is shown by the command line, the docs and the errors."""
    return dataclasses.field(default=default, metadata={"help": help_text})


def require(holds: bool, name: str, value: object, wanted: str) -> None:
    """Raise UsageError with the option, its value and what was wanted, unless `holds`."""
    if not holds:
        raise UsageError(f"{flag(name)} is {value}, but must be {wanted}.", f"Give {flag(name)} a value: {wanted}.")


def flag(name: str) -> str:
    """Return the command-line spelling of a field: `batch_size` -> `--batch-size`."""
    return "--" + name.replace("_", "-")


def help_of(config: type[Any], name: str) -> str:
    """Return the help text of a field."""
    return str(_field(config, name).metadata["help"])


def default_of(config: type[Any], name: str) -> Any:
    """Return the built-in default of a field."""
    return _field(config, name).default


def _field(config: type[Any], name: str) -> "dataclasses.Field[Any]":
    return next(item for item in dataclasses.fields(config) if item.name == name)
