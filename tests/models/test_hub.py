"""What a name means, and what a user reads when it means nothing."""

from collections.abc import Callable
from pathlib import Path

import pytest

from joco_mlx.errors import InputError
from joco_mlx.models import hub as hub_module
from joco_mlx.models import registry
from joco_mlx.models.download import Fetched
from joco_mlx.models.hub import locate
from joco_mlx.progress import Silent

TinyModel = Callable[..., Path]


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch, tiny_model: TinyModel) -> list[tuple[str, str | None]]:
    """Stand in for the network; returns the (repository, revision) pairs that were asked for."""
    asked: list[tuple[str, str | None]] = []

    def fetch(repository: str, revision: str | None, *, progress: object) -> Fetched:
        asked.append((repository, revision))
        return Fetched(tiny_model("qwen2"), "c" * 40)

    monkeypatch.setattr(hub_module, "fetch", fetch)
    return asked


def test_a_registry_name_is_fetched_at_its_pinned_revision(fetched: list[tuple[str, str | None]]) -> None:
    for name in ("default", "Qwen2.5-Coder-1.5B-Instruct"):
        found = locate(name, progress=Silent())
        assert fetched.pop() == (
            "mlx-community/Qwen2.5-Coder-1.5B-Instruct-4bit",
            "b3252a2f97102b1fb1571fec2c9b27219a8536be",
        )
        assert found.base == registry.find("default")
        assert (found.name, found.revision) == ("qwen2.5-coder-1.5b-instruct", "c" * 40)


def test_a_hub_name_may_carry_a_revision_and_is_recognised(fetched: list[tuple[str, str | None]]) -> None:
    found = locate("Qwen/Qwen2.5-Coder-0.5B@refs/pr/3", progress=Silent())
    assert fetched == [("Qwen/Qwen2.5-Coder-0.5B", "refs/pr/3")]
    assert found.name == "Qwen/Qwen2.5-Coder-0.5B"
    assert found.template.name == "alpaca", "it is the registry's base model, quantised or not"
    assert locate("someone/tuned", progress=Silent()).base is None


def test_a_licence_that_binds_is_said(fetched: list[tuple[str, str | None]]) -> None:
    class Notes(Silent):
        def note(self, text: str) -> None:
            assert "forbids commercial use" in text
            said.append(text)

    said: list[str] = []
    locate("qwen2.5-coder-3b-instruct", progress=Notes())
    assert len(said) == 1


def test_a_folder_wins_over_a_hub_of_the_same_name(
    fetched: list[tuple[str, str | None]], tiny_model: TinyModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "someone").mkdir()
    (tmp_path / "someone" / "tiny").symlink_to(tiny_model("llama"))
    monkeypatch.chdir(tmp_path)
    assert locate("someone/tiny", progress=Silent()).shape.architecture == "llama"
    assert fetched == []


@pytest.mark.parametrize(
    "name", ["qwen2.5-coder-1.5", "a/b/c", "", "~no-such-user/x/y", "org/", "org/name@", "x" * 5_000, "a\0b"]
)
def test_an_unknown_name_gets_the_nearest_ones(name: str) -> None:
    with pytest.raises(InputError, match="no model named") as caught:
        locate(name, progress=Silent())
    assert "qwen2.5-coder-1.5b" in caught.value.hint


def test_a_file_and_a_run_are_told_from_a_model(tmp_path: Path) -> None:
    (tmp_path / "joco.gguf").write_bytes(b"GGUF")
    with pytest.raises(InputError, match="is a file, not a model folder"):
        locate(str(tmp_path / "joco.gguf"), progress=Silent())
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(InputError, match="is a training run, not a base model") as caught:
        locate(str(tmp_path), progress=Silent())
    assert "joco-mlx fuse" in caught.value.hint


@pytest.mark.model
def test_the_embedded_model_needs_no_hub(smollm2, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    found = locate("embedded", progress=Silent())
    assert found.path == smollm2.path
    assert found.template.name == "chatml"
    assert found.base is not None
    assert found.shape.parameters == found.base.shape.parameters
    assert found.shape.bits_per_weight == pytest.approx(found.base.shape.bits_per_weight, abs=0.01)
