"""What became of the commits of a repository, or the records of a file: counted, and told in a sentence."""

import dataclasses
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from joco_mlx.dataset.gates import GATES
from joco_mlx.dataset.git_stream import Skipped
from joco_mlx.dataset.strict_gates import HEADER_GATES, LATER_MEANINGS, PATCH_GATES

_NAMED = 3
_HASH_CHARS = 10
_MEANINGS = {
    **LATER_MEANINGS,
    **{gate.reason: gate.meaning for gate in (*HEADER_GATES, *PATCH_GATES, *GATES)},
    "empty": "no message or no change",
    "duplicate": "message of an older one",
}
_ORDER = list(dict.fromkeys([*(gate.reason for gate in (*HEADER_GATES, *PATCH_GATES)), *LATER_MEANINGS]))
"""Reason codes in the order in which `build` asks."""
_SETTINGS = {
    "short-diff": "--minimum-diff-chars",
    "long-diff": "--maximum-diff-chars",
    "low-score": "--minimum-score",
    "not-english": "--english-only",
    "repository-cap": "--maximum-repository-share",
    "author-cap": "--maximum-author-share",
    "type-cap": "--maximum-type-share",
    "ballast-cap": "--own-share",
}


@dataclass
class Funnel:
    """Counts that add up: read = kept + rejected."""

    repository: str
    merges: int = 0
    """Merges, which are never read."""
    read: int = 0
    kept: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    """Reason code -> number."""
    skipped: list[Skipped] = field(default_factory=list)
    """Commits that could not be read; not part of `read`."""

    def keep(self) -> None:
        """Count one that was let in."""
        self.read += 1
        self.kept += 1

    def reject(self, reason: str) -> None:
        """Count one that was not."""
        self.read += 1
        self.rejected[reason] += 1

    def drop(self, reason: str, count: int = 1) -> None:
        """Count some as rejected that were let in before."""
        self.kept -= count
        if count:
            self.rejected[reason] += count

    def add(self, other: "Funnel") -> None:
        """Add the counts of another funnel."""
        self.merges += other.merges
        self.read += other.read
        self.kept += other.kept
        self.rejected += other.rejected
        self.skipped += other.skipped

    def told(self) -> str:
        """Say how many were kept, and why the others were not, the most frequent reason first."""
        reasons = "; ".join(f"{_MEANINGS[reason]}: {count:,}" for reason, count in self.ordered())
        return f"{self.repository}: kept {self.kept:,} of {self.read:,}" + (f" ({reasons})." if reasons else ".")

    def strictest(self) -> str:
        """Say which filter that a setting can loosen turned away most of what reached it; empty when none did."""
        reached, found = self.read, (0.0, "")
        for reason in _ORDER:
            count = self.rejected[reason]
            if reason in _SETTINGS and count and count / reached > found[0]:
                share = count / reached
                text = f"{_SETTINGS[reason]} turned away {count:,} of the {reached:,} that reached it ({share:.0%})"
                found = (share, text)
            reached -= count
        return found[1]

    def ordered(self) -> list[tuple[str, int]]:
        """Return reason codes and counts, the most frequent first and equal ones by name."""
        return sorted(self.rejected.items(), key=lambda item: (-item[1], item[0]))

    def to_json(self) -> dict[str, Any]:
        """Return the counts, and every commit that could not be read, under stable names."""
        skipped = [dataclasses.asdict(item) for item in self.skipped]
        counts = {"merges": self.merges, "read": self.read, "kept": self.kept, "rejected": dict(self.ordered())}
        return {**counts, "skipped": skipped}

    def told_skipped(self) -> str:
        """Say which commits could not be read, and why; empty when all could."""
        if not self.skipped:
            return ""
        named = [f"{item.hash[:_HASH_CHARS]} ({item.detail})" for item in self.skipped[:_NAMED]]
        more = len(self.skipped) - len(named)
        listed = ", ".join(named) + (f" and {more:,} more" if more else "")
        unreadable = sum(item.reason == "unreadable" for item in self.skipped)
        too_large = len(self.skipped) - unreadable
        return f"{self.repository}: skipped {unreadable:,} unreadable and {too_large:,} too large commits: {listed}."
