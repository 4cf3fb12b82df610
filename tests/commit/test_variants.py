"""Variants of the prompt: which record gets which is fixed, and each keeps to the budget and lets no control string in."""

import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joco_mlx.commit.neutral import neutralise
from joco_mlx.commit.prompt import TEMPLATES, user_text
from joco_mlx.commit.variants import FULL, OTHERS, Variant, draw

CHANGE = (Path(__file__).parent / "golden" / "change.diff").read_bytes().decode()
SMALL = """\
diff --git a/a.py b/a.py
index 1111111..2222222 100644
--- a/a.py
+++ b/a.py
@@ -1 +1 @@
-one
+two
"""
WITHOUT_INDEX = SMALL.replace("index 1111111..2222222 100644\n", "")
CONTROL_STRINGS = sorted({text for template in TEMPLATES.values() for text in template.stops})


def words(text: str) -> int:
    return len(re.findall(r"\w+|\s|[^\w\s]", text))


def joints(text: str) -> int:
    """A tokenizer for which a joined text has more tokens than its parts."""
    return len(text) // 4 + 3 * len(re.findall(r"\n\S", text))


def shown(variant: Variant, diff: str = SMALL, budget: int = 2_000) -> str:
    return user_text(diff, budget, words, variant)


def test_a_tool_that_sends_the_diff_alone_is_imitated_to_the_byte() -> None:
    texts = [shown(variant) for variant in OTHERS]
    small, without_index = SMALL.rstrip("\n"), WITHOUT_INDEX.rstrip("\n")
    for expected in (
        small,
        without_index,
        f"Diff:\n{small}",
        f"Here is the diff: {small}",
        f"```diff\n{small}\n```",
        f"Code diff:\n```diff\n{without_index}\n```",
    ):
        assert texts.count(expected) == 1


def test_no_two_variants_show_the_same() -> None:
    texts = [shown(variant) for variant in (FULL, *OTHERS)]
    assert len(set(texts)) == len(texts) == 16


def test_a_third_of_the_variants_has_the_head_of_files() -> None:
    with_head = [variant for variant in OTHERS if "M a.py +1 -1 source\n" in shown(variant)]
    assert len(with_head) == len(OTHERS) // 3
    assert shown(FULL).startswith("M a.py +1 -1 source\n\n")
    assert "index 1111111" not in shown(FULL)


def test_the_files_of_a_tool_come_before_lock_files_when_room_is_short() -> None:
    lock = "diff --git a/uv.lock b/uv.lock\n--- a/uv.lock\n+++ b/uv.lock\n@@ -0,0 +1,90 @@\n" + "+locked\n" * 90
    raw = next(variant for variant in OTHERS if shown(variant) == SMALL.rstrip("\n"))
    assert "+locked" in shown(raw, lock + SMALL)
    assert "+two" in shown(raw, lock + SMALL, 90)


VARIANTS = st.sampled_from([FULL, *OTHERS])
PIECES = st.sampled_from(
    [*CONTROL_STRINGS, "<", "|im_end|>", "###", "```\n", "\r\n", "+", "@@ -0,0 +1,3 @@\n", SMALL, CHANGE, CHANGE[:300]]
)


@given(
    variant=VARIANTS,
    diff=st.lists(PIECES | st.text(max_size=5), max_size=8).map("".join),
    budget=st.integers(1, 60) | st.integers(1, 1_500),
    count=st.sampled_from([len, words, joints]),
)
@settings(max_examples=300, deadline=None)
def test_every_variant_fits_and_holds_no_control_string(variant, diff, budget, count) -> None:
    text = user_text(diff, budget, count, variant)
    assert count(text) <= budget
    assert text == user_text(diff, budget, count, variant)
    assert neutralise(text) == text
    assert not any(control in text for control in CONTROL_STRINGS)


@given(share=st.floats(0, 1), seed=st.integers(0, 2**40), record=st.text())
def test_a_draw_is_always_the_same(share, seed, record) -> None:
    assert draw(share, seed, record) == draw(share, seed, record)
    assert draw(0.0, seed, record) is FULL
    assert draw(1.0, seed, record) in OTHERS


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 1.0])
def test_the_shares_hold(share: float) -> None:
    drawn = Counter(draw(share, 7, f"demo-{number:x}") for number in range(10_000))
    others = 10_000 - drawn[FULL]
    assert abs(others / 10_000 - share) < 0.015
    expected = others / len(OTHERS)
    assert all(abs(drawn[variant] - expected) < 5 * expected**0.5 for variant in OTHERS)


def test_known_draws_stay_what_they_are() -> None:
    """A run that goes on under a later version must see the same prompts."""
    numbers = [(FULL, *OTHERS).index(draw(0.2, 0, f"demo-{number}")) for number in range(24)]
    assert numbers == [0, 4, 12, 9, 0, 0, 0, 0, 0, 0, 0, 0, 13, 0, 0, 7, 12, 0, 0, 0, 3, 11, 0, 4]


def test_another_seed_draws_others() -> None:
    ids = [f"demo-{number}" for number in range(200)]
    assert [draw(0.5, 0, name) for name in ids] != [draw(0.5, 1, name) for name in ids]
