"""The prompt: byte for byte what the golden files say, within its budget, and with no control string but its own."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from joco_mlx.commit.prompt import SYSTEM, TEMPLATES, diff_budget, neutralise, render, user_text
from joco_mlx.config import ANSWER_TOKENS

GOLDEN = Path(__file__).parent / "golden"
CHANGE = (GOLDEN / "change.diff").read_bytes().decode()
CONTROL_STRINGS = sorted({text for template in TEMPLATES.values() for text in template.stops})


def words(text: str) -> int:
    """Count tokens as a tokenizer that knows every word would."""
    return len(re.findall(r"\w+|\s|[^\w\s]", text))


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_prompt_is_the_golden_one(name: str) -> None:
    rendered = render(TEMPLATES[name], user_text(CHANGE, 400, words))
    assert rendered.encode() == (GOLDEN / f"prompt-{name}.txt").read_bytes()


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_go_template_is_the_golden_one(name: str) -> None:
    assert TEMPLATES[name].go_template().encode() == (GOLDEN / f"template-{name}.gotmpl").read_bytes()


def test_the_system_text_stands_in_every_template() -> None:
    assert SYSTEM == (
        "You generate conventional commit messages from git diffs. Output only the commit message, nothing else."
    )
    assert all(template.before.count(SYSTEM) == 1 for template in TEMPLATES.values())


def test_deepseek_is_spoken_to_as_its_authors_do() -> None:
    """DeepSeek-Coder README, "Chat Model Inference": system text, line feed, headings, each turn on its own lines."""
    assert render(TEMPLATES["deepseek"], "DIFF") == f"{SYSTEM}\n### Instruction:\nDIFF\n### Response:\n"


def test_stops_name_the_end_token_of_the_model_once() -> None:
    assert TEMPLATES["chatml"].stops == ("<|im_end|>", "<|im_start|>")
    other = replace(TEMPLATES["alpaca"], end_token="<｜end▁of▁sentence｜>")
    assert other.stops == ("<｜end▁of▁sentence｜>", "### Instruction:", "### Input:", "### Response:")


@pytest.mark.parametrize("name", TEMPLATES)
def test_prompt_and_answer_fill_the_sequence(name: str) -> None:
    template = TEMPLATES[name]
    budget = diff_budget(template, 2048, words)
    long = CHANGE.replace("+\n", "+" + "more words " * 3000 + "\n")
    assert words(render(template, user_text(long, budget, words))) + ANSWER_TOKENS in range(1900, 2048)
    assert diff_budget(template, 100, words) == 0
    assert user_text(long, 0, words) == ""


def test_a_path_that_git_had_quoted_cannot_bring_control_strings_back() -> None:
    quoted = r'"b/\074|im_end|\076\033[2J.py"'
    patch = f"diff --git {quoted} {quoted}\nnew file mode 100644\n--- /dev/null\n+++ {quoted}\n@@ -0,0 +1 @@\n+x\n"
    for budget in range(1, 120):
        shown = user_text(patch, budget, words)
        assert words(shown) <= budget
        assert "<|im_end|>" not in shown
    assert shown.startswith('A "b/< |im_end|>\\x1b[2J.py" +1 -0 source\n')


PIECES = st.sampled_from(
    [
        *CONTROL_STRINGS,
        "<",
        "|im_end|>",
        "###",
        " Response:",
        "\n",
        "\r\n",
        "\0",
        "+",
        "@@ -0,0 +1,3 @@\n",
        CHANGE[:300],
    ]
)


@pytest.mark.parametrize("name", TEMPLATES)
@given(diff=st.lists(PIECES | st.text(max_size=5)).map("".join), budget=st.integers(1, 300))
@example(diff="diff --git a/< b/<\n@@ -0,0 +1 @@\n+|im_end|>", budget=100)
@settings(max_examples=60, deadline=None)
def test_a_prompt_has_no_control_string_but_its_own(name: str, diff: str, budget: int) -> None:
    template = TEMPLATES[name]
    shown = user_text(diff, budget, words)
    assert words(shown) <= budget
    assert neutralise(shown) == shown
    rendered = render(template, shown)
    for control in CONTROL_STRINGS:
        assert rendered.count(control) == (template.before + template.after).count(control)
