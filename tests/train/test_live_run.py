"""A run folder belongs to one process, and run.json always tells what became of the run."""

import json
import multiprocessing

import pytest

from joco_mlx.artifacts import is_finished, open_artifact
from joco_mlx.errors import ConflictError, InputError, StoppedError
from joco_mlx.train.live_run import is_held, live_run

DOCUMENT = {"config": {"steps": 3}, "base": {"name": "tiny"}}


def state(folder):
    return json.loads((folder / "run.json").read_text())


def test_a_run_that_ends_well_is_a_sealed_artefact(tmp_path):
    out = tmp_path / "run"
    with live_run(out, "tiny", DOCUMENT) as run:
        assert state(out)["state"] == "running"
        assert not is_finished(out)
        run.write({"step": 1, "loss": 2.5})
        assert (out / "metrics.jsonl").read_text() == '{"step": 1, "loss": 2.5}\n'
        run.finish({"dataset": "0" * 64}, [])
    assert state(out)["state"] == "finished"
    manifest = open_artifact(out, "run", checked=True).manifest
    assert set(manifest.files) == {"run.json", "metrics.jsonl"}
    assert manifest.config == {"steps": 3}


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (KeyboardInterrupt(), "interrupted"),
        (StoppedError("Stopped at step 3."), "interrupted"),
        (InputError("The loss became nan."), "failed"),
        (RuntimeError("boom"), "failed"),
    ],
    ids=["ctrl-c", "stopped", "user error", "bug"],
)
def test_what_ends_a_run_early_is_written_down(tmp_path, problem, expected):
    with pytest.raises(type(problem)), live_run(tmp_path / "run", "tiny", DOCUMENT):
        raise problem
    assert state(tmp_path / "run")["state"] == expected
    assert not is_finished(tmp_path / "run")


def test_a_failure_says_why(tmp_path):
    with pytest.raises(InputError), live_run(tmp_path / "run", "tiny", DOCUMENT):
        raise InputError("The loss became nan in step 4, at record r-1.")
    assert state(tmp_path / "run")["problem"] == "The loss became nan in step 4, at record r-1."


def test_a_folder_that_exists_is_left_alone(tmp_path):
    with pytest.raises(ConflictError, match="exists already"), live_run(tmp_path, "tiny", DOCUMENT):
        pytest.fail("the block was entered")
    assert not list(tmp_path.iterdir())


def _try(folder, answers):
    try:
        with live_run(folder, "tiny", DOCUMENT):
            answers.put("entered")
    except ConflictError as problem:
        answers.put(problem.message)


def test_a_folder_that_another_process_holds(tmp_path):
    answers = multiprocessing.get_context("spawn").Queue()
    with live_run(tmp_path / "run", "tiny", DOCUMENT):
        assert is_held(tmp_path / "run")
        other = multiprocessing.get_context("spawn").Process(target=_try, args=(tmp_path / "run", answers))
        other.start()
        assert answers.get(timeout=60) == f"The run {tmp_path / 'run'} is in use by another process."
        other.join()
    assert not is_held(tmp_path / "run")


def test_default_folders_have_the_models_name_and_never_collide(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = []
    for _ in range(3):
        with live_run(None, "mlx-community/Tiny-4bit", DOCUMENT) as run:
            folders.append(run.folder)
    assert len(set(folders)) == 3
    assert all(folder.parent.name == "runs" and "-Tiny-4bit" in folder.name for folder in folders)
