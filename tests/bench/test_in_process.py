"""Models of ours in this process: seeds, what is written down, and the training data that a run names."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from bench_records import record, write
from models_fixture import make_run

from joco_mlx import artifacts
from joco_mlx.bench.cases import as_cases
from joco_mlx.bench.run import run
from joco_mlx.commit.record import Record
from joco_mlx.config import BenchConfig
from joco_mlx.errors import InputError
from joco_mlx.models.folder import open_folder
from joco_mlx.suggest.type_prior import TypePrior


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    return write(tmp_path / "cases.jsonl", [record(number) for number in range(3)])


@pytest.fixture
def trained(
    tmp_path: Path, tiny_model: Callable[..., Path], make_dataset: Callable[[Sequence[Record]], Path]
) -> tuple[Path, Path]:
    """A finished run on a tiny model, and the dataset that it names."""
    data = make_dataset([record(number) for number in (2, *range(100, 120))])
    folder = make_run(tmp_path / "run", open_folder(tiny_model("qwen2")), max_seq_length=512)
    document = json.loads((folder / "run.json").read_text())
    document["dataset"] = {"path": str(data), "digest": artifacts.sha256(data / artifacts.MANIFEST), "records": 21}
    artifacts.write_json(folder / "run.json", document)
    return folder, data


def config(model: Path, **more: object) -> BenchConfig:
    return BenchConfig(model=str(model), max_tokens=6, **more)  # type: ignore[arg-type]


def test_same_seed_same_bytes_at_any_temperature(cases: Path, tiny_model: Callable[..., Path], tmp_path: Path) -> None:
    model = tiny_model("qwen2")
    for out, seed in (("one", 0), ("two", 0), ("other", 1)):
        run(config(model, temperature=1.5, seed=seed), cases, tmp_path / out)
    one, two, other = (tmp_path / name / "results.jsonl" for name in ("one", "two", "other"))
    assert one.read_bytes() == two.read_bytes() != other.read_bytes()
    answers = [json.loads(line)["answer"] for line in one.read_text().splitlines()]
    assert len(set(answers)) > 1
    assert "{diff}" in (tmp_path / "one" / "prompt.txt").read_text()


def test_a_prior_that_is_not_there_is_told_before_the_model_is_looked_for(cases: Path, tmp_path: Path) -> None:
    for path, said in ((tmp_path / "absent.json", "There is no file"), (tmp_path, "is a folder, not a file")):
        with pytest.raises(InputError, match=said) as caught:
            run(config(tmp_path / "no-model", type_prior=path), cases, tmp_path / "out")
        assert str(path) in caught.value.message
        assert "bench calibrate" in caught.value.hint


def test_a_case_that_a_run_was_trained_on_is_found(trained: tuple[Path, Path], cases: Path, tmp_path: Path) -> None:
    folder, _ = trained
    with pytest.raises(InputError, match="1 of 3 cases stand in the training data"):
        run(config(folder), cases, tmp_path / "out")
    done = run(config(folder, allow_leak=True), cases, tmp_path / "out")
    assert done.metrics["cases"] == 2
    assert done.metrics["leaks"]["ways"] == {"same commit": 1}
    told = json.loads((tmp_path / "out" / "bench.json").read_text())
    assert told["name"] == "run"
    assert told["model"]["adapter"] == artifacts.sha256(folder / "adapters" / "adapters.safetensors")


def test_a_case_that_the_prior_was_fitted_on_is_a_leak(
    cases: Path, tiny_model: Callable[..., Path], make_dataset: Callable[..., Path], tmp_path: Path
) -> None:
    """Also where nobody knows what the model was trained on, and at the case's second appearance in a file."""
    prior = tmp_path / "types.json"
    TypePrior(1.0, {}, {}, 1, cases=(as_cases([record(1)])[0].key,)).write(prior)
    asked = config(tiny_model("qwen2"), type_prior=prior)
    twice = write(tmp_path / "twice.jsonl", [record(number) for number in (0, 1, 1)])
    for file, leaked in ((cases, 1), (twice, 2)):
        with pytest.raises(InputError, match=f"{leaked} of 3 cases .* of the prior .*{leaked} by fitted the prior"):
            run(asked, file, tmp_path / "out")
    done = run(replace(asked, allow_leak=True), cases, tmp_path / "out")
    assert done.metrics["leaks"] == {"checked": False, "leaked": 1, "ways": {"fitted the prior of types": 1}}
    data = make_dataset([record(number) for number in (2, *range(100, 120))])
    known = run(replace(asked, allow_leak=True, train=data), cases, tmp_path / "known")
    assert known.metrics["leaks"]["ways"] == {"fitted the prior of types": 1, "same commit": 1}


def test_words_of_records_that_nobody_looks_through_are_refused(
    trained: tuple[Path, Path], cases: Path, tmp_path: Path
) -> None:
    folder, data = trained
    prior = tmp_path / "types.json"
    TypePrior(1.0, {}, {}, 1, words_from="0" * 64).write(prior)
    with pytest.raises(InputError, match=r"knows words of other records than .*train\.jsonl") as told:
        run(config(folder, type_prior=prior, allow_leak=True), cases, tmp_path / "out")
    assert "--train DIR" in told.value.hint
    TypePrior(1.0, {}, {}, 1, words_from=artifacts.sha256(data / "train.jsonl")).write(prior)
    assert run(config(folder, type_prior=prior, allow_leak=True), cases, tmp_path / "out").metrics["cases"] == 2


def test_training_data_that_is_gone_or_changed_is_no_clean_bill(
    trained: tuple[Path, Path], cases: Path, tmp_path: Path
) -> None:
    folder, data = trained
    manifest = data / artifacts.MANIFEST
    manifest.write_text(manifest.read_text() + "\n")
    with pytest.raises(InputError, match="is not the one that run was trained on"):
        run(config(folder), cases, tmp_path / "out")
    data.rename(tmp_path / "moved")
    with pytest.raises(InputError, match=r"is not at .* any more") as told:
        run(config(folder), cases, tmp_path / "out")
    assert told.value.hint == "Name it: --train DIR"
    with pytest.raises(InputError, match="1 of 3 cases"):
        run(config(folder, train=tmp_path / "moved"), cases, tmp_path / "out")
