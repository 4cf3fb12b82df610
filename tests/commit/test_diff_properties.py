"""Reading diffs: any text is survived, git's own counts are met, and time grows with the length."""

import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from joco_mlx.commit.diff import parse_diff

TRAPS = [
    *(
        "",
        " ",
        "one",
        "two",
        "-- ",
        "--- a/x",
        "++ b/x",
        "+++ b/x",
        "@@ -1 +1 @@",
        "@@ -0,0 +1,99 @@ f()",
        "\\ No newline",
    ),
    *("diff --git a/x b/x", "index 1..2 100644", "GIT binary patch", "Submodule x 1234..5678:", "rename from x", "\r"),
    *("\x0c", "\x1b[31m", "\u2028", "\x85", "é", "diff --cc x", "@@@ -1 -1 +1 @@@", "deleted file mode 100644"),
]
CONTENTS = st.builds(
    lambda lines, end: ("\n".join(lines) + end).encode(),
    st.lists(st.sampled_from(TRAPS), max_size=12),
    st.sampled_from(["", "\n"]),
) | st.sampled_from([b"\xff\xfe\n", b"caf\xe9", b"\n\n\n"])


@given(st.lists(st.tuples(CONTENTS, CONTENTS), min_size=1, max_size=3), st.integers(0, 3))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_counts_are_git_s(tmp_path: Path, files: list[tuple[bytes, bytes]], context: int) -> None:
    for number, contents in enumerate(files):
        for side, content in zip(("old", "new"), contents, strict=True):
            (tmp_path / side).mkdir(exist_ok=True)
            (tmp_path / side / str(number)).write_bytes(content)
    command = [
        "git",
        "diff",
        "--no-index",
        "--no-renames",
        "--text",
        "--numstat",
        "--patch",
        f"-U{context}",
        "old",
        "new",
    ]
    out = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).stdout
    for number in range(len(files)):
        (tmp_path / "old" / str(number)).unlink()
        (tmp_path / "new" / str(number)).unlink()
    numstat, _, patch = out.partition(b"\n\n")
    counts = [tuple(map(int, line.split(b"\t")[:2])) for line in numstat.split(b"\n") if line]
    changes = parse_diff(patch)
    assert [(change.added, change.deleted) for change in changes] == counts
    for change in changes:
        lines = [line for hunk in change.hunks for line in hunk.split("\n")[1:]]
        assert sum(line.startswith("+") for line in lines) == change.added
        assert sum(line.startswith("-") for line in lines) == change.deleted


@given(st.lists(st.sampled_from(TRAPS) | st.text(max_size=20), max_size=30).map("\n".join))
@example("diff --git ")
@example("diff --git \n@@ -1,99999999999999999999999999 +1 @@\n+x")
@example("diff --git a/x b/x\n@@ -1,1" + "9" * 5000 + " +1 @@\n+x")
@example("--- \n+++ \n@@ -1 +1 @@")
def test_no_text_is_too_strange(text: str) -> None:
    changes = parse_diff(text)
    assert parse_diff(text.encode()) == changes
    for change in changes:
        assert set(change.header.split("\n")) <= set(text.split("\n"))
        assert all(hunk in text for hunk in change.hunks)


@given(st.binary(max_size=200))
def test_no_bytes_are_too_strange(patch: bytes) -> None:
    parse_diff(patch)


@pytest.mark.parametrize(
    "text",
    ["", "\n", "hello\n", "a -> b\n--- c\n", "@@ -1 +1 @@\n-a\n+b\n"],
    ids=["empty", "line", "word", "dash", "hunk"],
)
def test_what_is_no_diff_changes_nothing(text: str) -> None:
    assert parse_diff(text) == ()


HEADER = "diff --git a/x b/x\n--- a/x\n+++ b/x\n"
GIANTS = {
    "one-line": HEADER + "@@ -0,0 +1 @@\n+" + "x" * 20_000_000,
    "many-lines": HEADER + "@@ -0,0 +1,400000 @@\n" + "+x\n" * 400_000,
    "many-hunks": HEADER + "@@ -1 +1 @@\n-x\n+y\n" * 100_000,
    "many-files": (HEADER + "@@ -1 +1 @@\n-x\n+y\n") * 20_000,
    "many-plain-files": "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-x\n+y\n" * 20_000,
    "long-name": "diff --git " + "a " * 1_000_000 + "\n",
    "long-quote": 'diff --git "' + "\\" * 2_000_001 + "\n",
    "long-hunk-head": HEADER + "@" * 2_000_000 + "\n",
    "long-submodule": "Submodule " + "a " * 1_000_000 + "\n",
    "file-lines": "--- a\n+++ b\n" * 200_000,
}


@pytest.mark.parametrize("name", GIANTS)
def test_time_grows_with_the_length(name: str) -> None:
    start = time.process_time()
    parse_diff(GIANTS[name])
    assert time.process_time() - start < 5  # quadratic time would take minutes
