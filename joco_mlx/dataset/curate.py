"""From extracted commits to a dataset: filter, drop repetitions, split, describe, seal.

Decides the order of these steps and the files of the artefact. The same input files and settings give the same bytes,
except for the versions that the manifest names.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

from joco_mlx import artifacts
from joco_mlx.artifacts import Artifact
from joco_mlx.commit.record import Record, encode_line, read_records
from joco_mlx.config import CurateConfig
from joco_mlx.dataset.candidate import Candidate
from joco_mlx.dataset.card import card
from joco_mlx.dataset.funnel import Funnel
from joco_mlx.dataset.gates import first_reason
from joco_mlx.dataset.split import Splits, age, split
from joco_mlx.dataset.stats import describe
from joco_mlx.errors import InputError
from joco_mlx.progress import Progress, Silent, task

CARD = "README.md"
STATS = "stats.json"


def curate(
    config: CurateConfig, files: Sequence[Path], out: Path, *, progress: Progress | None = None, force: bool = False
) -> Artifact:
    """Make the dataset folder `out` from the JSONL files that `extract_to_file` wrote.

    Args:
        config: Limits, profile and shares.
        files: What to read.
        out: Folder to make; it appears when it is whole.
        progress: Who watches; also hears what was left out and why.
        force: Whether `out` may be replaced.

    Raises:
        ConflictError: `out` exists.
        InputError: A file cannot be read, a line is no record (file and line are named), or no record is left.
    """
    watched = progress or Silent()
    artifacts.refuse_existing(out, force=force)
    funnel = Funnel(", ".join(file.name for file in files))
    with task(watched, "reading records", len(files), "files") as shown:
        kept: list[Record] = []
        for file in files:
            kept += _admit(config, read_records(file), funnel)
            shown.advance(1, kept=len(kept))
    records = _first_of_each_message(kept, funnel)
    if not records:
        raise InputError(
            f"No record is left of {funnel.read:,}. {funnel.told()}",
            "Lower --minimum-score, or extract more: joco-mlx dataset extract REPO --out FILE",
        )
    with artifacts.whole_folder(out, force=force) as folder:
        _write(folder, split(records, config), config)
        parents = {name: artifacts.sha256(file) for name, file in _distinct_names(files)}
        artifacts.seal(
            folder, "dataset", config=dataclasses.asdict(config), parents=parents, files=list(folder.iterdir())
        )
    watched.note(funnel.told())
    return artifacts.open_artifact(out, "dataset")


def _admit(config: CurateConfig, records: Iterator[Record], funnel: Funnel) -> Iterator[Record]:
    for record in records:
        candidate = Candidate.of_record(record)
        reason = first_reason(candidate, config)
        if reason is None:
            funnel.keep()
            yield _normal(record, candidate)
        else:
            funnel.reject(reason)


def _normal(record: Record, candidate: Candidate) -> Record:
    """Return the record with its message as `extract` writes it: one line, no suffix of a pull request."""
    return dataclasses.replace(record, output=candidate.header) if record.output != candidate.header else record


def _first_of_each_message(records: Sequence[Record], funnel: Funnel) -> list[Record]:
    """Keep the oldest record of every message."""
    oldest: dict[str, Record] = {}
    for record in sorted(records, key=age):
        if oldest.setdefault(record.output, record) is not record:
            funnel.kept -= 1
            funnel.rejected["duplicate"] += 1
    return list(oldest.values())


def write_splits(folder: Path, splits: Splits) -> None:
    """Write one JSONL file for each split, an empty one too."""
    for name, records in splits.items():
        with artifacts.whole_file(folder / f"{name}.jsonl") as file:
            file.writelines(map(encode_line, records))


def _write(folder: Path, splits: Splits, config: CurateConfig) -> None:
    write_splits(folder, splits)
    made = describe(splits)
    artifacts.write_json(folder / STATS, made.to_json())
    artifacts.write_text(folder / CARD, card(made, config))


def _distinct_names(files: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    """Yield each file with its name, numbered from the second of a name on."""
    seen: set[str] = set()
    for file in files:
        names = itertools.chain([file.name], (f"{file.name} ({number})" for number in itertools.count(2)))
        name = next(name for name in names if name not in seen)
        seen.add(name)
        yield name, file
