"""A commit that asks to become a record: what gates and rubric look at, read at most once."""

import re
from dataclasses import dataclass
from functools import cached_property

from joco_mlx.commit.diff import FileChange, parse_diff
from joco_mlx.commit.message import Message, parse, strip_pr_suffix
from joco_mlx.commit.record import Record
from joco_mlx.dataset import quality
from joco_mlx.dataset.git_stream import Commit

_WORD = re.compile(r"[^\W\d_](?:[\w'./-]*\w)?")


@dataclass(frozen=True)
class Candidate:
    """A message's header and the diff that it is for."""

    header: str
    """First line of the message, without the suffix of a pull request."""
    patch: str
    author: str = ""
    """`Name <e-mail>`; empty where only the hash of it is known."""
    is_root: bool = False
    known_score: int | None = None
    """The score that a record carries; None when it has yet to be worked out."""

    @classmethod
    def of_commit(cls, commit: Commit, *, is_root: bool = False) -> "Candidate":
        """Look at a commit of a repository."""
        header = strip_pr_suffix(commit.message.partition("\n")[0]).strip()
        return cls(header, commit.patch, f"{commit.author_name} <{commit.author_email}>", is_root)

    @classmethod
    def of_record(cls, record: Record) -> "Candidate":
        """Look at a record that was extracted before."""
        header = strip_pr_suffix(record.output.partition("\n")[0]).strip()
        return cls(header, record.input, known_score=record.metadata.quality_score)

    @cached_property
    def message(self) -> Message | None:
        """The header taken apart; None when it is not conventional."""
        return parse(self.header)

    @property
    def description(self) -> str:
        """What the header says after type and scope; all of it when it is not conventional."""
        return self.header if self.message is None else self.message.description

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The words of the description, in lower case."""
        return tuple(_WORD.findall(self.description.lower()))

    @cached_property
    def changes(self) -> tuple[FileChange, ...]:
        """What the diff does, file by file."""
        return parse_diff(self.patch)

    @cached_property
    def lowered_patch(self) -> str:
        """The diff in lower case."""
        return self.patch.lower()

    @cached_property
    def score(self) -> int:
        """The points of the rubric, 0 to 100."""
        return quality.score(self).total if self.known_score is None else self.known_score
