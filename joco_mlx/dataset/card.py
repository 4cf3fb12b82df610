"""The card of a dataset: README.md as dataset hubs read it, made from the numbers alone.

Format: https://huggingface.co/docs/hub/datasets-cards (YAML between two lines of dashes, then Markdown).
"""

from collections.abc import Mapping, Sequence

from joco_mlx.config import CurateConfig
from joco_mlx.dataset.gates import SUBJECT_CHARS
from joco_mlx.dataset.split import NAMES
from joco_mlx.dataset.stats import Lengths, Stats

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_MOST_SCOPES = 12
FIELDS = """\
Each line of a `.jsonl` file is one commit:

| Field | Content |
|---|---|
| `instruction` | the task in words, the same in every record |
| `input` | the diff as git wrote it |
| `output` | the first line of the commit message, without the suffix of a pull request |
| `metadata.id` | repository and first digits of the hash |
| `metadata.repository`, `metadata.commit_hash` | where the commit comes from |
| `metadata.author` | a pseudonym: the first digits of a SHA-256 |
| `metadata.type`, `metadata.scope` | what the message says |
| `metadata.quality_score` | points of the rubric, 0 to 100 |
| `metadata.authored_at` | the author's date |
"""
_RIGHTS = """\
The diffs are parts of the repositories named above and stand under the licences of those repositories; what is made
from this dataset should name them.
"""


def card(
    made: Stats,
    config: CurateConfig,
    *,
    how: str = "",
    more: Sequence[str] = (),
    files: Mapping[str, str] | None = None,
    licences: Sequence[str] = (),
    fields: str = FIELDS,
) -> str:
    """Return the text of README.md; the same numbers give the same text.

    Args:
        made: The numbers.
        config: Limits and shares.
        how: What was done, in place of what `extract` and `curate` do.
        more: Further sections, each with its heading.
        files: Split -> file; NAME.jsonl when None.
        licences: Under what the records stand, in the Hub's words; nothing is said when empty.
        fields: What a line of a file holds.
    """
    named = files or {name: f"{name}.jsonl" for name in NAMES}
    parts = [
        _front_matter(made, named, licences),
        "# Conventional commit messages\n\n"
        f"{made.records:,} commits from {_repositories(made)}, each a diff and the message that its author wrote.\n",
        "## Numbers\n\n" + table(("Metric", "Value"), made.guide_rows()),
        table(("Characters", "Minimum", "Mean", "Maximum"), _lengths(made)),
        "## Types\n\n" + table(("Type", "Records"), _rows(made.types)),
        "## Scopes\n\n" + table(("Scope", "Records"), _rows(made.scopes, _MOST_SCOPES)),
        "## Repositories\n\n" + table(("Repository", "Records"), _rows(made.repositories)),
        "## Format\n\n" + fields,
        *more,
        "## How it was made\n\n" + (how or _filters(config)),
        "## Rights\n\n" + _RIGHTS,
    ]
    return "\n".join(parts)


def _front_matter(made: Stats, named: Mapping[str, str], licences: Sequence[str]) -> str:
    size = next((name for limit, name in _SIZES if made.records < limit), "n>1M")
    counts = dict(zip(NAMES, (made.train, made.validation, made.test), strict=True))
    files = [f"      - split: {name}\n        path: {named[name]}" for name, count in counts.items() if count]
    return "\n".join(
        [
            "---",
            "pretty_name: Conventional commit messages",
            *(["license:", *(f"  - {name}" for name in licences)] if licences else []),
            "language:\n  - en",
            "task_categories:\n  - text-generation",
            "tags:\n  - commit-messages\n  - conventional-commits\n  - git",
            f"size_categories:\n  - {size}",
            "configs:\n  - config_name: default\n    data_files:",
            *files,
            "---\n",
        ]
    )


def _filters(config: CurateConfig) -> str:
    return f"""\
`joco-mlx dataset extract` reads a repository's history (no merges, no first commits, no bots) and
`joco-mlx dataset curate` keeps a commit when

- its first line is a valid conventional commit, shorter than {SUBJECT_CHARS} characters and without a period at its end,
- its diff has {config.minimum_diff_chars:,} to {config.maximum_diff_chars:,} characters, is not only binary, and does not contain the message,
- it scores at least {config.minimum_score} of 100 points: form, mood, information, grounding in the diff, fitting type,
- no older commit has the same message.

Profile `{config.profile}`: the newest records are for validation ({config.validation_share:.0%}) and test ({config.test_share:.0%}).
`manifest.json` holds the settings and the SHA-256 of every file.
"""


def _repositories(made: Stats) -> str:
    count = len(made.repositories)
    return f"the repository {next(iter(made.repositories))}" if count == 1 else f"{count:,} repositories"


def _lengths(made: Stats) -> list[tuple[str, ...]]:
    def row(name: str, lengths: Lengths) -> tuple[str, ...]:
        return name, f"{lengths.minimum:,}", f"{lengths.mean:,.0f}", f"{lengths.maximum:,}"

    return [row("Diff", made.diff_chars), row("Message", made.output_chars)]


def _rows(counts: Mapping[str, int], most: int | None = None) -> list[tuple[str, ...]]:
    rows = [(name, f"{count:,}") for name, count in counts.items()]
    if most is None or len(rows) <= most:
        return [*rows]
    others = sum(list(counts.values())[most:])
    return [*rows[:most], (f"{len(rows) - most:,} others", f"{others:,}")]


def table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return a table in Markdown."""
    lines = ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in (columns, *rows)]
    lines.insert(1, "|" + "---|" * len(columns))
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
