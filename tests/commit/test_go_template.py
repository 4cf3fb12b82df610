"""The Modelfile's template, run by Go's own text/template, says what `render` says.

Go is 200 MB for this one question, so scripts/check does not install it: without it these tests skip, in CI too, where
the golden files hold the template that was verified here.
"""

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from joco_mlx.commit.prompt import TEMPLATES, render, user_text

# The calls that Ollama makes in template/template.go: Parse with missingkey=zero, Execute with a map.
PROGRAM = """
package main

import ("bytes"; "encoding/json"; "os"; "text/template")

type Message struct { Role, Content string }
type Case struct { Template, System string; Messages []*Message }

func main() {
    var cases []Case
    if err := json.NewDecoder(os.Stdin).Decode(&cases); err != nil { panic(err) }
    out := []string{}
    for _, c := range cases {
        parsed := template.Must(template.New("").Option("missingkey=zero").Parse(c.Template))
        var b bytes.Buffer
        data := map[string]any{"System": c.System, "Messages": c.Messages, "Response": ""}
        if err := parsed.Execute(&b, data); err != nil { panic(err) }
        out = append(out, b.String())
    }
    json.NewEncoder(os.Stdout).Encode(out)
}
"""
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
def go_output(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], str]:
    """What Go makes of every template and conversation."""
    if shutil.which("go") is None:
        pytest.skip("go is not on PATH; on Debian: apt-get install golang-go")
    folder = tmp_path_factory.mktemp("go")
    (folder / "main.go").write_text(PROGRAM)
    names = [(template, conversation) for template in ALL for conversation in CONVERSATIONS]
    cases: list[dict[str, Any]] = []
    for template, conversation in names:
        messages = [{"Role": role, "Content": text} for role, text in CONVERSATIONS[conversation]]
        cases.append({"Template": ALL[template].go_template(), "System": FOREIGN, "Messages": messages})
    environment = {**os.environ, "GO111MODULE": "off", "GOTOOLCHAIN": "local", "GOFLAGS": ""}
    command = ["go", "run", "main.go"]
    done = subprocess.run(
        command, cwd=folder, env=environment, input=json.dumps(cases).encode(), capture_output=True, check=True
    )
    return dict(zip(names, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("conversation", CONVERSATIONS)
@pytest.mark.parametrize("template", ALL)
def test_go_renders_the_last_user_turn(go_output: dict[tuple[str, str], str], template: str, conversation: str) -> None:
    said = [text for role, text in CONVERSATIONS[conversation] if role == "user"]
    assert go_output[template, conversation] == render(ALL[template], said[-1] if said else "")
