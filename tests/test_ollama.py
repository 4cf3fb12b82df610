"""The Modelfile: read back by a parser of its own, held byte for byte at the top of the project."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from joco_mlx import ollama
from joco_mlx.commit.prompt import SYSTEM, TEMPLATES
from joco_mlx.errors import UsageError

PROJECT = Path(__file__).parent.parent


def rendered(template: str = "chatml", **changes: object) -> str:
    facts = {"num_ctx": 512, "licence": "Apache-2.0", "model": "tiny", **changes}
    return ollama.render_modelfile("joco.gguf", TEMPLATES[template], **facts)  # type: ignore[arg-type]


def parsed(text: str) -> list[tuple[str, str]]:
    """Instructions of a Modelfile, by the grammar in Ollama's documentation and `parser/parser.go`.

    An instruction is a word at the start of a line; its value goes to the end of the line, or, when it begins with
    quotes, to the line's end after which the same quotes close. PARAMETER and MESSAGE have a second word.
    """
    found, lines = [], iter(text.split("\n"))
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, _, value = line.lstrip().partition(" ")
        assert name.isalpha(), line
        name = name.upper()
        assert name in {"FROM", "PARAMETER", "TEMPLATE", "SYSTEM", "ADAPTER", "LICENSE", "MESSAGE", "REQUIRES"}, line
        if name in ("PARAMETER", "MESSAGE"):
            second, _, value = value.partition(" ")
            name = f"{name} {second}"
        found.append((name, unquoted(value, lines)))
    assert sum(name == "FROM" for name, _ in found) == 1
    return found


def unquoted(value: str, lines: Iterator[str]) -> str:
    for quotes in ('"""', '"'):
        if value.lstrip().startswith(quotes):
            while len(value.strip()) < 2 * len(quotes) or not value.strip().endswith(quotes):
                value += "\n" + next(lines)
            return "".join(letter for letter in value.strip()[len(quotes) : -len(quotes)] if is_kept(letter))
    return value.strip()


def is_kept(letter: str) -> bool:
    """The parser drops what is neither printable nor white space."""
    return letter.isprintable() or letter in " \t\r\n"


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_grammar_reads_back_what_was_meant(name: str) -> None:
    template = TEMPLATES[name]
    found = parsed(rendered(name))
    assert ("FROM", "./joco.gguf") in found
    assert ("TEMPLATE", template.go_template()) in found
    assert ("SYSTEM", SYSTEM) in found
    assert ("LICENSE", "Apache-2.0") in found
    assert [value for key, value in found if key == "PARAMETER stop"] == list(template.stops)
    parameters = {key.removeprefix("PARAMETER "): value for key, value in found if key.startswith("PARAMETER ")}
    assert parameters["num_ctx"] == "512"
    assert float(parameters["temperature"]) <= 0.3
    assert float(parameters["repeat_penalty"]) == 1
    assert 0 < int(parameters["num_predict"]) < 512


def test_the_trained_end_token_stops_first() -> None:
    found = parsed(rendered("alpaca"))
    assert next(value for key, value in found if key == "PARAMETER stop") == TEMPLATES["alpaca"].end_token


def test_a_licence_of_many_lines_stays_whole() -> None:
    text = 'Line "one"\n\n    two\n#three\nPARAMETER x'
    assert ("LICENSE", text) in parsed(rendered(licence=text))


@pytest.mark.parametrize("licence", ['a """ b', 'ends with "', "bell \x07", "no-break\u00a0space"])
def test_what_the_grammar_cannot_hold_is_refused(licence: str) -> None:
    with pytest.raises(UsageError, match="quotes or control"):
        rendered(licence=licence)


@pytest.mark.parametrize("name", ["../joco.gguf", "a/b.gguf", "a\nb.gguf", ""])
def test_the_gguf_is_a_file_beside_it(name: str) -> None:
    with pytest.raises(UsageError, match="no plain file name"):
        ollama.render_modelfile(name, TEMPLATES["chatml"], num_ctx=512, licence="MIT", model="tiny")


def test_the_project_s_modelfile_is_the_default_model_s() -> None:
    """An export in a clone replaces the file by that of another model; then the committed one is held."""
    wanted, path = ollama.default_modelfile(), PROJECT / "Modelfile"
    text = path.read_text("utf-8")
    if text.partition("\n")[0] != wanted.partition("\n")[0] and (PROJECT / ".git").exists():
        shown = subprocess.run(["git", "show", "HEAD:Modelfile"], cwd=PROJECT, capture_output=True, check=True)
        text = shown.stdout.decode()
    assert text == wanted
    assert dict(parsed(text))["FROM"] == "./joco.gguf"
