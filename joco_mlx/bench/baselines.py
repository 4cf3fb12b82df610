"""What a model has to beat: answers that need no model.

Decides the rules. `majority` always says the commonest type, `paths` reads the type off the files, `style` writes as the
repository usually does; none of them understands a line of the diff. All describe it in the same way, by the file that
changes most, so that a description that scores no better says nothing either. Leaves what is learned from the words of
diffs (`tfidf`, `neighbour`) to `learned`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal, TypeAlias, get_args

from joco_mlx.commit.classify import NOISE
from joco_mlx.commit.diff import FileChange, parse_diff
from joco_mlx.commit.message import Message, parse
from joco_mlx.commit.path_rules import type_by_paths
from joco_mlx.commit.record import Record
from joco_mlx.errors import InputError, UsageError

BaselineName: TypeAlias = Literal["majority", "paths", "tfidf", "neighbour", "style"]
NAMES: tuple[BaselineName, ...] = get_args(BaselineName)
PREFIX = "baseline:"
Baseline: TypeAlias = Callable[[Record], str]
"""From a record to a message; only the record's diff and repository are looked at."""

MAXIMUM_NAME_CHARS = 40


def named(model: str) -> BaselineName | None:
    """Return which baseline a model's name means; None when it means none.

    Raises:
        UsageError: It begins with `baseline:`, but there is no such baseline.
    """
    if not model.startswith(PREFIX):
        return None
    name = model.removeprefix(PREFIX)
    found = next((known for known in NAMES if known == name), None)
    if found is None:
        raise UsageError(
            f"There is no baseline {name!r}.", f"Use one of: {', '.join(PREFIX + name for name in NAMES)}."
        )
    return found


def make(name: BaselineName, train: Sequence[Record]) -> Baseline:
    """Return a baseline; `paths` looks at no training record.

    Raises:
        InputError: It learns from training records, and none has a conventional message.
        MachineError: It needs scikit-learn, which is not installed.
    """
    if name == "paths":
        return by_paths
    conventional = [record for record in train if parse(record.output)]
    if not conventional:
        raise InputError(
            f"The baseline {name} has nothing to learn from.", "Name a dataset with messages: --train dataset"
        )
    if name in ("tfidf", "neighbour"):
        from joco_mlx.bench import learned  # noqa: PLC0415  (scikit-learn, which only these two need)

        return learned.by_words(conventional) if name == "tfidf" else learned.by_neighbour(conventional)
    return by_majority(conventional) if name == "majority" else by_style(conventional)


def by_paths(record: Record) -> str:
    """Read the type off the classes of the changed files: all docs is `docs`, a new source file `feat`, else `fix`."""
    changes = parse_diff(record.input)
    return written(type_by_paths(changes), changes)


def by_majority(train: Sequence[Record]) -> Baseline:
    """Return the baseline that always says the commonest type of `train`."""
    commonest = _commonest(message.type for message in _messages(train))
    return lambda record: written(commonest, parse_diff(record.input))


@dataclass(frozen=True)
class Style:
    """How a repository usually writes."""

    type: str
    scope: str | None
    """Its commonest scope when most of its messages have one."""
    verb: str

    @classmethod
    def of(cls, messages: Sequence[Message]) -> "Style":
        """Return the style of at least one message."""
        scoped = [message.scope for message in messages if message.scope]
        return cls(
            type=_commonest(message.type for message in messages),
            scope=_commonest(scoped) if 2 * len(scoped) > len(messages) else None,
            verb=_commonest(message.description.split()[0].lower() for message in messages),
        )


def by_style(train: Sequence[Record]) -> Baseline:
    """Return the baseline that writes as the record's repository does in `train`, or as all do when it is not there."""
    everywhere = Style.of(_messages(train))
    repositories = {record.metadata.repository for record in train}
    styles = {
        name: Style.of(_messages([record for record in train if record.metadata.repository == name]))
        for name in repositories
    }

    def answer(record: Record) -> str:
        style = styles.get(record.metadata.repository, everywhere)
        return written(style.type, parse_diff(record.input), scope=style.scope, verb=style.verb)

    return answer


def written(kind: str, changes: Sequence[FileChange], *, scope: str | None = None, verb: str = "update") -> str:
    """Return a message of a type that names the file with the most changed lines, noise last."""
    most = max(changes, key=lambda change: (change.kind not in NOISE, change.added + change.deleted), default=None)
    name = PurePosixPath(most.path).stem[:MAXIMUM_NAME_CHARS].strip(" .") if most else ""
    return Message(kind, f"{verb} {name or 'files'}", scope).format()


def _messages(records: Sequence[Record]) -> list[Message]:
    return [message for record in records if (message := parse(record.output))]


def _commonest(words: Iterable[str]) -> str:
    """Return the commonest word; of equally common ones the first in alphabetical order."""
    counts = Counter(words)
    return min(counts, key=lambda word: (-counts[word], word))
