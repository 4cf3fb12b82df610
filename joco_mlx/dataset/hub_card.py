"""The card of an exported dataset, as the Hub shows it: files and fields of the form, and the licence of every source.

Decides how SPDX names become the Hub's, and what is said where nobody stated a licence: that, and never a guess. The
rest of the text is `card`'s. Source of the names: https://huggingface.co/docs/hub/repositories-licenses
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from joco_mlx.config import CurateConfig
from joco_mlx.dataset.card import FIELDS, card, table
from joco_mlx.dataset.curate import CARD, STATS
from joco_mlx.dataset.stats import Stats, stats
from joco_mlx.errors import InputError

_NAMED_BY_THE_HUB = re.compile(
    r"agpl-3\.0|apache-2\.0|artistic-2\.0|bsd-2-clause|bsd-3-clause(?:-clear)?|bsl-1\.0|cc-by(?:-sa)?-4\.0|cc0-1\.0|epl-[12]\.0"
    r"|l?gpl-3\.0|gpl-2\.0|isc|lgpl-2\.1|mit|mpl-2\.0|ms-pl|unlicense|wtfpl|zlib"
)
_HASH_CHARS = 12
_METADATA = """\
| `metadata` | repository, commit, pseudonym of the author, type, scope, score and date of the commit |
"""
_TWO_COLUMNS = "| Field | Content |\n|---|---|\n"
_FIELDS_OF: Mapping[str, str] = {
    "instruction": FIELDS,
    "chat": "Each line of a `.jsonl` file is one commit:\n\n"
    + _TWO_COLUMNS
    + "| `messages` | what the system, the user (the task and the diff) and the assistant (the message) say |\n"
    + _METADATA,
    "mlx": "Each line of a `.jsonl` file is one commit, under the names that mlx-lm reads:\n\n"
    + _TWO_COLUMNS
    + "| `prompt` | the task in words, an empty line, and the diff as git wrote it |\n"
    + "| `completion` | the first line of the commit message |\n"
    + _METADATA,
    "parquet": FIELDS.replace("Each line of a `.jsonl` file", "Each row of a `.parquet` file").replace(
        "`metadata.", "`"
    )
    + "| `extra` | whatever else a record holds, as JSON |\n",
}


def hub_card(folder: Path, form: str, files: Mapping[str, str]) -> str:
    """Return the text of README.md for an export.

    Args:
        folder: The dataset that was exported.
        form: `instruction`, `chat`, `mlx` or `parquet`.
        files: Split -> name of its file.

    Raises:
        InputError: The dataset or its `stats.json` cannot be read.
    """
    made = stats(folder)
    sources = _sources(folder / STATS)
    stated = {name: str(sources.get(name, {}).get("licence") or "") for name in made.repositories}
    return card(
        made,
        CurateConfig(),
        how=_how(folder / CARD),
        more=["## Sources\n\n" + _table(made, sources)],
        files=files,
        licences=hub_licences(stated.values()),
        fields=_FIELDS_OF[form],
    )


def hub_licences(stated: Any) -> list[str]:
    """Return the Hub's names for SPDX expressions: `other` for one it does not know, `unknown` for an empty one."""
    names: set[str] = set()
    for expression in stated:
        words = [word.strip("() ").lower() for word in re.split(r"\s+(?:OR|AND)\s+", expression)]
        names.update((word if _NAMED_BY_THE_HUB.fullmatch(word) else "other") if word else "unknown" for word in words)
    return sorted(names)


def _sources(path: Path) -> dict[str, Mapping[str, Any]]:
    """Return name -> what `build` wrote about a source; nothing for a dataset that `build` did not make."""
    if not path.is_file():
        return {}
    try:
        listed = json.loads(path.read_text("utf-8")).get("sources", [])
        return {str(source["name"]): source for source in listed}
    except (ValueError, AttributeError, TypeError, KeyError) as problem:
        raise InputError(
            f"{path} is not what build or curate writes: {problem!r}.", f"Remove {path} and export again."
        ) from None


def _table(made: Stats, sources: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        (
            name,
            str(sources.get(name, {}).get("head", ""))[:_HASH_CHARS] or "not stated",
            str(sources.get(name, {}).get("licence") or "not stated"),
            f"{count:,}",
        )
        for name, count in made.repositories.items()
    ]
    return table(("Repository", "Commit", "Licence", "Records"), rows)


def _how(path: Path) -> str:
    """Return what the dataset's own card says of its making, but for files that are not exported."""
    text = path.read_text("utf-8", "replace") if path.is_file() else ""
    told = text.partition("\n## How it was made\n\n")[2].partition("\n## ")[0]
    kept = [line for line in told.splitlines() if not line.startswith("`manifest.json`")]
    exported = "Written by `joco-mlx dataset export`."
    return "\n".join([*kept, "", exported]).strip() + "\n" if any(kept) else f"{exported}\n"
