"""Everything about a dataset that people look at: what `stats` counts, languages, lengths, tokens, and its funnel.

Decides what a picture, a page and a table show, once for all three. Leaves drawing to `stats_picture` and
`stats_page`.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joco_mlx.dataset.curate import STATS
from joco_mlx.dataset.languages import language_of_record
from joco_mlx.dataset.split import read_splits
from joco_mlx.dataset.stats import Stats, describe, require_dataset
from joco_mlx.dataset.token_lengths import TokenLengths, token_lengths
from joco_mlx.progress import Progress, Silent, task


@dataclass(frozen=True)
class Details:
    """A dataset, ready to be shown. Mappings have the most frequent first."""

    name: str
    stats: Stats
    languages: Mapping[str, int]
    """Language -> records."""
    diff_chars: tuple[int, ...]
    """Of each record, in the order of the splits."""
    tokens: TokenLengths | None
    """None when there is no tokenizer at hand."""
    funnel: Mapping[str, int]
    """`read`, then what was rejected by reason, then `kept`; empty for a dataset that does not say."""

    def to_json(self) -> dict[str, Any]:
        """Return everything under stable names, beside those of `stats.json`."""
        return {
            **self.stats.to_json(),
            "languages": dict(self.languages),
            "tokens": None if self.tokens is None else self.tokens.to_json(),
            "funnel": dict(self.funnel),
        }


def details(
    folder: Path, *, model: str | None = None, with_tokens: bool = True, progress: Progress | None = None
) -> Details:
    """Look at the dataset at `folder`, which need not be one of ours: `train.jsonl` is enough.

    Args:
        folder: Dataset folder.
        model: Whose tokens are counted; the embedded model's, if it is here, when None.
        with_tokens: Whether tokens are counted at all, which takes a second for a few hundred records.
        progress: Who watches.

    Raises:
        InputError: There is no dataset, a line of it is no record, or there is no such model.
        MachineError: The model cannot be fetched.
    """
    watched = progress or Silent()
    require_dataset(folder)
    splits = read_splits(folder)
    records = tuple(splits.records())
    with task(watched, "looking at diffs", len(records), "records") as shown:
        languages: Counter[str] = Counter()
        for record in records:
            languages[language_of_record(record)] += 1
            shown.advance()
    return Details(
        name=folder.resolve().name,
        stats=describe(splits),
        languages=dict(sorted(languages.items(), key=lambda item: (-item[1], item[0]))),
        diff_chars=tuple(len(record.input) for record in records),
        tokens=token_lengths(records, model, progress=watched) if with_tokens else None,
        funnel=_funnel(folder / STATS),
    )


def _funnel(path: Path) -> dict[str, int]:
    """Return the funnel that `build` wrote; nothing where there is none of that form."""
    try:
        found = json.loads(path.read_text("utf-8"))["funnel"]
        rejected = {str(name): int(count) for name, count in found["rejected"].items()}
        return {"read": int(found["read"]), **rejected, "kept": int(found["kept"])}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
