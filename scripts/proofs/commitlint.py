"""Proves that our verdicts equal the real commitlint's on 10,000 messages that people and bots wrote.

Reads the newest messages of every repository below JOCO_MIRRORS, as many of each as it takes, merges and reverts
included. Ends with 1 when a verdict differs.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mirrors import Mirror, mirrors
from results import ROOT, record

from joco_mlx import process
from joco_mlx.commit.grammar import message_lines
from joco_mlx.commit.message import lint

JUDGE = ROOT / "tests" / "judges" / "commitlint_batch.mjs"
WANTED = 10_000
SHOWN_DIFFERENCES = 5

Verdict = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """What was read of one repository."""

    mirror: Mirror
    revision: str
    messages: list[str]


def main() -> int:
    """Read, judge twice, compare, write the section."""
    parser = argparse.ArgumentParser(prog="scripts/prove commitlint", description=__doc__)
    parser.add_argument("--messages", type=int, default=WANTED, help="how many to compare (default: %(default)s)")
    wanted = parser.parse_args().messages
    sources = fair_share([read(mirror) for mirror in mirrors()], wanted)
    messages = [message for source in sources for message in source.messages]
    if len(messages) < wanted:
        sys.exit(f"The repositories have {len(messages)} different messages, not {wanted}: add some to JOCO_MIRRORS.")
    started = time.process_time()
    ours = [verdict(message) for message in messages]
    seconds = time.process_time() - started
    theirs = judge(messages)
    different = [index for index, pair in enumerate(zip(ours, theirs, strict=True)) if pair[0] != pair[1]]
    for index in different[:SHOWN_DIFFERENCES]:
        print(f"{messages[index]!a}\n  commitlint: {theirs[index]}\n  ours:       {ours[index]}", file=sys.stderr)
    text = report(sources, theirs, len(different), len(messages) / seconds)
    record("commitlint", text)
    print(text)
    return 1 if different else 0


def read(mirror: Mirror) -> Source:
    """Return the different messages of a repository, newest first.

    Those without a header are left out: they are judged differently on purpose (`tests/commit/test_message_commitlint`).
    """
    git = ["git", "-C", str(mirror.folder)]
    log = process.run(
        [*git, "log", "-z", "--format=%B", f"--max-count={WANTED}"], env={"GIT_CONFIG_GLOBAL": "/dev/null"}
    )
    revision = process.run([*git, "rev-parse", "HEAD"]).stdout.decode().strip()
    if log.code:
        print(f"{mirror.name} is left out: {log.complaint}", file=sys.stderr)
        return Source(mirror, revision, [])
    messages = dict.fromkeys(log.stdout.decode("utf-8", "replace").split("\0"))
    return Source(mirror, revision, [message for message in messages if any(message_lines(message)[:1])])


def fair_share(sources: Sequence[Source], wanted: int) -> list[Source]:
    """Take `wanted` messages in all, none of them twice, as evenly over the sources as their lengths allow."""
    taken: list[list[str]] = [[] for _ in sources]
    seen: set[str] = set()
    queues = [iter(source.messages) for source in sources]
    while len(seen) < wanted:
        before = len(seen)
        for mine, queue in zip(taken, queues, strict=True):
            message = next((found for found in queue if found not in seen), None)
            if message is not None and len(seen) < wanted:
                seen.add(message)
                mine.append(message)
        if len(seen) == before:
            break
    pairs = zip(sources, taken, strict=True)
    return [Source(source.mirror, source.revision, messages) for source, messages in pairs if messages]


def judge(messages: Sequence[str]) -> list[Verdict]:
    """Return the real commitlint's verdicts."""
    done = process.run(["node", JUDGE], stdin="".join(json.dumps(message) + "\n" for message in messages).encode())
    if done.code:
        sys.exit(f"commitlint did not run: {done.complaint}\nInstall it: scripts/setup --dev && scripts/judges")
    return [json.loads(line) for line in done.stdout.splitlines()]


def verdict(message: str) -> Verdict:
    """Return our verdict in the judge's form."""
    problems = lint(message)
    errors = [[problem.rule, problem.text] for problem in problems if problem.level == "error"]
    warnings = [[problem.rule, problem.text] for problem in problems if problem.level == "warning"]
    return {"valid": not errors, "errors": errors, "warnings": warnings}


def report(sources: Sequence[Source], theirs: Sequence[Verdict], different: int, lints_per_cpu_second: float) -> str:
    """Return the section as Markdown."""
    broken = Counter(rule for each in theirs for rule, _ in (*each["errors"], *each["warnings"]))
    valid = sum(each["valid"] for each in theirs)
    return "\n".join(
        [*_summary(len(theirs), valid, different, lints_per_cpu_second), *_table(broken), *_origin(sources)]
    )


def _summary(messages: int, valid: int, different: int, lints_per_cpu_second: float) -> Iterator[str]:
    package = json.loads((ROOT / "tests" / "judges" / "package.json").read_text("utf-8"))
    version = package["dependencies"]["@commitlint/cli"]
    yield "## Verdicts on real commit messages"
    yield ""
    yield f"`scripts/prove commitlint`: `commit/message.py` beside commitlint {version} with config-conventional. Equal"
    yield "means the same valid flag, rules, levels and sentences."
    yield ""
    yield f"- messages, all different: {messages:,}"
    yield f"- **verdicts that differ: {different}**"
    yield f"- valid: {valid:,} ({valid / messages:.1%})"
    yield f"- our verdicts per CPU second: {lints_per_cpu_second:,.0f}"
    yield ""


def _table(broken: Counter[str]) -> Iterator[str]:
    yield "| rule | broken by |"
    yield "|---|---:|"
    yield from (f"| {rule} | {times:,} |" for rule, times in sorted(broken.items()))
    yield ""


def _origin(sources: Sequence[Source]) -> Iterator[str]:
    named = (f"{source.mirror.name}@{source.revision[:9]} ({len(source.messages)})" for source in sources)
    yield f"Read from: {', '.join(named)}."


if __name__ == "__main__":
    sys.exit(main())
