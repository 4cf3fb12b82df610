"""The Modelfile: read back by a parser of its own, held byte for byte at the top of the project."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from judges.go_template import Case, GoTemplate

from joco_mlx import ollama
from joco_mlx.commit.prompt import SYSTEM, TEMPLATES, render
from joco_mlx.errors import ConflictError, InputError, UsageError
from joco_mlx.ollama.instructions import read_modelfile

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


def test_a_modelfile_says_of_which_adapter_it_is() -> None:
    text = rendered(adapter="ab" * 32)
    assert ollama.adapter_in(text) == "ab" * 32
    assert parsed(text) == parsed(rendered())
    assert ollama.is_ours(text)
    assert ollama.adapter_in(rendered()) is None
    assert ollama.adapter_in(rendered(licence=f"\n# Adapter: sha256:{'c' * 64}")) is None


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


USER_TEXT = 'M a.py +1 -0 source\n\n+x = "{{ .System }}" <b>&\'\n'
REQUESTS = {
    "plain": [("user", USER_TEXT)],
    "a tool's own system prompt": [("system", "You are an expert."), ("user", USER_TEXT)],
    "a worked example": [("system", "x"), ("user", "example"), ("assistant", "feat: y"), ("user", USER_TEXT)],
}


@pytest.mark.parametrize("request_name", REQUESTS)
@pytest.mark.parametrize("name", TEMPLATES)
def test_go_renders_the_trained_prompt_whatever_a_tool_sends(
    go_template: GoTemplate, name: str, request_name: str
) -> None:
    messages = REQUESTS[request_name]
    case = Case(dict(parsed(rendered(name)))["TEMPLATE"], messages, dict(messages).get("system", ""))
    assert go_template.render([case]) == [render(TEMPLATES[name], USER_TEXT)]


@pytest.mark.parametrize(
    ("licence", "kept"),
    [
        ('a """ b', "a ''' b"),
        ('ends with "', 'ends with "\n'),
        ("bell \x07", "bell ?"),
        ("no-break\u00a0space", "no-break?space"),
    ],
)
def test_what_the_grammar_cannot_hold_is_put_otherwise(licence: str, kept: str) -> None:
    assert ("LICENSE", kept) in parsed(rendered(licence=licence))


def test_a_model_s_name_cannot_begin_an_instruction() -> None:
    hostile = "tiny\nFROM /etc/passwd\nSYSTEM x"
    assert parsed(rendered(model=hostile, licence=f"See {hostile}")) == parsed(rendered(licence=f"See {hostile}"))


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


def test_an_export_replaces_what_it_wrote_and_nothing_else(tmp_path: Path) -> None:
    ollama.refuse_foreign_export(tmp_path, force=False)
    path = ollama.write_modelfile(tmp_path, rendered())
    assert path.read_text() == rendered()
    ollama.refuse_foreign_export(tmp_path, force=False)
    ollama.write_modelfile(tmp_path, rendered("alpaca"))
    assert parsed(path.read_text()) == parsed(rendered("alpaca"))
    path.write_text("FROM llama3\n" + rendered())
    with pytest.raises(ConflictError, match="was not written by joco-mlx"):
        ollama.refuse_foreign_export(tmp_path, force=False)
    ollama.refuse_foreign_export(tmp_path, force=True)


def test_an_existing_gguf_is_never_replaced_unasked(tmp_path: Path) -> None:
    (tmp_path / "joco.gguf").write_bytes(b"GGUF")
    with pytest.raises(ConflictError, match=r"joco\.gguf exists already"):
        ollama.refuse_foreign_export(tmp_path, force=False)
    ollama.refuse_foreign_export(tmp_path, force=True)


def test_a_folder_named_modelfile_is_foreign(tmp_path: Path) -> None:
    (tmp_path / "Modelfile").mkdir()
    with pytest.raises(ConflictError, match="Modelfile exists"):
        ollama.refuse_foreign_export(tmp_path, force=False)


def test_only_the_first_line_marks_our_own() -> None:
    assert ollama.is_ours(rendered())
    assert not ollama.is_ours("")
    assert not ollama.is_ours("\n" + rendered())
    assert not ollama.is_ours("# Written by joco-mlxfoo\n")


@pytest.mark.parametrize("name", TEMPLATES)
def test_our_reader_agrees_with_the_grammar(name: str) -> None:
    found, read = dict(parsed(rendered(name))), read_modelfile(rendered(name), "Modelfile")
    assert (read.weights, read.template, read.system, read.licence) == tuple(
        found[word] for word in ("FROM", "TEMPLATE", "SYSTEM", "LICENSE")
    )
    assert read.parameters["stop"] == list(TEMPLATES[name].stops)
    assert read.parameters["num_ctx"] == 512
    assert read.parameters["temperature"] == ollama.TEMPERATURE


def test_an_edited_modelfile_counts_as_it_is() -> None:
    text = rendered().replace("num_ctx 512", "num_ctx 4096") + "PARAMETER use_mmap false\nparameter seed 7\n"
    read = read_modelfile(text, "Modelfile")
    assert {"num_ctx": 4096, "use_mmap": False, "seed": 7}.items() <= read.parameters.items()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("SYSTEM x\n", "has no FROM"),
        ('FROM ./a\nSYSTEM """x\n', "never closes"),
        ("FROM ./a\nADAPTER ./b\n", "'ADAPTER'"),
    ],
)
def test_a_modelfile_that_cannot_be_passed_on_is_told(text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        read_modelfile(text, "Modelfile")


def test_the_create_request_has_the_fields_of_the_api() -> None:
    request = read_modelfile(rendered(), "Modelfile").request("joco", "sha256:" + "0" * 64)
    assert request["files"] == {"joco.gguf": "sha256:" + "0" * 64}
    assert set(request) == {"model", "files", "template", "system", "license", "parameters", "stream"}
    json.dumps(request)


def test_the_guide_s_form_stays_available() -> None:
    """The guide's own Modelfile, instruction by instruction."""
    assert parsed(ollama.render_guide_modelfile("joco.gguf", model="tiny")) == [
        ("FROM", "./joco.gguf"),
        ("PARAMETER temperature", "0.7"),
        ("PARAMETER top_p", "0.9"),
        ("PARAMETER stop", "### Instruction:"),
        ("PARAMETER stop", "### Input:"),
        ("SYSTEM", SYSTEM),
    ]
