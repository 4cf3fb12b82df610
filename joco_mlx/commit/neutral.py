"""OWNS which strings of foreign text could be taken for control, and how they are broken up so that they stay text.

A tokenizer that parses control tokens (llama.cpp and Ollama do so in the whole prompt) turns `<|im_end|>` inside a diff
into the token that ends a turn, and a model trained on headings follows a heading in a diff. The changes are small,
keep the text readable, and doing them twice changes nothing:

- `<|name|>`, DeepSeek's `<｜name｜>` and the few bare names that vocabularies hold, such as `<s>`: a space after the `<`.
- `### Instruction:`, `### Input:`, `### Response:`: a space inside the `###`.
- A line end CR LF becomes LF. Any other control character, a lone surrogate, and the characters that reorder what is
  shown on a screen become U+FFFD, one for one.
"""

import re

# Line feed and tab are text. C1 controls too, for 0x9B begins a terminal sequence; U+202A to U+202E and U+2066 to
# U+2069 are the bidirectional embeddings, overrides and isolates, U+200E, U+200F and U+061C their marks.
_CONTROL_CHARACTER = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_CARRIAGE_RETURNS = re.compile("(?<!\r)\r+\n")  # without the look-behind a run of them costs the square of its length

# What SmolLM2's and older Llama vocabularies flag as special without bars: the tokens of their tokenizer.json.
_BARE_NAMES = (
    "empty_output|file_sep|filename|gh_stars|issue_(?:closed|comment|start)|jupyter_(?:code|output|script|start|text)"
    "|pad|reponame|repo_name|/?s|unk"
)
_CONTROL_TOKEN = re.compile(rf"<(?=[|｜][^\s<>|｜]+[|｜]>|(?:{_BARE_NAMES})>)")
_HEADING = re.compile("###(?= (?:Instruction|Input|Response):)")


def neutralise(text: str) -> str:
    """Return `text` without any control string of a known template or vocabulary, otherwise unchanged."""
    text = _CARRIAGE_RETURNS.sub("\n", text)
    text = _CONTROL_CHARACTER.sub("\ufffd", text)
    text = _CONTROL_TOKEN.sub("< ", text)
    return _HEADING.sub("## #", text)
