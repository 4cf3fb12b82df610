"""What a model is shown of a diff: the head first, a fair share for each file, never more than the budget."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joco_mlx.commit.diff import parse_diff
from joco_mlx.commit.fit import fair_shares, head


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
