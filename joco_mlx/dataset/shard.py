"""One run of commits of one repository, from git to finished lines: what a worker does, in any process, on any machine.

Decides the order of the steps: headers first, so that the patches of bots, bumps and free-form messages are never asked
for; then the changelogs go, the gates and the rubric judge, and last the costly search for secrets. A shard is small
and travels as it is, its result is bytes, and equal shards give equal bytes; nothing is written here.
"""

import dataclasses
import json
import platform
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from joco_mlx.commit.record import Record, encode_line
from joco_mlx.config import BuildConfig, CurateConfig
from joco_mlx.dataset.candidate import Candidate
from joco_mlx.dataset.changelogs import without_changelogs
from joco_mlx.dataset.extract import made_record
from joco_mlx.dataset.funnel import Funnel
from joco_mlx.dataset.gates import first_reason
from joco_mlx.dataset.git_stream import Commit, Skipped, read_commits
from joco_mlx.dataset.plain_git import PlainGit
from joco_mlx.dataset.scrub import REASON as SECRET
from joco_mlx.dataset.scrub import scrub
from joco_mlx.dataset.strict_gates import PATCH_GATES, header_gates
from joco_mlx.errors import MachineError

EXTRACTOR_VERSION = 3
"""Counts changes of what a shard gives for the same commits; results of another version are made again."""


@dataclass(frozen=True)
class Shard:
    """Commits of one repository that follow each other, and how to read them."""

    repository: str
    git_dir: Path
    hashes: tuple[str, ...]
    """Newest first, without merges."""
    roots: frozenset[str]
    config: BuildConfig

    @property
    def key(self) -> str:
        """A name for what this shard gives: 32 digits of a SHA-256 of all that decides it."""
        decides: dict[str, Any] = dataclasses.asdict(self.config)
        reads = {name: decides[name] for name in _READS}
        text = json.dumps([EXTRACTOR_VERSION, self.repository, reads, self.hashes, sorted(self.roots)])
        return sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class ShardResult:
    """What became of the commits of a shard."""

    funnel: Funnel
    masked: dict[str, int]
    """Kind of address -> how many were masked in the records."""
    lines: bytes
    """The records as JSONL, in the order of the shard."""

    def to_bytes(self) -> bytes:
        """Return everything as one text: a line with the counts, then the records."""
        skipped = [dataclasses.astuple(item) for item in self.funnel.skipped]
        counts = [self.funnel.repository, self.funnel.read, self.funnel.kept, dict(self.funnel.ordered()), skipped]
        return json.dumps([counts, self.masked]).encode() + b"\n" + self.lines

    @classmethod
    def from_head(cls, head: bytes) -> "ShardResult":
        """Read the line with the counts; the records are left where they are."""
        counts, masked = json.loads(head)
        repository, read, kept, rejected, skipped = counts
        funnel = Funnel(repository, read=read, kept=kept, skipped=[Skipped(*item) for item in skipped])
        funnel.rejected.update(rejected)
        return cls(funnel, masked, b"")


_READS = ("minimum_score", "minimum_diff_chars", "maximum_diff_chars", "english_only")
"""The settings that a shard depends on; all others come later."""


def read_shard(shard: Shard) -> bytes:
    """Read, judge and scrub the commits of a shard; return `ShardResult.to_bytes`.

    Raises:
        MachineError: The repository is not on this machine: a worker elsewhere does not see it.
    """
    if not shard.git_dir.is_dir():
        raise MachineError(
            f"{shard.git_dir} is not on {platform.node()}.", "Put the repositories where every worker sees them."
        )
    reader = _Reader(shard)
    lines = b"".join(map(encode_line, reader.records()))
    return ShardResult(reader.funnel, reader.masked, lines).to_bytes()


class _Reader:
    """The counts of a shard while it is read."""

    def __init__(self, shard: Shard) -> None:
        self.shard = shard
        self.limits: CurateConfig = shard.config.limits("single-repository")
        self.funnel = Funnel(shard.repository)
        self.masked: dict[str, int] = {}

    def records(self) -> Iterator[Record]:
        """Yield what is left."""
        hashes = list(self._with_good_headers())
        if not hashes:
            return
        for commit in self._readable(read_commits(PlainGit(self.shard.git_dir), hashes)):
            record = self._judged(commit)
            if isinstance(record, Record):
                self.funnel.keep()
                yield record
            else:
                self.funnel.reject(record)

    def _with_good_headers(self) -> Iterator[str]:
        gates = header_gates(english_only=self.shard.config.english_only)
        git = PlainGit(self.shard.git_dir)
        for commit in self._readable(read_commits(git, self.shard.hashes, patches=False)):
            reason = first_reason(self._candidate(commit), self.limits, gates)
            if reason is None:
                yield commit.hash
            else:
                self.funnel.reject(reason)

    def _readable(self, items: Iterable[Commit | Skipped]) -> Iterator[Commit]:
        for item in items:
            if isinstance(item, Commit):
                yield item
            else:
                self.funnel.skipped.append(item)

    def _candidate(self, commit: Commit) -> Candidate:
        return Candidate.of_commit(commit, is_root=commit.hash in self.shard.roots)

    def _judged(self, commit: Commit) -> Record | str:
        """Return the record of a commit, or why there is none."""
        trimmed = dataclasses.replace(commit, patch=without_changelogs(commit.patch))
        candidate = self._candidate(trimmed)
        reason = first_reason(candidate, self.limits, PATCH_GATES)
        if reason is not None:
            return reason
        clean = scrub(candidate.patch, candidate.header)
        if clean.is_leak:
            return SECRET
        if clean.masked:
            candidate = Candidate(clean.message, clean.patch, candidate.author)
            reason = first_reason(candidate, self.limits, PATCH_GATES)
            if reason is not None:
                return reason
            for kind, count in clean.masked.items():
                self.masked[kind] = self.masked.get(kind, 0) + count
        return made_record(trimmed, candidate, self.shard.repository)
