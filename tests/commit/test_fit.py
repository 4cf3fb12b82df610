"""What a model is shown of a diff: the head first, a fair share for each file, never more than the budget."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joco_mlx.commit.diff import parse_diff
from joco_mlx.commit.fit import fair_shares, fit, head


def words(text: str) -> int:
    """Count tokens as a tokenizer that knows every word would."""
    return len(re.findall(r"\w+|\s|[^\w\s]", text))


def file_diff(path: str, *hunks: str, kind: str = "") -> str:
    """A part of a git diff whose every hunk adds the lines of one string."""
    lines = [f"diff --git a/{path} b/{path}", *([kind] if kind else []), "index 1234567..89abcde 100644"]
    lines += [f"--- a/{path}", f"+++ b/{path}"]
    for number, hunk in enumerate(hunks):
        added = hunk.split("\n")
        lines += [f"@@ -{number * 100 + 1},0 +{number * 100 + 1},{len(added)} @@", *("+" + line for line in added)]
    return "\n".join(lines) + "\n"


def test_the_head_has_one_line_per_file() -> None:
    patch = (
        file_diff("src/app.py", "one\ntwo")
        + file_diff("tests/test_app.py", "one", kind="new file mode 100644")
        + file_diff("uv.lock", "one", "two")
        + "diff --git a/old name.md b/new name.md\nsimilarity index 100%\nrename from old name.md\nrename to new name.md\n"
    )
    assert head(parse_diff(patch)).split("\n") == [
        "M src/app.py +2 -0 source",
        "A tests/test_app.py +1 -0 test",
        "M uv.lock +2 -0 lock",
        "R new name.md +0 -0 docs",
    ]


@pytest.mark.parametrize(
    ("quoted", "shown"),
    [
        pytest.param(r"a\nb", r'"b/a\nb"', id="line-feed"),
        pytest.param(r"\033[1m", r'"b/\x1b[1m"', id="escape"),
        pytest.param(r"caf\303\251", "b/café", id="printable"),
        pytest.param(r"\342\200\256x", r'"b/\u202ex"', id="bidirectional-override"),
    ],
)
def test_a_path_stays_on_its_line(quoted: str, shown: str) -> None:
    patch = f'diff --git "z/{quoted}" "b/{quoted}"\nnew file mode 100644\n'
    line = head(parse_diff(patch.replace("z/", "b/")))
    assert line == f"A {shown} +0 -0 source"


@given(st.lists(st.integers(0, 1000), max_size=20), st.integers(0, 5000))
def test_shares_are_fair(costs: list[int], room: int) -> None:
    shares = fair_shares(costs, room)
    assert all(0 <= share <= cost for share, cost in zip(shares, costs, strict=True))
    assert sum(shares) <= room
    short = [share for share, cost in zip(shares, costs, strict=True) if share < cost]
    if short:
        assert sum(shares) == room  # nothing is left over while somebody is short
        assert max(short) - min(short) <= 1
        assert max(shares) <= max(short) + 1  # nobody got more than the short ones
    assert fair_shares([10, 100, 300, 300], 260) == [10, 83, 83, 84]


def body(text: str) -> str:
    """What follows the head."""
    return text.partition("\n\n")[2]


def test_a_small_diff_is_whole_but_for_what_the_head_says() -> None:
    patch = file_diff("a.py", "one\ntwo") + file_diff("run", kind="old mode 100644\nnew mode 100755")
    assert fit(patch, 500, words) == (
        "M a.py +2 -0 source\nM run +0 -0 source\n\n"
        "diff --git a/a.py b/a.py\n@@ -1,0 +1,2 @@\n+one\n+two\n"
        "diff --git a/run b/run\nold mode 100644\nnew mode 100755"
    )


def test_noise_is_named_and_not_shown() -> None:
    patch = file_diff("uv.lock", "hash") + file_diff("dist/a.js", "minified") + file_diff("CHANGELOG.md", "the answer")
    shown = fit(patch + file_diff("a.py", "one"), 500, words)
    assert shown.startswith("M uv.lock +1 -0 lock\nM dist/a.js +1 -0 generated\nM CHANGELOG.md +1 -0 changelog\n")
    assert body(shown) == "diff --git a/a.py b/a.py\n@@ -1,0 +1,1 @@\n+one"
    assert fit(patch, 500, words) == head(parse_diff(patch))


def test_a_rename_shows_both_names_and_a_binary_file_that_it_is_one() -> None:
    patch = (
        "diff --git a/old.py b/new.py\nsimilarity index 100%\nrename from old.py\nrename to new.py\n"
        "diff --git a/x.png b/x.png\nindex 1..2 100644\nBinary files a/x.png and b/x.png differ\n"
        "diff --git a/empty b/empty\nnew file mode 100644\nindex 0..1\n"
    )
    assert body(fit(patch, 500, words)) == (
        "diff --git a/old.py b/new.py\ndiff --git a/x.png b/x.png\nBinary files a/x.png and b/x.png differ"
    )


def test_a_plain_diff_keeps_its_name() -> None:
    patch = "--- x.c\t2024-01-01\n+++ x.c\t2024-01-02\n@@ -1 +1 @@\n-a\n+b\n"
    assert fit(patch, 500, words) == "M x.c +1 -1 source\n\n+++ x.c\t2024-01-02\n@@ -1 +1 @@\n-a\n+b"


def test_small_files_are_whole_and_the_others_share() -> None:
    long = "\n".join(f"line number {n}" for n in range(300))
    patch = (
        file_diff("big.py", long) + file_diff("small.py", "the small one") + file_diff("huge.py", long + "\n" + long)
    )
    shown = fit(patch, 700, words)
    big, small, huge = re.split(r"^(?=diff --git)", body(shown), flags=re.MULTILINE)[1:]
    assert "+the small one" in small
    assert abs(words(big) - words(huge)) < 30
    assert 600 < words(shown) <= 700
    assert re.search(r"\n\[2\d\d more lines\]\n$", big)
    assert re.search(r"\n\[5\d\d more lines\]$", huge)


def test_whole_hunks_come_before_parts_of_hunks() -> None:
    long = "\n".join(f"a long line number {n}" for n in range(100))
    shown = fit(file_diff("a.py", long, "second", long, "fourth"), 200, words)
    assert "+second\n" in shown
    assert "+fourth\n" in shown
    assert shown.endswith("\n[1 more hunk]")
    assert shown.count("@@ -") == 3
    assert re.search(r"\+a long line number \d+\n\[\d+ more lines\]\n@@", shown)


def test_a_cut_hunk_begins_at_its_first_change() -> None:
    context = "".join(f" unchanged {n}\n" for n in range(3))
    added = "".join(f"+added {n}\n" for n in range(100))
    patch = f"diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1,3 +1,103 @@ def f():\n{context}{added}"
    assert "@@ -1,3 +1,103 @@ def f():\n+added 0\n" in fit(patch, 100, words)
    assert " unchanged 0\n" in fit(patch, 10_000, words)


def test_a_huge_line_is_cut_inside() -> None:
    shown = fit(file_diff("data.json", "{" + "1," * 100_000), 200, words)
    assert 150 < words(shown) <= 200
    assert shown.endswith((",\n[1 more line]", "1\n[1 more line]"))


def test_a_head_that_does_not_fit_says_what_is_missing() -> None:
    noise = "".join(file_diff(f"dist/{n}.js", "x") for n in range(50))
    sources = "".join(file_diff(f"src/{n}.py", "x") for n in range(5))
    shown = fit(noise + sources, 150, words).split("\n")
    assert shown[-6:-1] == [f"M src/{n}.py +1 -0 source" for n in range(5)]
    assert shown[0] == "M dist/0.js +1 -0 generated"
    assert shown[-1] == f"[{56 - len(shown)} more files]"


def test_a_path_longer_than_the_budget_is_cut() -> None:
    shown = fit(file_diff("deep/" * 500 + "a.py", "x"), 40, words)
    assert shown.startswith("M deep/deep/")
    assert 20 < words(shown) <= 40


def test_with_too_many_files_the_first_sources_get_useful_shares() -> None:
    files = [file_diff(f"{folder}/{n}.py", "\n".join("abcdefgh" * 3)) for folder in ("docs", "src") for n in range(20)]
    shown = body(fit("".join(files), 900, words))
    assert "docs/" not in shown
    assert shown.startswith("diff --git a/src/0.py b/src/0.py\n@@")
    assert shown.count("diff --git") >= 4


@pytest.mark.parametrize("text", ["what is this?", "line\n" * 1000], ids=["short", "long"])
def test_what_is_no_diff_is_cut_at_a_line(text: str) -> None:
    shown = fit(text, 50, words)
    assert shown == text or re.fullmatch(r"(line\n)+\[\d+ more lines\]", shown)


@pytest.mark.parametrize("budget", [0, -1, -1000])
def test_no_budget_shows_nothing(budget: int) -> None:
    assert fit(file_diff("a", "b"), budget, len) == ""
