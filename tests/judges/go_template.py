"""Go's own text/template, called as Ollama does in template/template.go: parsed with missingkey=zero, given a map."""

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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


@dataclass(frozen=True)
class Case:
    """What is rendered."""

    template: str
    messages: Sequence[tuple[str, str]]
    """Roles and texts of a conversation."""
    system: str
    """The system text, which Ollama hands over by itself too."""

    def to_json(self) -> dict[str, object]:
        """Return the case as the program reads it."""
        messages = [{"Role": role, "Content": text} for role, text in self.messages]
        return {"Template": self.template, "System": self.system, "Messages": messages}


class GoTemplate:
    """The program, built once in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        (folder / "main.go").write_text(PROGRAM)
        environment = {
            **os.environ, "GOCACHE": str(folder / "cache"), "GO111MODULE": "off", "GOTOOLCHAIN": "local", "GOFLAGS": "",
            "CGO_ENABLED": "0",
        }  # fmt: skip
        subprocess.run(["go", "build", "-o", "render", "main.go"], cwd=folder, env=environment, check=True)
        self._program = folder / "render"

    def render(self, cases: Sequence[Case]) -> list[str]:
        """Return what Go makes of each."""
        asked = json.dumps([case.to_json() for case in cases]).encode()
        done = subprocess.run([self._program], input=asked, capture_output=True, check=True)
        return list(json.loads(done.stdout))
