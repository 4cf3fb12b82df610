"""From many repositories to a dataset: fetch, read, deduplicate, balance, split, describe, seal.

Decides what is pinned when a build begins (every repository's commit), how repositories are cut into shards, and the
order of the steps that see all records at once. A shard that was read is kept until the dataset stands (`workshop`), so
a killed build goes on where it was and ends in the same bytes.
"""

import dataclasses
import itertools
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from joco_mlx import artifacts
from joco_mlx.artifacts import Artifact
from joco_mlx.commit.record import Record, decode_line
from joco_mlx.config import BuildConfig, ExtractConfig, Profile
from joco_mlx.dataset.balance import balance, type_of
from joco_mlx.dataset.build_report import BuildReport, ReadRepository
from joco_mlx.dataset.curate import CARD, STATS, write_splits
from joco_mlx.dataset.dedupe import deduplicate
from joco_mlx.dataset.funnel import Funnel
from joco_mlx.dataset.git_stream import Skipped
from joco_mlx.dataset.repository import Source, list_history, open_repository
from joco_mlx.dataset.shard import EXTRACTOR_VERSION, Shard, ShardResult
from joco_mlx.dataset.sources import Wanted, provide, read_sources
from joco_mlx.dataset.split import age, split
from joco_mlx.dataset.stats import describe
from joco_mlx.dataset.workers import local_executor, read_all
from joco_mlx.dataset.workshop import Workshop, workshop
from joco_mlx.errors import InputError
from joco_mlx.progress import Progress, Silent, task

SHARD_COMMITS = 2_000
"""A repository with more is cut into runs of about this many, so that a giant does not keep one worker alone busy."""


@dataclass(frozen=True)
class Pinned:
    """A repository on this machine and the commits of it that a build reads."""

    name: str
    folder: str
    git_dir: str
    head: str
    """Hash of the newest commit."""
    revision: str
    """Hashes for `git rev-list`, those left out with a `^`."""
    licence: str


def build(
    config: BuildConfig,
    sources: Sequence[str],
    out: Path,
    *,
    mirrors: Path | None = None,
    jobs: int | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
    force: bool = False,
) -> Artifact:
    """Make the dataset folder `out` from repositories; called again after an interruption, it goes on.

    Args:
        config: Limits, caps and shares.
        sources: Folders of repositories, addresses, and lists such as `dataset/sources.toml`.
        out: Folder to make; it appears when it is whole.
        mirrors: Where clones lie and are made; the cache folder when None.
        jobs: Worker processes; one for each core when None.
        executor: Who reads, in place of worker processes; it needs to see the repositories under the same paths.
        progress: Who watches; also hears what was left out and why.
        force: Whether `out` may be replaced.

    Raises:
        ConflictError: `out` exists, or another process is building it.
        InputError: A repository cannot be read, or no record is left.
        MachineError: A repository cannot be fetched, or the disk is full.
    """
    watched = progress or Silent()
    wanted = read_sources(sources)
    asked = [dataclasses.asdict(config), *(dataclasses.asdict(item) for item in wanted)]
    key = sha256(json.dumps([EXTRACTOR_VERSION, *asked]).encode()).hexdigest()
    with workshop(out) as shop:
        if not shop.is_ready(key, out):
            artifacts.refuse_existing(out, force=force)
            plan = shop.plan(key, lambda: [dataclasses.asdict(item) for item in _pin(wanted, config, mirrors, watched)])
            read = [_list(Pinned(**item), config) for item in plan]
            _read(shop, [shard for item in read for shard in item.shards], jobs, executor, watched)
            _assemble(shop, read, config, watched)
        shop.deliver(key, out)
    return artifacts.open_artifact(out, "dataset")


@dataclass(frozen=True)
class _Listed:
    pinned: Pinned
    merges: int
    severed: tuple[str, ...]
    shards: tuple[Shard, ...]


def _pin(wanted: Sequence[Wanted], config: BuildConfig, mirrors: Path | None, progress: Progress) -> Iterator[Pinned]:
    """Bring every repository onto this machine and write down which commits of it are meant."""
    taken: set[str] = set()
    for item in wanted:
        source = open_repository(provide(item, mirrors, progress), item.name)
        name = source.name if source.name not in taken else f"{source.folder.resolve().parent.name}-{source.name}"
        if name in taken:
            raise InputError(f"{item.place} is named twice.", "Name each repository once.")
        taken.add(name)
        revision = _resolved(source, item.revision or config.revision)
        head = next(word for word in revision.split() if not word.startswith("^"))
        folder, git_dir = (str(path.resolve()) for path in (source.folder, source.git_dir))
        yield Pinned(name, folder, git_dir, head, revision, item.licence)


