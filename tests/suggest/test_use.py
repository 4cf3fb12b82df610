"""The model that a person chooses: what is written, what stays, and which source of a choice wins."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Repository
from models_fixture import make_run
from ollama_server import FakeOllama, running

from joco_mlx import config
from joco_mlx.cli.serve import serve
from joco_mlx.cli.settings import suggest_settings
from joco_mlx.config import SuggestConfig
from joco_mlx.errors import InputError, MachineError
from joco_mlx.models.folder import open_folder
from joco_mlx.suggest.choice import Choice, decide
from joco_mlx.suggest.preference import use, use_nothing, with_values

JOCO = {"parameters": {"num_ctx": 1024}, "template": ""}


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The person's settings file, which does not exist yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    monkeypatch.delenv("JOCO_MLX_MODEL", raising=False)
    for module in ("joco_mlx.config", "joco_mlx.suggest.preference"):
        monkeypatch.setattr(f"{module}.user_file", lambda: tmp_path / "mine" / "config.toml")
    return tmp_path / "mine" / "config.toml"


@pytest.fixture
def ollama(own: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeOllama]:
    with running(FakeOllama(models={"joco": JOCO, "me/mine": JOCO})) as made:
        monkeypatch.setenv("OLLAMA_HOST", made.url)
        yield made


def test_a_choice_lasts_and_is_taken_back(own: Path, ollama: FakeOllama) -> None:
    assert use(SuggestConfig(model="me/mine")) == Choice("ollama", "me/mine")
    assert own.read_text() == '[suggest]\nmodel = "me/mine"\nengine = "ollama"\n'
    assert decide(suggest_settings({})) == Choice("ollama", "me/mine")
    assert use(SuggestConfig(model="smollm2-135m")) == Choice("mlx", "smollm2-135m")
    assert decide(suggest_settings({})) == Choice("mlx", "smollm2-135m")
    use_nothing()
    assert own.read_text() == "[suggest]\n"
    assert decide(suggest_settings({})) == Choice("ollama", "joco")


def test_an_address_is_kept_with_the_model_there(
    own: Path, ollama: FakeOllama, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = ollama.url
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    assert use(SuggestConfig(model="joco", url=url)) == Choice("ollama", "joco")
    assert suggest_settings({}).url == url
    use(suggest_settings({"model": "me/mine"}))
    assert (suggest_settings({}).model, suggest_settings({}).url) == ("me/mine", url)


def test_an_address_is_taken_back_with_the_model_there(own: Path, ollama: FakeOllama) -> None:
    use(SuggestConfig(model="me/mine", url=ollama.url))
    use_nothing()
    assert own.read_text() == "[suggest]\n"
    assert suggest_settings({}).url is None


def test_a_run_means_the_same_from_everywhere(
    own: Path, tiny_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "runs" / "one", open_folder(tiny_model("qwen2")))
    for given in ("one", "runs/one", str(run)):
        assert use(SuggestConfig(model=given)) == Choice("mlx", str(run))
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path / "else")
    assert decide(suggest_settings({})) == Choice("mlx", str(run))
    assert use(SuggestConfig(model=str(tiny_model("qwen2")))).model == str(tiny_model("qwen2"))


def test_the_order_is_flag_variable_repository_user(
    own: Path, ollama: FakeOllama, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own.parent.mkdir()
    own.write_text('[suggest]\nmodel = "me/mine"\nengine = "ollama"\ncandidates = 2\ntemperature = 0.4\n')
    (tmp_path / ".joco-mlx.toml").write_text("[suggest]\ncandidates = 3\nbody = true\n")
    found = suggest_settings({})
    assert (found.model, found.engine, found.candidates, found.temperature) == ("me/mine", "ollama", 3, 0.4)
    assert found.body
    monkeypatch.setenv("JOCO_MLX_MODEL", "smollm2-135m")
    monkeypatch.setenv("JOCO_MLX_CANDIDATES", "4")
    found = suggest_settings({})
    assert (found.model, found.engine, found.candidates) == ("smollm2-135m", None, 4)
    found = suggest_settings({"model": "joco", "candidates": 5})
    assert (found.model, found.engine, found.candidates) == ("joco", None, 5)


def test_a_repository_s_settings_count_in_all_its_folders(
    own: Path, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".joco-mlx.toml").write_text("[suggest]\ncandidates = 9\n")
    repository.commit("chore: begin", {"a/b/c": "1\n"})
    linked = tmp_path / "linked"
    repository.git("worktree", "add", "--quiet", str(linked))
    deep = repository.folder / "a" / "b"
    assert suggest_settings({}, repository=deep).candidates == 1  # what lies around a repository is none of its own
    repository.write(".joco-mlx.toml", "[suggest]\ncandidates = 3\n")
    monkeypatch.chdir(deep)
    assert suggest_settings({}).candidates == 3
    assert suggest_settings({}, repository=linked / "a").candidates == 1
    repository.write(".joco-mlx.toml", "[suggest]\nmodel = 'evil'\n")
    with pytest.raises(InputError, match="'model', which a repository may not choose"):
        suggest_settings({})
    repository.write("a/b/.joco-mlx.toml", "[suggest]\ncandidates = 4\n")
    assert suggest_settings({}).candidates == 4


def test_settings_are_found_where_the_folder_is_gone(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert suggest_settings({}) == SuggestConfig()


@pytest.mark.parametrize("name", ["model", "engine", "url"])
def test_a_repository_chooses_neither_model_nor_engine_nor_address(own: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / ".joco-mlx.toml").write_text(f'[suggest]\n{name} = "ollama"\n')
    with pytest.raises(InputError, match=f"'{name}', which a repository may not choose"):
        suggest_settings({})


@pytest.mark.parametrize(
    ("given", "variable", "table", "expected"),
    [
        ("from-flag", "from-variable", "from-serve", "from-flag"),
        (None, "from-variable", "from-serve", "from-variable"),
        (None, None, "from-serve", "from-serve"),
        (None, None, None, "from-suggest"),
    ],
    ids=["flag", "variable", "its own table", "the choice"],
)
def test_serve_takes_the_choice_where_nothing_of_its_own_is_said(  # type: ignore[no-untyped-def]
    own: Path, monkeypatch: pytest.MonkeyPatch, given, variable, table, expected
) -> None:
    own.parent.mkdir()
    mine = f'[serve]\nmodel = "{table}"\n' if table else ""
    own.write_text(f'[suggest]\nmodel = "from-suggest"\n{mine}')
    if variable:
        monkeypatch.setenv("JOCO_MLX_MODEL", variable)
    served: list[str | None] = []
    monkeypatch.setattr("joco_mlx.serve.server.serve", lambda config, **_: served.append(config.model))
    serve(model=given)
    assert served == [expected]


def test_serve_does_not_take_a_choice_in_ollama(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own.parent.mkdir()
    own.write_text('[suggest]\nmodel = "joco"\nengine = "ollama"\n')
    served: list[str | None] = []
    monkeypatch.setattr("joco_mlx.serve.server.serve", lambda config, **_: served.append(config.model))
    serve()
    assert served == [None]


MINE = """\
# mine
[train]
model = "qwen2.5-coder-0.5b" # small
[ suggest ]
body = true # always
'model' = "old"

