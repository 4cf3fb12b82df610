"""From git history to records: every commit is read once, judged by the gates, and written as a line of JSONL.

Decides what of a commit goes into a record: the header without the suffix of a pull request, the whole patch, and a
pseudonym for the author. Leaves splitting and deduplication to `curate`.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from joco_mlx import artifacts
from joco_mlx.commit.record import INSTRUCTION, Metadata, Record, encode_line, hash_author
from joco_mlx.config import CurateConfig, ExtractConfig
from joco_mlx.dataset.candidate import Candidate
from joco_mlx.dataset.funnel import Funnel
from joco_mlx.dataset.gates import first_reason
from joco_mlx.dataset.git_stream import Commit, Skipped, read_commits
from joco_mlx.dataset.repository import History, Source, list_history, open_repository
from joco_mlx.errors import InputError, UsageError
from joco_mlx.progress import Progress, Silent, Task, task

_ID_DIGITS = 12
"""Enough for 20,000 commits of one repository to meet twice in one of a million datasets."""
_SHOWN_EVERY = 50
_LIMITS = CurateConfig()


def extract(
    config: ExtractConfig, repo: Path, *, progress: Progress | None = None, funnel: Funnel | None = None
) -> Iterator[Record]:
    """Yield the records of a repository, newest commit first.

    Args:
        config: What to read, and whether to filter by the guide's limits.
        repo: A clone, a linked worktree or a bare mirror.
        progress: Who watches.
        funnel: Counts what became of every commit, if given.

    Raises:
        InputError: `repo` is no repository, shallow or empty, or has no such commits.
        UsageError: The author's pattern or the revision is none.
    """
    watched = progress or Silent()
    source = open_repository(repo, config.name)
    history = list_history(source, config)
    counts = funnel if funnel is not None else Funnel(source.name)
    counts.repository, counts.merges = source.name, counts.merges + history.merges
    counts.skipped += [Skipped(name, "unreadable", "a parent is missing") for name in history.severed]
    with task(watched, f"reading {source.name}", len(history.hashes), "commits") as shown:
        yield from _records(config, source, history, counts, shown)
    watched.note(counts.told())
    if counts.skipped:
        watched.note(counts.told_skipped())


def extract_to_file(
    config: ExtractConfig, repos: Sequence[Path], out: Path, *, progress: Progress | None = None
) -> Funnel:
    """Write the records of `repos` into the JSONL file `out`, which appears when it is whole; return the counts.

    Raises:
        ConflictError: `out` exists.
        InputError: As for `extract`; also when no commit was let in.
        UsageError: One name is given for several repositories.
    """
    artifacts.refuse_existing(out)
    if config.name is not None and len(repos) > 1:
        raise UsageError(
            f"--name is {config.name!r}, but there are {len(repos)} repositories.", "Extract each into its own file."
        )
    total = Funnel(f"{len(repos)} repositories")
    with artifacts.whole_file(out) as file:
        for repo in repos:
            funnel = Funnel(repo.name)
            for record in extract(config, repo, progress=progress, funnel=funnel):
                file.write(encode_line(record))
            total.repository = funnel.repository if len(repos) == 1 else total.repository
            total.add(funnel)
        if not total.kept:
            raise InputError(
                f"No commit became a record. {total.told()}",
                "Add --no-filter to keep every commit, or extract another repository.",
            )
    return total


def _records(config: ExtractConfig, source: Source, history: History, counts: Funnel, shown: Task) -> Iterator[Record]:
    for number, item in enumerate(read_commits(source.git, history.hashes), 1):
        if number % _SHOWN_EVERY == 0 or number == len(history.hashes):
            shown.advance((number - 1) % _SHOWN_EVERY + 1, kept=counts.kept)
        if isinstance(item, Skipped):
            counts.skipped.append(item)
            continue
        candidate = Candidate.of_commit(item, is_root=item.hash in history.roots)
        reason = _reason(config, candidate)
        if reason is not None:
            counts.reject(reason)
            continue
        counts.keep()
        yield made_record(item, candidate, source.name)


def _reason(config: ExtractConfig, candidate: Candidate) -> str | None:
    """Return why a candidate is left out; a record needs a diff and a message even when nothing is filtered."""
    if config.filtered:
        return first_reason(candidate, _LIMITS)
    return None if candidate.patch and candidate.header else "empty"


def made_record(commit: Commit, candidate: Candidate, repository: str) -> Record:
    """Return the record of a commit that was let in; diff and message are the candidate's."""
    message = candidate.message
    about = Metadata(
        id=f"{repository}-{commit.hash[:_ID_DIGITS]}",
        repository=repository,
        commit_hash=commit.hash,
        author=hash_author(commit.author_name, commit.author_email),
        type="" if message is None else message.type,
        scope=None if message is None else message.scope,
        quality_score=candidate.score,
        authored_at=commit.authored_at,
    )
    return Record(INSTRUCTION, candidate.patch, candidate.header, about)
