"""From shards that were read to a dataset: deduplicate, balance, split, describe, seal.

Decides the order of the steps that see all records at once, and which of them a profile has. Nothing is read from git
here, and equal shards give equal bytes.
"""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any

from joco_mlx import artifacts
from joco_mlx.commit.record import Record, decode_line
from joco_mlx.config import BuildConfig, Profile
from joco_mlx.dataset.balance import balance, type_of
from joco_mlx.dataset.build_report import BuildReport, ReadRepository
from joco_mlx.dataset.curate import CARD, STATS, write_splits
from joco_mlx.dataset.dedupe import deduplicate
from joco_mlx.dataset.funnel import Funnel
from joco_mlx.dataset.git_stream import Skipped
from joco_mlx.dataset.personal import PERSONAL, Mixed, Style, mix, own_first
from joco_mlx.dataset.pinned import Listed
from joco_mlx.dataset.shard import EXTRACTOR_VERSION, ShardResult
from joco_mlx.dataset.split import Splits, age, split
from joco_mlx.dataset.stats import describe
from joco_mlx.dataset.workshop import Workshop
from joco_mlx.errors import InputError
from joco_mlx.progress import Progress, task


def assemble(
    shop: Workshop, read: Sequence[Listed], config: BuildConfig, progress: Progress, style: Style | None = None
) -> None:
    """Make the dataset of what was read, in the workshop.

    Args:
        shop: Where the shards' results are, and where the dataset goes.
        read: The repositories, each with all of its shards read.
        config: Caps and shares.
        progress: Who watches; also hears what became of the commits.
        style: Whose style the dataset has; nobody's when None.

    Raises:
        InputError: No record is left.
    """
    total = Funnel(f"{len(read):,} repositories" if len(read) > 1 else read[0].pinned.name)
    masked: Counter[str] = Counter()
    repositories = []
    records: list[Record] = []
    with task(progress, "assembling", 4, "steps") as shown:
        for item in read:
            funnel = _collect(shop, item, records, masked)
            repositories.append(ReadRepository(item.pinned.name, item.pinned.head, item.pinned.licence, funnel.read))
            total.add(funnel)
        shown.advance()
        unique = deduplicate(own_first(records, style) if style else sorted(records, key=age))
        records.clear()
        total.rejected.update(gone.reason for gone in unique.dropped)
        total.kept = len(unique.kept)
        shown.advance()
        profile: Profile = config.profile or ("many-repositories" if len(read) > 1 else "single-repository")
        splits, mixed = _divided(unique.kept, config, profile, style, total)
        if not total.kept:
            raise _nothing_left(total)
        shown.advance()
        before = Counter(map(type_of, unique.kept))
        named = PERSONAL if style else profile
        report = BuildReport(named, config, tuple(repositories), total, dict(before), dict(masked), mixed)
        _write(shop, splits, report)
        shown.advance()
    for line in filter(None, (total.told(), total.told_skipped(), total.strictest())):
        progress.note(line)


def _divided(
    kept: Sequence[Record], config: BuildConfig, profile: Profile, style: Style | None, total: Funnel
) -> tuple[Splits, Mixed | None]:
    """Balance and split what is unique, and count what goes."""
    if style:
        mixed = mix(kept, config, style)
        for reason, count in mixed.dropped.items():
            total.drop(reason, count)
        return mixed.splits, mixed
    if config.balanced and profile == "many-repositories":
        balanced = balance(kept, config)
        kept = balanced.kept
        for reason, count in balanced.dropped.items():
            total.drop(reason, count)
    splits = split(kept, config.limits(profile))
    total.drop("author-and-file", len(kept) - sum(1 for _ in splits.records()))
    return splits, None


def _write(shop: Workshop, splits: Splits, report: BuildReport) -> None:
    made = describe(splits)
    with artifacts.whole_folder(shop.made, force=True) as folder:
        write_splits(folder, splits)
        artifacts.write_json(folder / STATS, made.to_json() | report.to_json())
        artifacts.write_text(folder / CARD, report.card(made))
        parents = {item.name: item.head for item in report.repositories}
        settings = dataclasses.asdict(report.config) | {"profile": report.profile, "extractor": EXTRACTOR_VERSION}
        if report.mixed:
            settings |= {"on": report.mixed.style.repository, "own_share": report.mixed.style.config.own_share}
        artifacts.seal(folder, "dataset", config=settings, parents=parents, files=list(folder.iterdir()))


def _collect(shop: Workshop, item: Listed, records: list[Record], masked: Counter[str]) -> Funnel:
    """Add the records of one repository to `records` and return its counts."""
    funnel = Funnel(item.pinned.name, merges=item.merges)
    funnel.skipped += [Skipped(name, "unreadable", "a parent is missing") for name in item.severed]
    for shard in item.shards:
        path = shop.result(shard)
        with path.open("rb") as file:
            head = ShardResult.from_head(next(file))
            funnel.add(head.funnel)
            masked.update(head.masked)
            records.extend(decode_line(line, str(path)) for line in file)
    return funnel


def _nothing_left(funnel: Funnel) -> InputError:
    strictest: Any = funnel.strictest()
    hint = f"{strictest}: loosen it." if strictest else "Read other repositories."
    return InputError(f"No record is left of {funnel.read:,} commits. {funnel.told()}", hint)
