"""Fitting a diff: never more than the budget, always the same, and few counts even for giants."""

import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from joco_mlx.commit.diff import parse_diff
from joco_mlx.commit.fit import CountTokens, fit, head

COUNTERS: dict[str, CountTokens] = {
    "characters": len,
    "words-and-signs": lambda text: len(re.findall(r"\w+|\s|[^\w\s]", text)),
    "three-bytes": lambda text: -(-len(text.encode("utf-8", "surrogatepass")) // 3),
    "lines-cost-more": lambda text: sum(2 + len(line) // 2 for line in text.split("\n")) if text else 0,
    "joints-cost-more": lambda text: len(text) // 4 + 3 * len(re.findall(r"\n\S", text)),
    "grows-faster": lambda text: int(len(text) ** 1.2),
    "two-at-least": lambda text: 2 + len(text) // 5 if text else 0,
}

PATHS = [
    "src/a.py",
    "docs/two words.md",
    "uv.lock",
    "tests/test_a.py",
    "d" * 300,
    "dist/x.js",
    "CHANGELOG.md",
    "\u8a9e.py",
]
LINES = st.sampled_from(
    ["", "one", "the second line", "x" * 700, "\t\t}", "+++ b/x", "\U0001f680" * 9, " " * 80]
) | st.text(max_size=9)


@st.composite
def diffs(draw: st.DrawFn) -> str:
    """A git diff of a few files, each with a few hunks of a few lines."""
    parts = []
    for path in draw(st.lists(st.sampled_from(PATHS), max_size=8)):
        parts.append(f"diff --git a/{path} b/{path}\nindex 1..2 100644\n--- a/{path}\n+++ b/{path}\n")
        for lines in draw(st.lists(st.lists(LINES, min_size=1, max_size=12), max_size=4)):
            content = [" same", *("+" + line.replace("\n", " ") for line in lines)]
            parts.append("\n".join([f"@@ -1,1 +1,{len(content)} @@ def f():", *content]) + "\n")
    return "".join(parts)


@pytest.mark.parametrize("name", COUNTERS)
@given(patch=diffs() | st.text(), budget=st.integers(1, 60) | st.integers(1, 4000))
@example(patch="diff --git a/x b/x\n", budget=1)
@example(patch="x" * 5000, budget=7)
@settings(max_examples=40, deadline=None)
def test_the_budget_holds(name: str, patch: str, budget: int) -> None:
    shown = fit(patch, budget, COUNTERS[name])
    assert COUNTERS[name](shown) <= budget
    assert fit(patch, budget, COUNTERS[name]) == shown


@given(diffs())
@settings(max_examples=40, deadline=None)
def test_a_large_budget_shows_every_change(patch: str) -> None:
    shown = fit(patch, 1_000_000, len)
    changes = parse_diff(patch)
    assert shown.startswith(head(changes))
    hunks = [
        hunk for change in changes if change.kind not in ("lock", "generated", "changelog") for hunk in change.hunks
    ]
    at = 0
    for hunk in hunks:
        at = shown.index(hunk, at) + len(hunk)


HEADER = "diff --git a/src/{0}.py b/src/{0}.py\nindex 1..2 100644\n--- a/src/{0}.py\n+++ b/src/{0}.py\n"
GIANTS = {
    "five-thousand-files": "".join(HEADER.format(n) + "@@ -1 +1 @@\n-x\n+y\n" for n in range(5000)),
    "one-line": HEADER.format(1) + "@@ -0,0 +1 @@\n+" + "x" * 20_000_000,
    "many-lines": HEADER.format(1) + "@@ -0,0 +1,400000 @@\n" + "+x = 1\n" * 400_000,
    "many-hunks": HEADER.format(1) + "@@ -1 +1 @@\n-x\n+y\n" * 50_000,
    "fifty-long-files": "".join(HEADER.format(n) + ("@@ -0,0 +1,99 @@\n" + "+x\n" * 99) * 20 for n in range(50)),
    "no-diff": "what is this?\n" * 1_000_000,
}


@pytest.mark.parametrize("name", GIANTS)
def test_giants_cost_little(name: str) -> None:
    lengths: list[int] = []

    def count(text: str) -> int:
        lengths.append(len(text))
        return -(-len(text) // 3)

    start = time.process_time()
    shown = fit(GIANTS[name], 2000, count)
    assert time.process_time() - start < 5
    assert 1500 < count(shown) <= 2000 or name == "one-line"
    assert max(lengths) <= 16 * 2000 + 100
    assert len(lengths) < 500
    assert sum(lengths) < 500_000
