"""Which run is meant, what it says, and whether its base is still the one it was trained on."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from models_fixture import make_run

from joco_mlx.errors import InputError
from joco_mlx.models.folder import ModelFolder, open_folder
from joco_mlx.models.load import load_model
from joco_mlx.models.registry import find
from joco_mlx.models.runs import base_folder, open_run
from joco_mlx.progress import Silent

TinyModel = Callable[..., Path]


@pytest.fixture
def base(tiny_model: TinyModel) -> ModelFolder:
    return open_folder(tiny_model("qwen2"))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def test_the_latest_finished_run_is_meant_when_none_is_named(runs: Path, base: ModelFolder) -> None:
    make_run(runs / "z-old", base, started="2026-01-01T10:00:00+00:00")
    newest = make_run(runs / "a-new", base, started="2026-01-02T09:00:00+00:00")
    make_run(runs / "b-running", base, started="2026-01-03T09:00:00+00:00", state="running")
    assert open_run(root=runs).folder == newest


def test_a_run_is_found_by_folder_or_by_name_in_any_state(runs: Path, base: ModelFolder) -> None:
    folder = make_run(runs / "one", base, state="interrupted", rank=8, target_modules=["q_proj", "v_proj"])
    for name in (folder, str(folder), "one"):
        run = open_run(name, root=runs)
        assert (run.state, run.is_finished) == ("interrupted", False)
        assert (run.config.rank, run.config.target_modules) == (8, ("q_proj", "v_proj"))
        assert run.adapter == folder / "adapters"


def test_without_a_run_the_next_command_is_named(runs: Path, base: ModelFolder) -> None:
    with pytest.raises(InputError, match="no run in") as caught:
        open_run(root=runs)
    assert "joco-mlx train" in caught.value.hint
    with pytest.raises(InputError, match="no run at nowhere"):
        open_run("nowhere", root=runs)
    failed = make_run(runs / "failed", base, state="failed")
    with pytest.raises(InputError, match=r"No run in .* is finished") as caught:
        open_run(root=runs)
    assert str(failed) in caught.value.hint


def test_a_state_of_finished_without_a_manifest_is_unfinished(runs: Path, base: ModelFolder) -> None:
    folder = make_run(runs / "one", base)
    (folder / "manifest.json").unlink()
    assert not open_run(folder).is_finished
    with pytest.raises(InputError, match=r"No run in .* is finished"):
        open_run(root=runs)


def test_a_run_without_an_adapter_says_its_state(runs: Path, base: ModelFolder) -> None:
    folder = make_run(runs / "one", base, state="running")
    shutil.rmtree(folder / "adapters")
    with pytest.raises(InputError, match="no adapter yet; its state is running"):
        _ = open_run(folder).adapter


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"state": "asleep"}, "its state is 'asleep'"),
        ({"base": None}, r"run\.json is damaged"),
        ({"dataset": {"path": "x"}}, "'digest'"),
        ({"config": {"rnak": 3}}, r"run\.json sets 'rnak'"),
    ],
)
def test_a_damaged_run_is_named(runs: Path, base: ModelFolder, change: dict[str, object], complaint: str) -> None:
    folder = make_run(runs / "one", base, state="running")
    document = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**document, **change}))
    with pytest.raises(InputError, match=complaint):
        open_run(folder)


def test_a_finished_run_with_a_file_missing_is_refused(runs: Path, base: ModelFolder) -> None:
    folder = make_run(runs / "one", base)
    (folder / "adapters" / "adapters.safetensors").unlink()
    with pytest.raises(InputError, match=r"adapters\.safetensors is missing"):
        open_run(root=runs)


def test_entries_of_a_later_version_are_kept_but_not_needed(runs: Path, base: ModelFolder) -> None:
    folder = make_run(runs / "one", base, state="running")
    document = json.loads((folder / "run.json").read_text())
    document["base"]["moon"] = "full"
    document["tracker"] = "x"
    (folder / "run.json").write_text(json.dumps(document))
    assert open_run(folder).document["tracker"] == "x"


def test_the_base_comes_back_with_the_template_of_the_training(runs: Path, tiny_model: TinyModel) -> None:
    trained_as = open_folder(tiny_model("qwen2"), base=find("qwen2.5-coder-1.5b"))
    run = open_run(make_run(runs / "one", trained_as))
    found = base_folder(run, progress=Silent())
    assert found.path == trained_as.path
    assert found.template == trained_as.template == run.template
    load_model(found, adapter=run.adapter)


def test_the_original_of_a_known_base_keeps_its_licence(runs: Path, base: ModelFolder) -> None:
    """TRL and Unsloth train on the unquantised original, whose name is the Hub's."""
    original = replace(base, name="Qwen/Qwen2.5-Coder-1.5B-Instruct")
    found = base_folder(open_run(make_run(runs / "one", original)), progress=Silent())
    assert found.name == "Qwen/Qwen2.5-Coder-1.5B-Instruct"
    assert found.base is not None
    assert found.base.licence == "Apache-2.0"


def test_a_base_that_changed_or_went_is_refused(runs: Path, base: ModelFolder, tmp_path: Path) -> None:
    shutil.copytree(base.path, tmp_path / "copy")
    copy = open_folder(tmp_path / "copy")
    run = open_run(make_run(runs / "one", copy))
    config = copy.path / "config.json"
    config.write_text(config.read_text().replace("1e-06", "1e-05"))
    with pytest.raises(InputError, match=r"is not the one that .* was trained on"):
        base_folder(run, progress=Silent())
    shutil.rmtree(copy.path)
    with pytest.raises(InputError, match="is no longer at"):
        base_folder(run, progress=Silent())


def test_a_base_of_the_hub_is_fetched_again_at_its_revision(  # type: ignore[no-untyped-def]
    runs: Path, hub, served_model: str
) -> None:
    from joco_mlx.models.hub import locate

    first = locate(served_model, progress=Silent())
    run = open_run(make_run(runs / "one", first))
    assert run.base.revision == "0123456789abcdef0123456789abcdef01234567"
    shutil.rmtree(first.path.parents[1])
    hub.asked.clear()
    again = base_folder(run, progress=Silent())
    assert again.digest == first.digest
    assert hub.taken()


@pytest.mark.model
def test_the_embedded_base_is_checked_in_the_cache(runs: Path, smollm2: ModelFolder) -> None:
    run = open_run(make_run(runs / "one", smollm2))
    assert base_folder(run, progress=Silent()).path == smollm2.path
