"""The dataset of a run: found, checked, and turned into examples.

Decides which dataset is meant when none is named, and how many records are validated on. Leaves what a dataset is to
`artifacts` and what a record becomes to `train.examples`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from joco_mlx.artifacts import Artifact, open_artifact
from joco_mlx.commit.record import Record, read_records
from joco_mlx.config import LOCAL_DATASET, SHIPPED_DATASETS
from joco_mlx.errors import InputError
from joco_mlx.models.shipped import shipped_dataset
from joco_mlx.progress import Progress, task
from joco_mlx.train.batches import fixed_subset
from joco_mlx.train.examples import Encoder, Example

VALIDATION_LIMIT = 32
"""Validation records in use, so that validating takes a tenth of the time of training; of a larger split always the same
ones, whatever the seed of the run."""
FEW_RECORDS = 1_000
"""Below this, records of one repository are pilot data."""
MORE_DATA = "joco-mlx dataset extract REPO... --out commits.jsonl, then joco-mlx dataset curate commits.jsonl --out DIR"
_SUBSET_SEED = 0


@dataclass(frozen=True)
class Splits:
    """The records of a dataset that a run uses."""

    artifact: Artifact
    train: tuple[Record, ...]
    validation: tuple[Record, ...]
    """At most `VALIDATION_LIMIT`."""
    validation_size: int
    """All of the validation split."""

    @property
    def repositories(self) -> int:
        """How many repositories the training records come from."""
        return len({record.metadata.repository for record in self.train})

    @property
    def pilot_note(self) -> str | None:
        """What a user should know about little data of one repository, or None."""
        if self.repositories > 1 or len(self.train) >= FEW_RECORDS:
            return None
        records = "1 record" if len(self.train) == 1 else f"{len(self.train)} records"
        return f"{records} of 1 repository: enough for a pilot. More data: {MORE_DATA}"


def find_dataset(named: Path | None) -> Path:
    """Return the dataset folder: the named one, `./dataset` when it is there, else the one that ships.

    Raises:
        InputError: There is none.
    """
    places = (named,) if named is not None else (LOCAL_DATASET, *SHIPPED_DATASETS)
    found = next((place for place in places if (place / "train.jsonl").is_file()), None)
    if found is None and named is None:
        found = shipped_dataset()
    if found is None:
        raise InputError(f"There is no dataset at {named or LOCAL_DATASET} (no train.jsonl).", f"Make one: {MORE_DATA}")
    return found


def read_splits(folder: Path) -> Splits:
    """Read the training and validation records of a dataset.

    Raises:
        InputError: It is no finished dataset or a file of it was changed, a line is no record, or there is nothing to
            train on.
    """
    artifact = open_artifact(folder, "dataset", checked=True)
    train = tuple(read_records(folder / "train.jsonl"))
    if not train:
        raise InputError(f"{folder / 'train.jsonl'} has no record.", f"Make more: {MORE_DATA}")
    path = folder / "validation.jsonl"
    validation = tuple(read_records(path)) if path.is_file() else ()
    kept = fixed_subset(len(validation), VALIDATION_LIMIT, _SUBSET_SEED)
    return Splits(artifact, train, tuple(validation[index] for index in kept), len(validation))


def encode_all(records: Sequence[Record], encoder: Encoder, progress: Progress, *, strict: bool) -> list[Example]:
    """Return the records as examples.

    Args:
        records: In their order.
        encoder: For the model in use.
        progress: Counts the records.
        strict: Refuse a record whose answer leaves no room for its diff; else it is left out.

    Raises:
        InputError: A record is refused; it is named. Or none is usable.
    """
    with task(progress, "Reading records", len(records), "records") as shown:
        examples = []
        for record in records:
            if strict or encoder.fits(record):
                examples.append(encoder.encode(record))
            shown.advance()
    if records and not examples:
        encoder.encode(records[0])
    return examples
