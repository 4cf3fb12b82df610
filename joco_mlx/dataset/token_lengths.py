"""How long records are for one model: in tokens of its own tokenizer, prompt and answer as training would have them.

Decides what counts (the whole diff, not yet cut to fit, the words around it, the message and the token that ends it)
and whose tokens are counted when nobody says: the embedded model's, if it is on this machine already.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from sys import maxsize
from typing import Any

from joco_mlx.commit.prompt import render, user_text
from joco_mlx.commit.record import Record
from joco_mlx.models import cache, embedded, registry
from joco_mlx.models.folder import ModelFolder, open_folder
from joco_mlx.models.hub import locate
from joco_mlx.models.tokens import Tokenizer
from joco_mlx.progress import Progress, task

LIMITS = (1_024, 2_048)
"""Sequence lengths that people train with."""
SHARES = (0.5, 0.9, 0.95, 0.99)


@dataclass(frozen=True)
class TokenLengths:
    """Tokens of each record, in the order of the records, for one model."""

    model: str
    counts: tuple[int, ...]

    def share_fitting(self, limit: int) -> float:
        """Return the share of records with at most `limit` tokens; 0 when there is no record."""
        return sum(count <= limit for count in self.counts) / len(self.counts) if self.counts else 0.0

    def quantile(self, share: float) -> int:
        """Return the length that `share` of the records do not exceed; 0 when there is none."""
        ordered = sorted(self.counts)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0

    def to_json(self) -> dict[str, Any]:
        """Return model, quantiles and shares under stable names."""
        return {
            "model": self.model,
            "quantiles": {f"p{share * 100:g}": self.quantile(share) for share in SHARES},
            "maximum": max(self.counts, default=0),
            "share_fitting": {str(limit): round(self.share_fitting(limit), 4) for limit in LIMITS},
        }


def token_lengths(records: Sequence[Record], model: str | None, *, progress: Progress) -> TokenLengths | None:
    """Count the tokens of records.

    Args:
        records: Any.
        model: Registry name, Hub name or folder; it is fetched when it is not here yet. The embedded model when None.
        progress: Counts the records.

    Returns:
        The lengths; None when no model is named and the embedded one is not on this machine.

    Raises:
        InputError: There is no such model.
        MachineError: It has to be fetched and cannot be.
    """
    folder = _at_hand() if model is None else locate(model, progress=progress)
    if folder is None:
        return None
    return TokenLengths(folder.name, tuple(_counted(records, folder, progress)))


def _at_hand() -> ModelFolder | None:
    folder = cache.cache_folder() / "models" / embedded.NAME
    if not cache.is_intact(folder, embedded.RECIPE):
        return None
    return open_folder(folder, name=embedded.NAME, base=registry.find(embedded.NAME))


def _counted(records: Sequence[Record], folder: ModelFolder, progress: Progress) -> Iterator[int]:
    tokenizer = Tokenizer.from_folder(folder.path)
    with task(progress, f"counting tokens of {folder.name}", len(records), "records") as shown:
        for record in records:
            prompt = render(folder.template, user_text(record.input, maxsize, len))
            yield len(tokenizer.encode_prompt(prompt)) + tokenizer.count(record.output) + 1
            shown.advance()
