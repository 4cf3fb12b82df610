"""Kept edits become records, with the person's own words as the truth.

Decides which: those whose commit was found (the newest for each), whose message is conventional, and in which nothing
looks like a secret. Addresses are masked. Leaves keeping to `edits`, and limits on quality to `curate`.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from joco_mlx import artifacts
from joco_mlx.commit.record import INSTRUCTION, Metadata, Record, encode_line
from joco_mlx.dataset import scrub
from joco_mlx.dataset.candidate import Candidate
from joco_mlx.dataset.edits import Edit, edits, settle
from joco_mlx.errors import InputError

_ID_DIGITS = 12


@dataclass(frozen=True)
class Learned:
    """What became of kept edits."""

    records: int
    changed: int
    """Records whose message is not what was suggested."""
    left_out: Mapping[str, int]
    """Why -> how many."""

    def told(self) -> str:
        """Return the counts as a sentence."""
        left = ", ".join(f"{number} {why}" for why, number in self.left_out.items())
        return f"{self.records} records, {self.changed} of them changed by you; left out: {left or 'none'}."


def from_edits(out: Path) -> Learned:
    """Write a record for every kept edit into the JSONL file `out`, and return what became of them.

    Raises:
        ConflictError: `out` exists.
        InputError: Nothing is kept, or none of it may become a record.
    """
    artifacts.refuse_existing(out)
    settle()
    kept = edits()
    if not kept:
        raise InputError(
            "No edits are kept on this computer.",
            "Turn it on in your own config.toml: keep_edits = true below [suggest], then commit with the hook.",
        )
    newest = {edit.commit: edit for edit in kept}
    made = [_record(edit) if edit.commit is None or newest[edit.commit] is edit else "suggested again" for edit in kept]
    records = [one for one in made if isinstance(one, Record)]
    changed = sum(bool(one.metadata.extra["edited"]) for one in records)
    found = Learned(len(records), changed, Counter(one for one in made if isinstance(one, str)))
    if not records:
        raise InputError(f"No kept edit became a record: {found.told()}", "Commit more with the hook, and try again.")
    with artifacts.whole_file(out) as file:
        for record in records:
            file.write(encode_line(record))
    return found


def _record(edit: Edit) -> Record | str:
    """Return the record of an edit, or why there is none."""
    if edit.committed is None or edit.commit is None or edit.author is None:
        return "not committed yet"
    clean = scrub.scrub(edit.diff, edit.committed.partition("\n")[0].strip())
    candidate = Candidate(clean.message, clean.patch)
    if clean.is_leak:
        return "with what looks like a secret"
    if candidate.message is None:
        return "not conventional"
    name = Path(edit.repository).name
    about = Metadata(
        id=f"{name}-{edit.commit[:_ID_DIGITS]}",
        repository=name,
        commit_hash=edit.commit,
        author=edit.author,
        type=candidate.message.type,
        scope=candidate.message.scope,
        quality_score=candidate.score,
        authored_at=edit.authored_at,
        extra={"edited": edit.suggested.strip() != edit.committed},
    )
    return Record(INSTRUCTION, candidate.patch, candidate.header, about)
