"""From what models really answer to one message."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joco_mlx.suggest.clean import first_message

BODY = (
    "fix(http)!: close the socket\n\nThe server kept it open.\n- one\n- two\n\nRefs: #12\nBREAKING CHANGE: closes early"
)

ANSWERS = {
    "as wanted": ("feat(core): add the parser", "feat(core): add the parser"),
    "with body and footers": (BODY, BODY),
    "spaces around": ("\n\n  feat: add x  \n\n", "feat: add x"),
    "fenced": ("```\nfeat: add x\n\nbody\n```\nThis adds x.", "feat: add x\n\nbody"),
    "fenced with a language": ("```text\nfeat: add x\n```", "feat: add x"),
    "tildes": ("~~~\nfeat: add x\n~~~", "feat: add x"),
    "talk before": ("Sure! Here is the commit message:\n\nfeat: add x", "feat: add x"),
    "talk before a fence": ("Here you go:\n```\nfix: close y\n```\nHope this helps!", "fix: close y"),
    "in backticks": ("`feat: add x`", "feat: add x"),
    "in quotes": ('"feat: add x"', "feat: add x"),
    "in bold": ("**feat: add x**", "feat: add x"),
    "code inside stays": ("feat: add `x` to `y`", "feat: add `x` to `y`"),
    "a quoted word at the end stays": ('fix: rename to "x"', 'fix: rename to "x"'),
    "two messages": ("feat: add x\nfix: close y", "feat: add x"),
    "two messages with bodies": ("feat: add x\n\nbody\n\nfix: close y\n\nbody", "feat: add x\n\nbody"),
    "numbered": ("1. feat: add x\n2. fix: y", "1. feat: add x\n2. fix: y"),
    "carriage returns": ("feat: add x\r\n\r\nbody\r", "feat: add x\n\nbody"),
    "a line separator": ("feat: add x\u2028\u2028body", "feat: add x\n\nbody"),
    "many empty lines": ("feat: add x\n\n\n\n\nbody", "feat: add x\n\nbody"),
    "tabs": ("feat: add\tx\n\n\tbody", "feat: add   x\n\n    body"),
    "colours": ("\x1b[31mfeat: add x\x1b[0m", "feat: add x"),
    "a terminal title": ("feat: \x1b]0;owned\x07add x", "feat: add x"),
    "bells and nulls": ("feat: a\x07d\x00d x\x9b", "feat: add x"),
    "reordered text": ("feat: add \u202ex\u2066", "feat: add x"),
    "a lone escape": ("feat: add x\x1b", "feat: add x"),
    "other scripts stay": ("feat: größe 提交 🎉", "feat: größe 提交 🎉"),
    "no header": ("update things\n\nbody", "update things\n\nbody"),
    "an unknown type": ("wip: things", "wip: things"),
    "footers are no second message": ("fix: x\n\nReviewed-by: Ada\nFixes: #3", "fix: x\n\nReviewed-by: Ada\nFixes: #3"),
    "only a fence": ("```\n```", ""),
    "nothing": ("", ""),
    "only white space": (" \n\t\n", ""),
}


@pytest.mark.parametrize(("answer", "message"), ANSWERS.values(), ids=ANSWERS.keys())
def test_the_answer_becomes_one_message(answer: str, message: str) -> None:
    assert first_message(answer) == message


@given(st.text(alphabet=st.characters(), max_size=200) | st.text("feat:fix \n\r\t`~\"'*\x1b[]0;m\x07", max_size=60))
def test_no_answer_leaves_a_control_character_or_grows(answer: str) -> None:
    message = first_message(answer)
    assert message == message.strip()
    assert all(letter == "\n" or letter.isprintable() or letter.isspace() or ord(letter) >= 0xA0 for letter in message)
    assert not set(message) & set("\x1b\x07\x9b\r\u202e")
    assert first_message(message) == message
