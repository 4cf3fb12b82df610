"""Diffs without their changelogs, which hold the answer: a `.changeset/` or a CHANGELOG repeats the message.

Decides where a file's part of a patch begins (only git itself writes a line that starts with `diff --git`, so the text
is not parsed) and leaves to `classify` which file is a changelog.
"""

import re

from joco_mlx.commit.diff import classify
from joco_mlx.commit.paths import both_names

_START = re.compile(r"^(?=diff --git )", re.MULTILINE)
_SUSPECT = re.compile(r"^diff --git .*(?:chang|chronus|history|news|release)", re.MULTILINE | re.IGNORECASE)


def without_changelogs(patch: str) -> str:
    """Return `patch` without the parts of changelog and changeset files; the other parts stay byte for byte.

    Args:
        patch: As git wrote it, every line a header's or a hunk's.
    """
    if not _SUSPECT.search(patch):
        return patch
    return "".join(part for part in _START.split(patch) if not _is_changelog(part))


def _is_changelog(part: str) -> bool:
    header = part.partition("\n")[0]
    names = both_names(header.removeprefix("diff --git "))
    return names is not None and all(classify(name) == "changelog" for name in names)
