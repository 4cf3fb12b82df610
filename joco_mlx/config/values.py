"""What somebody wrote, turned into the type of the field that it is meant for."""

import types
import typing
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from joco_mlx.errors import UsageError

_WANTED = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", Path: "a path"}


def convert(hint: Any, value: Any, name: str) -> Any:
    """Turn a flag's, a variable's or a file's value into the field's type.

    Args:
        hint: The field's type.
        value: Text, or what TOML has read.
        name: What is at fault where the value is.

    Raises:
        UsageError: The value is not of that type, or none of the field's choices.
    """
    origin = get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        inner = next(part for part in get_args(hint) if part is not type(None))
        return None if value is None else convert(inner, value, name)
    if origin is Literal:
        if value not in get_args(hint):
            choices = ", ".join(map(str, get_args(hint)))
            raise UsageError(f"{name} is {value!r}, which is not known.", f"Use one of: {choices}.")
        return value
    if origin is tuple:
        return _texts(value, name)
    try:
        return _scalar(hint, value)
    except (TypeError, ValueError, OverflowError):
        raise _unlike(name, value, _WANTED[hint]) from None


def _texts(value: Any, name: str) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
        raise _unlike(name, value, "a list of texts")
    return tuple(part.strip() for part in parts if part.strip())


def _unlike(name: str, value: Any, wanted: str) -> UsageError:
    return UsageError(f"{name} is {value!r}, but must be {wanted}.", f"Give {name} {wanted}.")


def _scalar(kind: Any, value: Any) -> Any:
    if kind is bool:
        words = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
        if isinstance(value, bool):
            return value
        if not isinstance(value, str) or value.lower() not in words:
            raise ValueError(value)
        return words[value.lower()]
    if kind in (str, Path) and not isinstance(value, str | Path):
        raise TypeError(value)
    if isinstance(value, bool) or (kind is int and isinstance(value, float)):
        raise ValueError(value)
    return kind(value)
