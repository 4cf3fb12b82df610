"""Proves that the search for secrets finds what is planted in real diffs, and hardly ever cries wolf.

Reads diffs of a size that a dataset would take, of commits by people, from the repositories below JOCO_MIRRORS, as evenly
as their lengths allow. Whatever it reports in them counts as a false alarm, whether or not it is one. Then it plants a
secret of every kind of tests/dataset/test_scrub.py in diffs that it found clean. Ends with 1 when more than one in a
hundred is reported, or a planted one is not.
"""

import argparse
import importlib
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from mirrors import Mirror, mirrors
from results import ROOT, record

from joco_mlx.config import CurateConfig, ExtractConfig
from joco_mlx.dataset.candidate import Candidate
from joco_mlx.dataset.gates import has_long_diff, has_short_diff, is_by_bot
from joco_mlx.dataset.git_stream import Commit, read_commits
from joco_mlx.dataset.repository import list_history, open_repository
from joco_mlx.dataset.scrub import scrub

sys.path[:0] = [str(ROOT / "tests" / "dataset")]
SECRETS: dict[str, str] = importlib.import_module("test_scrub").SECRETS
"""Made up there when it is imported, and never written down."""
PAGE = ROOT / "docs" / "data.md"
WANTED, MOST_ALARMS = 5_000, 0.01
READ_OF_EACH = 500
PLANTED_OF_EACH = 20

Found = tuple[Mirror, Commit]


def main() -> int:
    """Read, look, plant, look again, write the section."""
    parser = argparse.ArgumentParser(prog="scripts/prove dataset_secrets", description=__doc__)
    parser.add_argument("--diffs", type=int, default=WANTED, help="how many to look at (default: %(default)s)")
    parser.add_argument("--alarms", type=Path, help="file to write the reported commits to, for your eyes")
    given = parser.parse_args()
    chosen = list(islice(evenly([list(diffs(mirror)) for mirror in mirrors()]), given.diffs))
    if len(chosen) < given.diffs:
        sys.exit(f"The repositories have {len(chosen)} such diffs, not {given.diffs}: add some to JOCO_MIRRORS.")
    scrub("")  # compiles the rules
    started = time.process_time()
    kinds = [scrub(commit.patch).secrets for _, commit in chosen]
    seconds = time.process_time() - started
    reported = [(found, kind) for found, kind in zip(chosen, kinds, strict=True) if kind]
    clean = [commit.patch for (_, commit), kind in zip(chosen, kinds, strict=True) if not kind]
    missed = plant(clean)
    if given.alarms:
        lines = (f"{mirror.name} {commit.hash} {', '.join(kind)}\n" for (mirror, commit), kind in reported)
        given.alarms.write_text("".join(lines), "utf-8")
    text = "\n".join(section(chosen, [kind for _, kind in reported], missed, 1_000 * seconds / len(chosen)))
    record("dataset_secrets", text, PAGE)
    print(text)
    return 0 if not missed and len(reported) <= MOST_ALARMS * len(chosen) else 1


def diffs(mirror: Mirror) -> Iterator[Found]:
    """Yield the newest commits of people whose diff has a size that a dataset takes."""
    source = open_repository(mirror.folder)
    history = list_history(source, ExtractConfig(max_commits=READ_OF_EACH))
    for commit in read_commits(source.git, history.hashes):
        if isinstance(commit, Commit) and commit.hash not in history.roots:
            candidate, limits = Candidate.of_commit(commit), CurateConfig()
            if not any(rejects(candidate, limits) for rejects in (is_by_bot, has_short_diff, has_long_diff)):
                yield mirror, commit


def evenly(sources: Sequence[Sequence[Found]]) -> Iterator[Found]:
    """Yield one of each source in turn."""
    for place in range(max(map(len, sources))):
        yield from (source[place] for source in sources if place < len(source))


def plant(clean: Sequence[str]) -> Counter[str]:
    """Put every kind of secret into real diffs, as an added line, and return how many were missed by kind."""
    chance = random.Random(0)  # noqa: S311  (places, no secret)
    missed: Counter[str] = Counter()
    for kind, secret in SECRETS.items():
        for patch in chance.sample(clean, PLANTED_OF_EACH):
            lines = patch.split("\n")
            hunks = [place for place, line in enumerate(lines) if line.startswith("@@ ")]
            if hunks:
                place = chance.choice(hunks) + 1
                lines[place:place] = [f"+{line}" for line in secret.split("\n")]
                missed[kind] += not scrub("\n".join(lines)).is_leak
    return +missed


def section(chosen: Sequence[Found], reported: Sequence[object], missed: Counter[str], cost: float) -> Iterator[str]:
    """Yield the lines of the section."""
    kinds = Counter(kind for found in reported for kind in found)  # type: ignore[attr-defined]
    repositories = len({mirror.name for mirror, _ in chosen})
    yield "## Secrets: found and imagined\n"
    yield f"`scripts/prove dataset_secrets`: {len(chosen):,} diffs of people from {repositories} repositories, as evenly as they allow.\n"
    yield f"- reported: {len(reported)}, **{len(reported) / len(chosen):.2%}** (wanted: at most {MOST_ALARMS:.0%}, right or wrong);"
    yield f"  by kind: {', '.join(f'{name} {count}' for name, count in kinds.most_common()) or 'none'}"
    yield f"- planted: {len(SECRETS)} kinds in {PLANTED_OF_EACH} real diffs each; **missed: {missed.total()}**"
    yield f"- {cost:.2f} ms of CPU time a diff"


if __name__ == "__main__":
    sys.exit(main())
