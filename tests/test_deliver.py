"""From a run or a GGUF to Ollama: which file, which Modelfile, and the command in front of it."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from models_fixture import make_run
from ollama_server import FakeOllama, running
from safetensors.numpy import load_file, save_file

from joco_mlx import ollama as room
from joco_mlx.cli.main import main
from joco_mlx.commit.prompt import TEMPLATES
from joco_mlx.config import OllamaConfig
from joco_mlx.deliver import deliver, prepare
from joco_mlx.errors import ConflictError, InputError
from joco_mlx.models.folder import open_folder
from joco_mlx.progress import Silent


@pytest.fixture
def run(tiny_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "nowhere"))
    return make_run(tmp_path / "runs" / "one", open_folder(tiny_model("qwen2")), max_seq_length=512)


@pytest.fixture
def ollama() -> Iterator[FakeOllama]:
    with running(FakeOllama()) as made:
        yield made


def test_a_run_is_exported_once_and_made(run: Path, ollama: FakeOllama) -> None:
    config = OllamaConfig(url=ollama.url)
    assert deliver("joco", None, config, progress=Silent()).was_sent
    gguf = run / "ollama" / "joco.gguf"
    assert list(ollama.blobs.values()) == [gguf.read_bytes()]
    written = gguf.stat().st_mtime_ns
    assert not deliver("again", "one", config, progress=Silent()).was_sent
    assert gguf.stat().st_mtime_ns == written
    assert ollama.models["again"]["parameters"]["num_ctx"] == 512


def test_a_run_that_went_on_is_exported_again(run: Path, ollama: FakeOllama) -> None:
    config = OllamaConfig(url=ollama.url)
    deliver("joco", None, config, progress=Silent())
    [before] = ollama.blobs.values()
    adapter = run / "adapters" / "adapters.safetensors"
    weights = load_file(adapter)
    save_file({name: values / 2 for name, values in weights.items()}, adapter)
    (run / "manifest.json").unlink()
    for form in ("trained", "guide"):
        assert prepare(str(run), OllamaConfig(form=form)).gguf is None
    deliver("again", str(run), config, progress=Silent())
    [_, after] = ollama.blobs.values()
    assert after == (run / "ollama" / "joco.gguf").read_bytes() != before
    assert prepare(str(run), config).gguf == run / "ollama" / "joco.gguf"


def test_an_export_that_does_not_say_of_which_adapter_it_is_counts(run: Path) -> None:
    text = room.render_modelfile("joco.gguf", TEMPLATES["chatml"], num_ctx=300, licence="MIT", model="earlier")
    room.write_modelfile(run / "ollama", text)
    (run / "ollama" / "joco.gguf").write_bytes(b"GGUF")
    assert prepare(None, OllamaConfig()).modelfile == text


def test_nothing_is_exported_for_a_server_that_would_refuse(run: Path, ollama: FakeOllama) -> None:
    ollama.models["joco"] = {"template": "", "parameters": {}}
    with pytest.raises(ConflictError, match="joco already"):
        deliver("joco", None, OllamaConfig(url=ollama.url), progress=Silent())
    assert not (run / "ollama").exists()


def test_the_gguf_of_this_folder_comes_before_the_latest_run(run: Path, tmp_path: Path) -> None:
    (tmp_path / "joco.gguf").write_bytes(b"GGUF")
    assert prepare(None, OllamaConfig()).run is not None
    text = room.render_modelfile("joco.gguf", TEMPLATES["alpaca"], num_ctx=300, licence="MIT", model="other")
    room.write_modelfile(tmp_path, text)
    assert prepare(None, OllamaConfig()).modelfile == text
    assert "chatml" not in prepare("joco.gguf", OllamaConfig()).modelfile


def test_a_gguf_without_its_modelfile_or_with_another_s_is_told(tmp_path: Path) -> None:
    gguf = tmp_path / "x.gguf"
    with pytest.raises(InputError, match="There is no GGUF"):
        prepare(str(gguf), OllamaConfig())
    gguf.write_bytes(b"GGUF")
    with pytest.raises(InputError, match="nobody knows the form") as caught:
        prepare(str(gguf), OllamaConfig())
    assert "--form guide" in caught.value.hint
    assert "top_p 0.9" in prepare(str(gguf), OllamaConfig(form="guide")).modelfile
    (tmp_path / "Modelfile").write_text("FROM ./y.gguf\n")
    with pytest.raises(InputError, match="about another file"):
        prepare(str(gguf), OllamaConfig())


def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    monkeypatch.setattr(sys, "argv", ["joco-mlx", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code, capsys.readouterr().err
    return capsys.readouterr().out


def test_the_modelfile_is_printed_without_a_server_or_an_export(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    shown = said(monkeypatch, capsys, "ollama", "create", "joco", "--print")
    assert shown.startswith("# Written by joco-mlx for ")
    assert TEMPLATES["chatml"].go_template() in shown
    assert "PARAMETER num_ctx 512\n" in shown
    assert not (run / "ollama").exists()
    assert "PARAMETER top_p 0.9" in said(monkeypatch, capsys, "ollama", "create", "joco", "--print", "--form", "guide")


def test_the_command_makes_a_model(
    run: Path, ollama: FakeOllama, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = said(monkeypatch, capsys, "ollama", "create", "joco", str(run), "--url", ollama.url, "--json")
    assert json.loads(shown)["name"] == "joco"
    assert list(ollama.models) == ["joco"]
