"""Settings of other tools: what is printed, and that no other entry of a file changes."""

import json
from pathlib import Path

import pytest

from joco_mlx.errors import InputError, UsageError
from joco_mlx.suggest.connect import TOOLS, apply, connection

URL = "http://127.0.0.1:11434"


@pytest.mark.parametrize("tool", TOOLS)
def test_every_tool_is_told_of_the_model(tool: str) -> None:
    text = connection(tool, "mine", URL).text
    assert "mine" in text or tool == "lazygit"


def test_other_entries_stay(tmp_path: Path) -> None:
    path = tmp_path / ".opencommit"
    path.write_text("# mine\nOCO_LANGUAGE=de\nOCO_MODEL=gpt\n[other]\nx=1\n")
    path.chmod(0o600)
    assert apply(connection("opencommit", "joco", URL), tmp_path) == path
    lines = path.read_text().splitlines()
    assert lines[:3] == ["# mine", "OCO_LANGUAGE=de", "OCO_MODEL=joco"]
    assert lines[-2:] == ["[other]", "x=1"]
    assert "OCO_GITPUSH=false" in lines
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.read_text()
    apply(connection("opencommit", "joco", URL), tmp_path)
    assert path.read_text() == before


def test_json_keeps_its_other_entries(tmp_path: Path) -> None:
    path = tmp_path / ".config" / "lumen" / "lumen.config.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"theme": "dark", "model": "x"}')
    apply(connection("lumen", "joco", URL), tmp_path)
    assert json.loads(path.read_text()) == {"theme": "dark", "model": "joco", "provider": "ollama"}
    path.write_text("[1]")
    with pytest.raises(InputError, match="no JSON object"):
        apply(connection("lumen", "joco", URL), tmp_path)


def test_what_czg_and_opencommit_read(tmp_path: Path) -> None:
    """The places and names are those of the tools; `scripts/prove tools` runs them."""
    path = apply(connection("czg", "joco", URL), tmp_path)
    assert path == tmp_path / ".config" / ".czrc"
    told = json.loads(path.read_text())
    assert told == {"openAIToken": "ollama", "apiEndpoint": f"{URL}/v1", "apiModel": "joco"}
    values = connection("opencommit", "joco", URL).values
    assert values["OCO_API_URL"] == URL
    assert int(values["OCO_TOKENS_MAX_INPUT"]) > 100_000  # below that it cuts a big diff and joins the answers


def test_what_a_person_has_to_know_is_told() -> None:
    """Read in aicommit2's src/utils/prompt.ts and lumen's src/provider/mod.rs."""
    assert "JSON alone" in connection("aicommit2", "joco", URL).note
    assert connection("lumen", "joco", URL).note == ""
    assert "port 11434 alone" in connection("lumen", "joco", "http://127.0.0.1:11435").note


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not written by joco-mlx"):
        apply(connection("lazygit", "joco", URL), tmp_path)
    with pytest.raises(UsageError, match="no tool"):
        connection("nothing", "joco", URL)
