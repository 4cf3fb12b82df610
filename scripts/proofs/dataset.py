"""Proves that a dataset of real repositories holds no leak, no bot and no answer in its diffs.

Builds one of the repositories of dataset/sources.toml that lie below JOCO_MIRRORS, audits it, and looks up the author of
200 of its records in the repositories themselves. Ends with 1 when there is a leak or a bot.
"""

import argparse
import json
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from results import ROOT, record

from joco_mlx import process
from joco_mlx.commit.record import Record, read_records
from joco_mlx.config import BuildConfig, CurateConfig
from joco_mlx.dataset.audit import AuditReport, audit
from joco_mlx.dataset.build import build
from joco_mlx.dataset.candidate import Candidate
from joco_mlx.dataset.gates import is_by_bot
from joco_mlx.dataset.sources import forecast, read_sources
from joco_mlx.progress import Silent

LIST = ROOT / "dataset" / "sources.toml"
PAGE = ROOT / "docs" / "data.md"
SAMPLE = 200
WANTED_COMMITS, WANTED_REPOSITORIES = 20_000, 5


def main() -> int:
    """Build, audit, look at authors, write the section."""
    parser = argparse.ArgumentParser(prog="scripts/prove dataset", description=__doc__)
    parser.add_argument("--most", type=int, default=99, help="how many repositories to read (default: all there are)")
    parser.add_argument(
        "--sample", type=Path, help="file to write authors and messages of the sample to, for your eyes"
    )
    given = parser.parse_args()
    mirrors = Path(os.environ.get("JOCO_MIRRORS", ""))
    chosen = list(available(mirrors))[: given.most]
    with tempfile.TemporaryDirectory() as temporary:
        listed = Path(temporary) / "sources.toml"
        listed.write_text("\n".join(entry for entry, _ in chosen), "utf-8")
        started, before = time.monotonic(), cpu_seconds()
        made = build(BuildConfig(), [str(listed)], Path(temporary) / "data", mirrors=mirrors, progress=Silent())
        wall, cpu = time.monotonic() - started, cpu_seconds() - before
        counts = json.loads((made.folder / "stats.json").read_text("utf-8"))
        report = audit(made.folder)
        records = [
            item for name in ("train", "validation", "test") for item in read_records(made.folder / f"{name}.jsonl")
        ]
    sample = random.Random(0).sample(records, min(SAMPLE, len(records)))  # noqa: S311  (a sample, no secret)
    named = authors(sample, {name: folder for _, (name, folder) in chosen})
    if given.sample:
        seen = (f"{name}\t{item.metadata.repository}\t{item.output}" for name, item in zip(named, sample, strict=True))
        given.sample.write_text("\n".join(sorted(seen)) + "\n", "utf-8")
    bots = sum(is_by_bot(Candidate("", "", name), CurateConfig()) for name in named)
    text = "\n".join(section(counts, report, len(named), bots, wall, cpu))
    record("dataset", text, PAGE)
    print(text)
    enough = counts["funnel"]["read"] >= WANTED_COMMITS and len(chosen) >= WANTED_REPOSITORIES
    return 0 if enough and not report.leaks and not bots else 1


def available(mirrors: Path) -> Iterator[tuple[str, tuple[str, Path]]]:
    """Yield the entries of the list whose mirror is there: the text, and name and folder."""
    wanted = read_sources([str(LIST)])
    for item, found in zip(wanted, forecast(wanted, mirrors), strict=True):
        if Path(found.where).is_dir():
            fields = {"name": item.name, "url": item.place, "commit": item.revision, "licence": item.licence}
            yield (
                "[[source]]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in fields.items()),
                (
                    found.name,
                    Path(found.where),
                ),
            )


def authors(sample: Sequence[Record], folders: dict[str, Path]) -> list[str]:
    """Return name and address of the author of each record, asked of git: records hold pseudonyms.

    An author that git does not tell ends the program: nobody is no bot.
    """
    named = []
    for item in sample:
        repository, commit = item.metadata.repository, item.metadata.commit_hash
        done = process.run(["git", "-C", folders[repository], "show", "--no-patch", "--format=%an <%ae>", commit, "--"])
        name = done.stdout.decode("utf-8", "replace").strip()
        if done.code or not name:
            sys.exit(f"git names no author of {repository} at {commit}: {done.complaint}")
        named.append(name)
    return named


def cpu_seconds() -> float:
    """Return the CPU time of this process and of all its ended children."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def section(
    counts: dict[str, Any], report: AuditReport, sample: int, bots: int, wall: float, cpu: float
) -> Iterator[str]:
    """Yield the lines of the section."""
    funnel = counts["funnel"]
    kept = funnel["kept"]
    yield "## A dataset of real repositories\n"
    yield "`scripts/prove dataset`: `joco-mlx dataset build` on the repositories of `dataset/sources.toml` named below.\n"
    yield f"- commits read: {funnel['read']:,} of {len(counts['sources'])} repositories; records: {kept:,}"
    yield f"- time: {wall:.0f} s with a process for each core, {cpu:.0f} CPU seconds,"
    yield f"  {funnel['read'] / cpu:.0f} commits per CPU second"
    yield f"- answers in diffs: {report.answers_in_diff_share:.2%}"
    yield f"- near-duplicates across splits: {report.near_duplicates_across_splits}"
    yield f"- same author and file within 7 days in training and validation: {report.author_file_leakage_share:.2%}"
    yield f"- bots among the authors of {sample} records, looked up in git: {bots}"
    yield f"- strictest filter: {counts['strictest']}"
    yield "\n| what became of a commit | number | share |\n|---|---:|---:|"
    for name, count in [*funnel["rejected"].items(), ("**kept**", kept)]:
        yield f"| {name} | {count:,} | {count / funnel['read']:.1%} |"
    yield "\n| type | before the caps | after |\n|---|---:|---:|"
    before = counts["types_before_balance"]
    for name, count in before.items():
        yield f"| {name} | {count / sum(before.values()):.1%} | {counts['types'].get(name, 0) / kept:.1%} |"
    yield "\n| repository | licence | commits | records |\n|---|---|---:|---:|"
    for item in counts["sources"]:
        records = counts["repositories"].get(item["name"], 0)
        yield f"| {item['name']}@{item['head'][:9]} | {item['licence']} | {item['commits']:,} | {records:,} |"


if __name__ == "__main__":
    sys.exit(main())
