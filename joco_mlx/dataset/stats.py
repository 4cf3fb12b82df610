"""What a dataset consists of, in numbers: the guide's five rows, lengths, and counts by type, scope and repository."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joco_mlx.dataset.split import Splits, read_splits
from joco_mlx.errors import InputError

NONE = "(none)"
"""What records without a scope, or without a type, are counted under."""
_NAMED_REPOSITORIES = 3


@dataclass(frozen=True)
class Lengths:
    """Characters of the diffs, or of the messages, of a dataset."""

    minimum: int
    mean: float
    maximum: int

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Lengths":
        """Measure texts; zeros when there are none. The mean has one decimal."""
        lengths = [len(text) for text in texts]
        if not lengths:
            return cls(0, 0.0, 0)
        return cls(min(lengths), round(sum(lengths) / len(lengths), 1), max(lengths))

    def to_json(self) -> dict[str, float]:
        """Return the three numbers by name."""
        return {"minimum": self.minimum, "mean": self.mean, "maximum": self.maximum}


@dataclass(frozen=True)
class Stats:
    """A dataset in numbers. Mappings are ordered: the most frequent first, equal ones by name."""

    train: int
    validation: int
    test: int
    diff_chars: Lengths
    output_chars: Lengths
    types: Mapping[str, int]
    scopes: Mapping[str, int]
    repositories: Mapping[str, int]

    @property
    def records(self) -> int:
        """Records of all splits."""
        return self.train + self.validation + self.test

    def guide_rows(self) -> list[tuple[str, str]]:
        """Return the table of the original guide: metric and value."""
        names = list(self.repositories)
        sources = ", ".join(names) if len(names) <= _NAMED_REPOSITORIES else f"{len(names):,}"
        return [
            ("Training examples", f"{self.train:,}"),
            ("Validation examples", f"{self.validation:,}"),
            ("Source repositories", sources),
            ("Average diff length", f"~{self.diff_chars.mean:,.0f} chars"),
            ("Average output length", f"~{self.output_chars.mean:,.0f} chars"),
        ]

    def to_json(self) -> dict[str, Any]:
        """Return everything under the names of `stats.json`."""
        return {
            "training_examples": self.train,
            "validation_examples": self.validation,
            "test_examples": self.test,
            "source_repositories": len(self.repositories),
            "average_diff_chars": self.diff_chars.mean,
            "average_output_chars": self.output_chars.mean,
            "diff_chars": self.diff_chars.to_json(),
            "output_chars": self.output_chars.to_json(),
            "types": dict(self.types),
            "scopes": dict(self.scopes),
            "repositories": dict(self.repositories),
        }


def describe(splits: Splits) -> Stats:
    """Count what is in `splits`."""
    records = tuple(splits.records())
    return Stats(
        train=len(splits.train),
        validation=len(splits.validation),
        test=len(splits.test),
        diff_chars=Lengths.of(record.input for record in records),
        output_chars=Lengths.of(record.output for record in records),
        types=_counted(record.metadata.type or NONE for record in records),
        scopes=_counted(record.metadata.scope or NONE for record in records),
        repositories=_counted(record.metadata.repository for record in records),
    )


def stats(folder: Path) -> Stats:
    """Count what is in the dataset at `folder`, which need not be one of ours: `train.jsonl` is enough.

    Raises:
        InputError: There is no dataset, or a line of it is no record.
    """
    require_dataset(folder)
    return describe(read_splits(folder))


def require_dataset(folder: Path) -> None:
    """Raise InputError when `folder` holds no training split."""
    if not (folder / "train.jsonl").is_file():
        raise InputError(
            f"{folder} is no dataset: it has no train.jsonl.", "Make one: joco-mlx dataset curate FILE... --out DIR"
        )


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items(), key=lambda item: (-item[1], item[0])))