def _resolved(source: Source, revision: str) -> str:
    done = source.git.run("rev-parse", "--revs-only", *(word for word in revision.split() if word[0] != "-"))
    if done.code != 0 or not done.stdout.strip():
        raise InputError(
            f"{source.folder} has no commit {revision!r}.", f"See what there is: git -C {source.folder} log --all"
        )
    return " ".join(done.stdout.decode("ascii").split())


def _list(pinned: Pinned, config: BuildConfig) -> _Listed:
    source = Source(Path(pinned.folder), Path(pinned.git_dir), pinned.name, pinned.head, ())
    history = list_history(source, ExtractConfig(revision=pinned.revision))
    hashes = history.hashes
    count = max(1, round(len(hashes) / SHARD_COMMITS))
    cuts = [len(hashes) * number // count for number in range(count + 1)]
    runs = [hashes[start:end] for start, end in itertools.pairwise(cuts) if start < end]
    shards = tuple(Shard(pinned.name, source.git_dir, run, history.roots.intersection(run), config) for run in runs)
    return _Listed(pinned, history.merges, history.severed, shards)


def _read(
    shop: Workshop, shards: Sequence[Shard], jobs: int | None, executor: Executor | None, progress: Progress
) -> None:
    """Read every shard that no earlier build has read."""
    left = [shard for shard in shards if not shop.result(shard).is_file()]
    commits = sum(len(shard.hashes) for shard in left)
    with task(progress, "reading", commits, "commits") as shown, local_executor(jobs, len(left)) as local:
        for shard, result in read_all(left, executor or local):
            shop.keep(shard, result)
            shown.advance(len(shard.hashes), repository=shard.repository)


def _assemble(shop: Workshop, read: Sequence[_Listed], config: BuildConfig, progress: Progress) -> None:
    """Make the dataset of what was read."""
    profile: Profile = config.profile or ("many-repositories" if len(read) > 1 else "single-repository")
    total = Funnel(f"{len(read):,} repositories" if len(read) > 1 else read[0].pinned.name)
    masked: Counter[str] = Counter()
    repositories = []
    records: list[Record] = []
    with task(progress, "assembling", 5, "steps") as shown:
        for item in read:
            funnel = _collect(shop, item, records, masked)
            repositories.append(ReadRepository(item.pinned.name, item.pinned.head, item.pinned.licence, funnel.read))
            total.add(funnel)
        shown.advance()
        unique = deduplicate(sorted(records, key=age))
        records.clear()
        total.rejected.update(gone.reason for gone in unique.dropped)
        total.kept = len(unique.kept)
        shown.advance()
        kept = unique.kept
        if config.balanced and profile == "many-repositories":
            balanced = balance(kept, config)
            kept = balanced.kept
            for reason, count in balanced.dropped.items():
                total.drop(reason, count)
        shown.advance()
        splits = split(kept, config.limits(profile))
        total.drop("author-and-file", len(kept) - sum(1 for _ in splits.records()))
        if not total.kept:
            raise _nothing_left(total)
        shown.advance()
        made = describe(splits)
        before = Counter(map(type_of, unique.kept))
        report = BuildReport(profile, config, tuple(repositories), total, dict(before), dict(masked))
        with artifacts.whole_folder(shop.made, force=True) as folder:
            write_splits(folder, splits)
            artifacts.write_json(folder / STATS, made.to_json() | report.to_json())
            artifacts.write_text(folder / CARD, report.card(made))
            parents = {item.name: item.head for item in repositories}
            settings = dataclasses.asdict(config) | {"profile": profile, "extractor": EXTRACTOR_VERSION}
            artifacts.seal(folder, "dataset", config=settings, parents=parents, files=list(folder.iterdir()))
        shown.advance()
    for line in filter(None, (total.told(), total.told_skipped(), total.strictest())):
        progress.note(line)


def _collect(shop: Workshop, item: _Listed, records: list[Record], masked: Counter[str]) -> Funnel:
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
