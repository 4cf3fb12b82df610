"""From many repositories to a dataset: fetch, read, and hand over to those who see all records at once (`assemble`).

Decides how repositories are cut into shards and who reads them. A shard that was read is kept until the dataset stands
(`workshop`), so a killed build goes on where it was and ends in the same bytes.
"""

import dataclasses
import itertools
import json
from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import nullcontext
from hashlib import sha256
from pathlib import Path

from joco_mlx import artifacts
from joco_mlx.artifacts import Artifact
from joco_mlx.config import BuildConfig, ExtractConfig, PersonalConfig
from joco_mlx.dataset.assemble import assemble
from joco_mlx.dataset.balance import refuse_unknown_types
from joco_mlx.dataset.personal import Style
from joco_mlx.dataset.pinned import Listed, Pinned, pin
from joco_mlx.dataset.repository import Source, list_history
from joco_mlx.dataset.shard import EXTRACTOR_VERSION, Shard
from joco_mlx.dataset.sources import read_sources, with_own
from joco_mlx.dataset.workers import local_executor, read_all
from joco_mlx.dataset.workshop import Workshop, workshop
from joco_mlx.errors import UsageError
from joco_mlx.progress import Progress, Silent, task

SHARD_COMMITS = 2_000
"""A repository with more is cut into runs of about this many, so that a giant does not keep one worker alone busy."""


def build(
    config: BuildConfig,
    sources: Sequence[str],
    out: Path,
    *,
    on: str | None = None,
    personal: PersonalConfig | None = None,
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
        on: The repository whose style is meant: one of `sources` by name or place, or another. The rest is ballast.
        personal: How much of each.
        mirrors: Where clones lie and are made; the cache folder when None.
        jobs: Worker processes; one for each core when None.
        executor: Who reads, in place of worker processes; it needs to see the repositories under the same paths.
        progress: Who watches; also hears what was left out and why.
        force: Whether `out` may be replaced.

    Raises:
        ConflictError: `out` exists, or another process is building it.
        InputError: A repository cannot be read, or no record is left.
        MachineError: A repository cannot be fetched, or the disk is full.
        UsageError: A profile was asked for that does not fit, a share of no type, or nothing is to be read.
    """
    watched, style = progress or Silent(), personal or PersonalConfig()
    refuse_unknown_types(config)
    if on is not None and config.profile is not None:
        raise UsageError(f"--profile is {config.profile}, but --on splits in its own way.", "Leave --profile away.")
    if on is None and not sources:
        raise UsageError("No repository is named.", "Name one, or a list such as dataset/sources.toml.")
    wanted, own = (read_sources(sources), None) if on is None else with_own(read_sources(sources), on)
    asked = [dataclasses.asdict(config), *(dataclasses.asdict(item) for item in wanted), own, dataclasses.asdict(style)]
    key = sha256(json.dumps([EXTRACTOR_VERSION, *asked]).encode()).hexdigest()
    with workshop(out) as shop:
        if not shop.is_ready(key, out):
            artifacts.refuse_existing(out, force=force)
            plan = shop.plan(key, lambda: [dataclasses.asdict(item) for item in pin(wanted, config, mirrors, watched)])
            read = [_list(Pinned(**item), config) for item in plan]
            _read(shop, [shard for item in read for shard in item.shards], jobs, executor, watched)
            whose = None if own is None else Style(read[own].pinned.name, style)
            assemble(shop, read, config, watched, whose)
        shop.deliver(key, out)
    return artifacts.open_artifact(out, "dataset")


def _list(pinned: Pinned, config: BuildConfig) -> Listed:
    source = Source(Path(pinned.folder), Path(pinned.git_dir), pinned.name, pinned.head, ())
    history = list_history(source, ExtractConfig(revision=pinned.revision))
    hashes = history.hashes
    count = max(1, round(len(hashes) / SHARD_COMMITS))
    cuts = [len(hashes) * number // count for number in range(count + 1)]
    runs = [hashes[start:end] for start, end in itertools.pairwise(cuts) if start < end]
    shards = tuple(Shard(pinned.name, source.git_dir, run, history.roots.intersection(run), config) for run in runs)
    return Listed(pinned, history.merges, history.severed, shards)


def _read(
    shop: Workshop, shards: Sequence[Shard], jobs: int | None, executor: Executor | None, progress: Progress
) -> None:
    """Read every shard that no earlier build has read."""
    left = [shard for shard in shards if not shop.result(shard).is_file()]
    commits = sum(len(shard.hashes) for shard in left)
    readers = nullcontext(executor) if executor else local_executor(jobs, len(left))
    with task(progress, "reading", commits, "commits") as shown, readers as reader:
        for shard, result in read_all(left, reader):
            shop.keep(shard, result)
            shown.advance(len(shard.hashes), repository=shard.repository)
