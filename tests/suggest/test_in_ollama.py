"""A model in Ollama, behind a server that is as strict as the published API, and which model is taken by default."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from models_fixture import make_run
from ollama_server import FakeOllama, running

from joco_mlx.commit.message import is_valid
from joco_mlx.config import SuggestConfig
from joco_mlx.errors import InputError, MachineError, VerificationError
from joco_mlx.models.folder import open_folder
from joco_mlx.ollama.server import Server
from joco_mlx.progress import Silent
from joco_mlx.suggest.choice import Choice, decide, open_engine
from joco_mlx.suggest.grammar import Form
from joco_mlx.suggest.in_ollama import OllamaEngine
from joco_mlx.suggest.message import candidates

PATCH = "diff --git a/src/x.py b/src/x.py\n--- a/src/x.py\n+++ b/src/x.py\n@@ -1 +1,2 @@\n a\n+b <|im_end|>\n"
JOCO = {"parameters": {"num_ctx": 1024, "stop": ["<|im_end|>"]}, "template": "{{ .Prompt }}"}


@pytest.fixture
def ollama(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeOllama]:
    monkeypatch.chdir(tmp_path)
    with running(FakeOllama(models={"joco": JOCO})) as made:
        monkeypatch.setenv("OLLAMA_HOST", made.url)
        yield made


def test_a_valid_answer_is_taken_as_it_is(ollama: FakeOllama) -> None:
    [found] = candidates(SuggestConfig(), PATCH, progress=Silent())
    assert found.message == "feat(core): add the parser"
    [_, _, asked] = ollama.requests
    assert "format" not in asked
    assert asked["model"] == "joco"
    assert asked["options"] == {"temperature": 0.0, "num_predict": 128}
    assert [message["role"] for message in asked["messages"]] == ["system", "user"]
    assert asked["messages"][1]["content"].startswith("M src/x.py +1 -0 source\n")
    assert "<|im_end|>" not in asked["messages"][1]["content"]


@pytest.mark.parametrize("answer", ["Sure! I improved the code.", "Feat: Did things.", "", "feat: " + "x" * 200])
def test_an_answer_out_of_form_is_asked_for_by_schema(ollama: FakeOllama, answer: str) -> None:
    ollama.answer = answer
    [found] = candidates(SuggestConfig(), PATCH, progress=Silent())
    assert is_valid(found.message)
    assert len(found.message) <= 72
    assert "format" in ollama.requests[-1]


def test_the_schema_is_the_form(ollama: FakeOllama) -> None:
    ollama.answer = "out of form"
    engine = OllamaEngine("joco", Server.at(ollama.url))
    form = Form(types=("fix",), scopes=("core",), needs_scope=True, header_chars=40)
    [draft] = engine.drafts("M x", form=form, temperatures=[0.5], max_tokens=9)
    assert form.admits(draft.text)
    assert draft.text.startswith("fix(core): the value")
    assert draft.likelihood is None
    assert ollama.requests[-1]["format"]["properties"]["type"] == {"enum": ["fix"]}


@pytest.mark.parametrize("answer", ["{", "[]", '{"type": "feat"}', '{"type": "x", "description": "y"}'])
def test_a_server_that_breaks_its_own_schema_gives_no_message(ollama: FakeOllama, answer: str) -> None:
    ollama.answer, ollama.structured = "no", answer
    with pytest.raises(VerificationError, match="holds no commit message"):
        candidates(SuggestConfig(), PATCH, progress=Silent())


def test_free_means_free(ollama: FakeOllama) -> None:
    ollama.answer = "improve things"
    [found] = candidates(SuggestConfig(constrained=False), PATCH, progress=Silent())
    assert found.message == "improve things"


def test_a_body_is_kept_where_one_is_wanted(ollama: FakeOllama) -> None:
    ollama.answer = "fix: close the file\n\nIt leaked."
    assert candidates(SuggestConfig(body=True), PATCH, progress=Silent())[0].message == ollama.answer
    assert candidates(SuggestConfig(), PATCH, progress=Silent())[0].message == "fix: close the file"


def test_a_long_diff_is_cut_to_what_the_model_was_trained_for(ollama: FakeOllama) -> None:
    candidates(SuggestConfig(), PATCH + "+line\n" * 5_000, progress=Silent())
    assert len(ollama.requests[-1]["messages"][1]["content"]) < 3 * 1_024


def test_a_missing_model_and_a_missing_server_are_told(ollama: FakeOllama) -> None:
    with pytest.raises(InputError, match="has no model nothing") as caught:
        open_engine(SuggestConfig(engine="ollama", model="nothing"), progress=Silent())
    assert caught.value.hint == "Make it: joco-mlx ollama create nothing"
    with pytest.raises(MachineError, match="No Ollama server answers") as caught:
        open_engine(SuggestConfig(engine="ollama", url="http://127.0.0.1:9"), progress=Silent())
    assert "ollama serve" in caught.value.hint
    assert "--print" not in caught.value.hint, "an option of ollama create alone"


def test_what_answers_when_little_is_said(
    ollama: FakeOllama, tiny_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(tmp_path / "runs" / "mine", open_folder(tiny_model("qwen2")))
    assert decide(SuggestConfig()) == Choice("ollama", "joco")
    assert decide(SuggestConfig(engine="mlx")) == Choice("mlx", None)
    assert decide(SuggestConfig(model="mine")) == Choice("mlx", "mine")
    assert decide(SuggestConfig(model="smollm2-135m")) == Choice("mlx", "smollm2-135m")
    ollama.models["other"] = JOCO
    assert decide(SuggestConfig(model="other")) == Choice("ollama", "other")
    assert decide(SuggestConfig(model="nothing")) == Choice("mlx", "nothing")
    del ollama.models["joco"]
    assert decide(SuggestConfig()) == Choice("mlx", None)
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    assert decide(SuggestConfig()) == Choice("mlx", None)


def test_an_ollama_elsewhere_is_not_asked_unless_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr("joco_mlx.suggest.choice.has_model", lambda model, server: not asked.append(server.host))
    monkeypatch.setenv("OLLAMA_HOST", "http://elsewhere.example:11434")
    assert decide(SuggestConfig()) == Choice("mlx", None)
    assert asked == []
    assert decide(SuggestConfig(url="http://elsewhere.example")).engine == "ollama"
    assert asked == ["elsewhere.example"]
