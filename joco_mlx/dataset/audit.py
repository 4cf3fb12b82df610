"""Whether a dataset leaks: answers in diffs, records on both sides of a split, benchmark cases in the training data.

Decides how much of each leak is too much, on any dataset, also one that somebody else made (`formats.read_any`).
What a dataset does not say cannot be measured and is named, not guessed. Nothing is printed or changed; whoever wants
an error for a leak calls `AuditReport.check`.
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from joco_mlx import artifacts
from joco_mlx.commit.record import Record
from joco_mlx.config import CurateConfig, Profile
from joco_mlx.dataset.candidate import Candidate
from joco_mlx.dataset.formats import read_any
from joco_mlx.dataset.gates import holds_its_answer
from joco_mlx.dataset.leakage import Contamination, author_file_leakage, bots, contamination, overlap, without_commit
from joco_mlx.dataset.personal import PERSONAL
from joco_mlx.errors import InputError, UsageError, VerificationError
from joco_mlx.progress import Progress, Silent, task

MAXIMUM_ANSWERS_IN_DIFF = 0.006
"""Share of answers in diffs that is left when changelogs are dropped: what people happen to write twice."""
_PROFILES = (*get_args(Profile), PERSONAL)
REPORTED_ONLY = ("single-repository", PERSONAL)
"""The profiles in which one author's work is on both sides of every split in time."""

_SPLITS = (
    ("train", ("train.jsonl", "train.parquet")),
    ("validation", ("validation.jsonl", "valid.jsonl", "val.jsonl", "dev.jsonl", "validation.parquet")),
    ("test", ("test.jsonl", "test.parquet")),
)


@dataclass(frozen=True)
class AuditReport:
    """What was found. A number is None when the dataset does not say what is needed to work it out."""

    records: Mapping[str, int]
    """Split -> number of records."""
    skipped: int
    """Lines without a diff or a message."""
    profile: str | None
    answers_in_diff_share: float
    same_commits_across_splits: int
    """Records of validation and test whose commit another split has too."""
    exact_duplicates_across_splits: int
    """Records of validation and test whose diff or message another split has too."""
    near_duplicates_across_splits: int
    """Records of validation and test whose diff or message is near one of another split."""
    author_file_leakage_share: float | None
    """Of validation: same author and file as a training record, within seven days."""
    bots: int | None
    not_measurable: tuple[str, ...]
    """Figures that cover only some records, or none (they are None then), each with what is missing."""
    contamination: Contamination | None = None
    leaks: tuple[str, ...] = field(default=())
    """A sentence for each limit that is broken; empty when the dataset is clean."""

    def to_json(self) -> dict[str, Any]:
        """Return everything under stable names."""
        shown = {name: value for name, value in vars(self).items() if name not in ("contamination", "leaks")}
        contamination = None if self.contamination is None else self.contamination.to_json()
        return {
            **shown,
            "records": dict(self.records),
            "not_measurable": list(self.not_measurable),
            "contamination": contamination,
            "leaks": list(self.leaks),
            "clean": not self.leaks,
        }

    def check(self) -> None:
        """Raise VerificationError, with the figures, when there is a leak."""
        if self.leaks:
            raise VerificationError(
                f"The dataset leaks: {'; '.join(self.leaks)}.",
                "Build it again: joco-mlx dataset build sources.toml --out DIR",
            )


def audit(
    folder: Path, against: Path | None = None, *, profile: str | None = None, progress: Progress | None = None
) -> AuditReport:
    """Measure the dataset at `folder`.

    Args:
        folder: Holds a training split (`train.jsonl`) and whatever others there are, in any known form.
        against: A file of benchmark cases that training must not have seen.
        profile: How it was split; what its manifest says when None.
        progress: Who watches.

    Raises:
        UsageError: `profile` is none.
        InputError: There is no training split, or a line is of no known form.
    """
    if profile not in (None, *_PROFILES):
        raise UsageError(f"--profile is {profile!r}, which is not known.", f"Use one of: {', '.join(_PROFILES)}.")
    watched = progress or Silent()
    with task(watched, "auditing", 5, "steps") as shown:
        splits, skipped = _read(folder)
        shown.advance()
        groups = [number for number, records in enumerate(splits.values()) for _ in records]
        everything = [record for records in splits.values() for record in records]
        answers = sum(_holds_answer(record) for record in everything)
        shown.advance()
        shared = overlap(everything, groups)
        shown.advance()
        leakage, missing = author_file_leakage(splits["train"], splits["validation"])
        programs, unknown = bots(everything)
        shown.advance()
        report = AuditReport(
            records={name: len(records) for name, records in splits.items()},
            skipped=skipped,
            profile=profile or _profile(folder),
            answers_in_diff_share=answers / len(everything),
            same_commits_across_splits=len(shared.same_commit),
            exact_duplicates_across_splits=len(shared.same_text),
            near_duplicates_across_splits=len(shared.near),
            author_file_leakage_share=leakage,
            bots=programs,
            not_measurable=tuple(filter(None, (without_commit(everything), missing, unknown))),
            contamination=None if against is None else contamination(splits["train"], read_any(against)[0]),
        )
        shown.advance()
    return _with_leaks(report)


def _with_leaks(report: AuditReport) -> AuditReport:
    return dataclasses.replace(report, leaks=tuple(_leaks(report)))


def _leaks(report: AuditReport) -> Iterator[str]:
    if report.answers_in_diff_share > MAXIMUM_ANSWERS_IN_DIFF:
        yield f"{report.answers_in_diff_share:.1%} of the answers stand in their diffs"
    for count, what in (
        (report.same_commits_across_splits, "commits in two splits"),
        (report.exact_duplicates_across_splits, "records that repeat a diff or message of another split"),
        (report.near_duplicates_across_splits, "records near one of another split"),
    ):
        if count:
            yield f"{what}: {count:,}"
    if report.author_file_leakage_share and report.profile not in REPORTED_ONLY:
        yield f"{report.author_file_leakage_share:.1%} of validation continues what its author did in training"
    if report.contamination and report.contamination.contaminated:
        yield f"{report.contamination.contaminated:,} of {report.contamination.cases:,} benchmark cases are in training"


def _read(folder: Path) -> tuple[dict[str, tuple[Record, ...]], int]:
    splits, skipped = {}, 0
    for name, files in _SPLITS:
        path = next((folder / file for file in files if (folder / file).is_file()), None)
        splits[name], empty = ((), 0) if path is None else read_any(path)
        skipped += empty
    if not splits["train"]:
        raise InputError(f"{folder} has no training records (train.jsonl).", "Name the folder of a dataset.")
    return splits, skipped


def _profile(folder: Path) -> str | None:
    """Return the profile that the manifest names; None for a dataset that is not ours."""
    try:
        profile = json.loads((folder / artifacts.MANIFEST).read_text("utf-8"))["config"]["profile"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return profile if isinstance(profile, str) else None


def _holds_answer(record: Record) -> bool:
    return holds_its_answer(Candidate.of_record(record), CurateConfig())
