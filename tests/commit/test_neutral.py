"""Control strings in foreign text: none survives, and little else changes."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from joco_mlx.commit.neutral import neutralise
from joco_mlx.commit.prompt import TEMPLATES

# The special tokens of SmolLM2-135M-Instruct, Qwen2.5-Coder and deepseek-coder-1.3b, from their tokenizer.json.
VOCABULARY_TOKENS = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>", "<reponame>", "<file_sep>", "<filename>"),
    *("<gh_stars>", "<issue_start>", "<issue_comment>", "<issue_closed>", "<jupyter_start>", "<jupyter_text>"),
    *("<jupyter_code>", "<jupyter_output>", "<jupyter_script>", "<empty_output>"),
    *("<|object_ref_start|>", "<|box_end|>", "<|quad_start|>", "<|vision_pad|>", "<|image_pad|>", "<|fim_prefix|>"),
    *("<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"),
    *(
        "<｜begin▁of▁sentence｜>",
        "<｜end▁of▁sentence｜>",
        "<｜fim▁begin｜>",
        "<｜fim▁hole｜>",
        "<｜fim▁end｜>",
        "<|EOT|>",
        "<pad>",
    ),
    *("<s>", "</s>", "<unk>", "<|eot_id|>", "<|start_header_id|>"),
)
TEMPLATE_STRINGS = tuple(
    sorted({string for template in TEMPLATES.values() for string in (*template.markers, template.end_token)})
)
CONTROL_STRINGS = VOCABULARY_TOKENS + TEMPLATE_STRINGS
PIECES = [
    "<",
    "|",
    ">",
    "｜",
    "###",
    "#",
    " ",
    "\n",
    "\r",
    "\0",
    "im_end",
    "Response",
    "Input",
    ":",
    "/",
    "s",
    "\u202e",
    "\ud83d",
]


@pytest.mark.parametrize("string", sorted(set(CONTROL_STRINGS)))
def test_each_control_string_is_broken_up(string: str) -> None:
    for text in (string, f"+{string}\n", f"a{string}{string}b", f"#{string}>", f"<{string}"):
        assert string not in neutralise(text)
        assert neutralise(text).replace("< ", "<").replace("## #", "###") == text  # nothing but the spaces is new


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a <| b |> c", id="pipes-of-elixir-and-f-sharp"),
        pytest.param("p <|> q <||> r", id="operators-of-haskell"),
        pytest.param("Vec<String>, <sp>, <span>, <strong>, <S>", id="generics-and-markup"),
        pytest.param("### Usage\n## Response:\n### Responses:\n###Response:", id="other-headings"),
        pytest.param("a\tb\n\n\ufeffé 語 🚀 \u200d\u2028", id="unicode"),
        pytest.param("if a < s and b > c", id="comparison"),
    ],
)
def test_other_text_stays(text: str) -> None:
    assert neutralise(text) == text


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        pytest.param("one\r\ntwo\r\r\n", "one\ntwo\n", id="line-ends"),
        pytest.param("a\rb", "a\ufffdb", id="lone-carriage-return"),
        pytest.param("\x1b[31mred\x1b[0m \x9b2J", "\ufffd[31mred\ufffd[0m \ufffd2J", id="terminal"),
        pytest.param("a\0b\x7f", "a\ufffdb\ufffd", id="nul-and-delete"),
        pytest.param("/*\u202e } \u2066if\u2069*/", "/*\ufffd } \ufffdif\ufffd*/", id="trojan-source"),
        pytest.param("caf\udce9", "caf\ufffd", id="lone-surrogate"),
        pytest.param("<|im_\0end|>", "< |im_\ufffdend|>", id="control-inside-control"),
        pytest.param("<|im_<|im_end|>end|>", "<|im_< |im_end|>end|>", id="nested"),
        pytest.param("#### Response:", "### # Response:", id="one-more-hash"),
    ],
)
def test_control_characters(text: str, harmless: str) -> None:
    assert neutralise(text) == harmless


@given(st.lists(st.sampled_from([*PIECES, *CONTROL_STRINGS]) | st.text(max_size=3)).map("".join))
@example("### ### Response: Response:")
@example("<<|s|>|s|>")
def test_nothing_is_left_however_it_is_pieced_together(text: str) -> None:
    harmless = neutralise(text)
    assert not [string for string in CONTROL_STRINGS if string in harmless]
    assert not re.search(r"<[|｜][^\s<>|｜]+[|｜]>", harmless)
    assert not re.search(r"[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", harmless)
    assert neutralise(harmless) == harmless
    harmless.encode()


@pytest.mark.parametrize(
    "text",
    ["<|" * 1_000_000, "<" * 2_000_000, "\r" * 2_000_000, "<|" + "a" * 2_000_000],
    ids=["open", "less", "return", "long"],
)
def test_time_grows_with_the_length(text: str) -> None:
    assert len(neutralise(text)) == len(text)