[suggest.more]
model = 1
"""


def test_everything_else_in_the_file_stays() -> None:
    text = MINE.replace("[ suggest ]", "[suggest] # how")
    changed = with_values(text, "suggest", {"model": 'a "b"', "engine": None})
    assert changed == text.replace("'model' = \"old\"\n", "").replace(
        "[suggest] # how\n", '[suggest] # how\nmodel = "a \\"b\\""\n'
    )


def test_a_linked_file_is_written_where_it_lies_and_stays_private(own: Path, tmp_path: Path) -> None:
    kept = tmp_path / "dotfiles" / "config.toml"
    kept.parent.mkdir()
    kept.write_text("[suggest]\nbody = true\n")
    kept.chmod(0o600)
    own.parent.mkdir()
    own.symlink_to(kept)
    use(SuggestConfig(model="smollm2-135m"))
    assert own.is_symlink()
    assert kept.read_text() == '[suggest]\nmodel = "smollm2-135m"\nengine = "mlx"\nbody = true\n'
    assert kept.stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_changed_safely_is_left_alone(own: Path) -> None:
    own.parent.mkdir()
    for text in (
        MINE,
        'suggest = { model = "x" }\n',
        'suggest.model = "x"\n',
        "= broken",
        '[suggest]\nmodel = """a\n"""\n',
    ):
        own.write_text(text)
        with pytest.raises(InputError, match=r"cannot be read|cannot change safely"):
            use(SuggestConfig(model="smollm2-135m"))
        assert own.read_text() == text


def test_what_does_not_exist_is_not_chosen(own: Path, ollama: FakeOllama) -> None:
    with pytest.raises(InputError, match="no model named 'nothing'") as caught:
        use(SuggestConfig(model="nothing"))
    assert "smollm2-135m" in caught.value.hint
    with pytest.raises(InputError, match="no model gone"):
        use(SuggestConfig(model="gone", engine="ollama"))
    with pytest.raises(MachineError, match="No Ollama server"):
        use(SuggestConfig(model="gone", engine="ollama", url="http://127.0.0.1:9"))
    assert not own.exists()
    assert config.user_file() == own
