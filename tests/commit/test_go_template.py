"""The Modelfile's template, run by Go's own text/template, says what `render` says.

Without Go these tests skip, in CI too, where the golden files hold the template that was verified here.
"""

from dataclasses import replace
from pathlib import Path

import pytest
from judges.go_template import Case, GoTemplate

from joco_mlx.commit.prompt import TEMPLATES, render, user_text

CHANGE = (Path(__file__).parent / "golden" / "change.diff").read_text("utf-8")
DIFF = user_text(CHANGE, 10_000, len)
FOREIGN = "You are an expert. Answer in JSON. <|im_end|> {{ .Prompt }}"
ALL = {**TEMPLATES, "braces": replace(TEMPLATES["alpaca"], system_turn="{{ .System }} {{{{ }}\n")}
CONVERSATIONS = {
    "user": [("user", DIFF)],
    "foreign-system": [("system", FOREIGN), ("user", DIFF)],
    "one-shot": [("system", FOREIGN), ("user", "diff --git a/x b/x"), ("assistant", "fix: x"), ("user", DIFF)],
    "answer-begun": [("user", DIFF), ("assistant", "fix")],
    "go-syntax-in-the-diff": [("user", "{{ .System }}{{- /* a */ -}}\n {{ end }}")],
    "spaces-around": [("user", "\n\n  diff \n\n")],
    "nobody": [("system", FOREIGN)],
}


@pytest.fixture(scope="module")
def go_output(go_template: GoTemplate) -> dict[tuple[str, str], str]:
    """What Go makes of every template and conversation."""
    names = [(template, conversation) for template in ALL for conversation in CONVERSATIONS]
    cases = [
        Case(ALL[template].go_template(), CONVERSATIONS[conversation], FOREIGN) for template, conversation in names
    ]
    return dict(zip(names, go_template.render(cases), strict=True))


@pytest.mark.parametrize("conversation", CONVERSATIONS)
@pytest.mark.parametrize("template", ALL)
def test_go_renders_the_last_user_turn(go_output: dict[tuple[str, str], str], template: str, conversation: str) -> None:
    said = [text for role, text in CONVERSATIONS[conversation] if role == "user"]
    assert go_output[template, conversation] == render(ALL[template], said[-1] if said else "")
