"""What type a change has, read from its files alone, without a line of the diff.

The simplest thing that a model has to beat, and something to believe before it is asked.
"""

from collections import Counter
from collections.abc import Sequence

from joco_mlx.commit.diff import FileChange

_TYPE_OF_CLASS = {"docs": "docs", "test": "test", "ci": "ci", "build": "build", "lock": "build"}


def type_by_paths(changes: Sequence[FileChange]) -> str:
    """Return the type by the classes of the files: all docs is `docs`, a new source file `feat`, else `fix`."""
    kinds = {change.kind for change in changes} - {"generated", "changelog"}
    types = {_TYPE_OF_CLASS.get(kind, "source") for kind in kinds}
    if len(types) == 1 and "source" not in types:
        return types.pop()
    source = [change for change in changes if change.kind == "source"]
    if source:
        return "feat" if any(change.status == "A" for change in source) else "fix"
    counts = Counter(_TYPE_OF_CLASS.get(change.kind, "chore") for change in changes)
    return min(counts, key=lambda kind: (-counts[kind], kind), default="chore")
