"""A JSON object out of a model folder, or what is wrong with the file."""

import json
from pathlib import Path
from typing import Any

from joco_mlx.errors import InputError

_REPAIR = "Take it from the base model again."


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file of a model folder.

    Raises:
        InputError: The file cannot be read, or holds something else.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as problem:
        raise InputError(f"{path} cannot be read as JSON: {problem}.", _REPAIR) from problem
    if not isinstance(content, dict):
        raise InputError(f"{path} is no JSON object.", _REPAIR)
    return content
