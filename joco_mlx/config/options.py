"""What an option is: a field with a default and the one help text, which may refuse a value.

Decides how a field is spelt on the command line and how a value out of range is told. Leaves which options there are to the
stages' modules.
"""

import dataclasses
from typing import Any

from joco_mlx.errors import UsageError


class OutOfRangeError(UsageError):
    """A value that its stage refuses; whoever knows where it came from names that with `of`.

    Attributes:
        name: The field.
    """

    def __init__(self, name: str, value: object, wanted: str, *, of: str | None = None) -> None:
        at_fault = of or flag(name)
        super().__init__(f"{at_fault} is {value}, but must be {wanted}.", f"Give {at_fault} a value: {wanted}.")
        self.name, self.value, self.wanted = name, value, wanted

    def of(self, at_fault: str) -> "OutOfRangeError":
        """Return the same with another name of what is at fault."""
        return OutOfRangeError(self.name, self.value, self.wanted, of=at_fault)

    def __reduce__(self) -> tuple[Any, ...]:
        """Cross to another process as what every error is."""
        return UsageError, (self.message, self.hint)


def option(default: Any, help_text: str, *, spelt: str | None = None) -> Any:
    """Return a field of a dataclass.

    Args:
        default: Its built-in value.
        help_text: What the command line, the docs and the errors show.
        spelt: Its flag, where that is not made of the field's name.
    """
    return dataclasses.field(default=default, metadata={"help": help_text, "spelt": spelt})


def require(holds: bool, name: str, value: object, wanted: str) -> None:
    """Raise UsageError with the option, its value and what was wanted, unless `holds`."""
    if not holds:
        raise OutOfRangeError(name, value, wanted)


def flag(name: str) -> str:
    """Return the command-line spelling of a field: `batch_size` -> `--batch-size`."""
    return "--" + name.replace("_", "-")


def flag_of(config: type[Any], name: str) -> str:
    """Return the same, or the spelling that the field was given."""
    return _field(config, name).metadata["spelt"] or flag(name)


def help_of(config: type[Any], name: str) -> str:
    """Return the help text of a field."""
    return str(_field(config, name).metadata["help"])


def default_of(config: type[Any], name: str) -> Any:
    """Return the built-in default of a field."""
    return _field(config, name).default


def _field(config: type[Any], name: str) -> "dataclasses.Field[Any]":
    return next(item for item in dataclasses.fields(config) if item.name == name)
