"""`dataset export` and `dataset import` as a person calls them, and what other people's readers make of the files."""

import json
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from dataset_records import record, write
from huggingface_hub import DatasetCard
from typer.testing import CliRunner

from joco_mlx.cli.main import app
from joco_mlx.commit.record import read_records
from joco_mlx.dataset.formats import FORMS
from joco_mlx.dataset.hub_card import hub_licences
from joco_mlx.errors import ConflictError, InputError, UsageError

SOURCES = [
    {"name": "tool", "head": "a" * 40, "licence": "MIT OR Apache-2.0", "commits": 9},
    {"name": "other", "head": "b" * 40, "licence": "", "commits": 4},
]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    write(folder / "train.jsonl", *(record(number) for number in range(1, 5)), record(9, repository="other"))
    write(folder / "validation.jsonl", record(6), record(7))
    write(folder / "test.jsonl", record(8))
    (folder / "stats.json").write_text(json.dumps({"sources": SOURCES}))
    (folder / "README.md").write_text(
        "# x\n\n## How it was made\n\nBy hand.\n`manifest.json` holds more.\n\n## Rights\n"
    )
    return folder


def call(*words: str | Path) -> str:
    """Run the command and return what it prints."""
    done = CliRunner().invoke(app, ["dataset", *map(str, words)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stdout


@pytest.mark.parametrize("form", FORMS)
def test_an_export_that_is_imported_again_is_the_same(form: str, dataset: Path, tmp_path: Path) -> None:
    told = json.loads(call("export", dataset, "--out", tmp_path / "out", "--format", form, "--json"))
    assert told["records"] == {"train": 5, "validation": 2, "test": 1}
    for split, file in told["files"].items():
        back = tmp_path / f"{split}.jsonl"
        read = json.loads(call("import", file, "--out", back, "--json"))
        assert read == {"out": str(back), "records": told["records"][split], "skipped": 0}
        assert back.read_bytes() == (dataset / f"{split}.jsonl").read_bytes()


@pytest.mark.parametrize("form", FORMS)
def test_the_hub_reads_the_card(form: str, dataset: Path, tmp_path: Path) -> None:
    told = json.loads(call("export", dataset, "--out", tmp_path / "out", "--format", form, "--json"))
    card = DatasetCard.load(told["card"])
    data = card.data.to_dict()
    assert data["license"] == ["apache-2.0", "mit", "unknown"]
    files = {entry["split"]: entry["path"] for entry in data["configs"][0]["data_files"]}
    assert files == {split: Path(file).name for split, file in told["files"].items()}
    assert "| tool | aaaaaaaaaaaa | MIT OR Apache-2.0 | 7 |\n| other | bbbbbbbbbbbb | not stated | 1 |" in card.text
    assert "By hand." in card.text
    assert "manifest.json" not in card.text


def test_the_card_names_the_fields_that_are_there(dataset: Path, tmp_path: Path, parquet: ModuleType) -> None:
    call("export", dataset, "--out", tmp_path / "rows", "--format", "parquet")
    text = (tmp_path / "rows" / "README.md").read_text()
    for column in parquet.read_schema(tmp_path / "rows" / "train.parquet").names:
        assert f"`{column}`" in text
    for form, fields in (("chat", {"messages", "metadata"}), ("mlx", {"prompt", "completion", "metadata"})):
        call("export", dataset, "--out", tmp_path / form, "--format", form)
        assert set(json.loads((tmp_path / form / "train.jsonl").read_text().splitlines()[0])) == fields
        assert all(f"| `{field}` |" in (tmp_path / form / "README.md").read_text() for field in fields)


def test_parquet_is_what_pyarrow_reads(dataset: Path, tmp_path: Path, parquet: ModuleType) -> None:
    call("export", dataset, "--out", tmp_path / "out", "--format", "parquet")
    rows = parquet.read_table(tmp_path / "out" / "train.parquet").to_pylist()
    records = list(read_records(dataset / "train.jsonl"))
    assert [(row["input"], row["output"], row["quality_score"], row["repository"]) for row in rows] == [
        (one.input, one.output, one.metadata.quality_score, one.metadata.repository) for one in records
    ]


@pytest.mark.parametrize("masked", [False, True])
def test_mlx_lm_loads_its_layout(masked: bool, dataset: Path, tmp_path: Path, tiny_model: Any) -> None:
    from mlx_lm.tuner.datasets import CompletionsDataset, load_dataset
    from mlx_lm.utils import load_tokenizer

    call("export", dataset, "--out", tmp_path / "out", "--format", "mlx")
    tokenizer = load_tokenizer(tiny_model("qwen2"))
    options = SimpleNamespace(data=str(tmp_path / "out"), train=True, test=True, mask_prompt=masked)
    splits = load_dataset(options, tokenizer)
    assert [len(split) for split in splits] == [5, 2, 1]
    for split, name in zip(splits, ("train", "validation", "test"), strict=True):
        assert isinstance(split, CompletionsDataset)
        for number, one in enumerate(read_records(dataset / f"{name}.jsonl")):
            ids, offset = split.process(split[number])
            text = tokenizer.decode(ids)
            assert f"{one.instruction}\n\n{one.input}" in text
            assert text.rstrip().endswith(f"assistant\n{one.output}<|im_end|>")
            assert (tokenizer.decode(ids[offset:]).startswith(one.output)) is masked


def test_chats_are_what_mlx_lm_reads_too(dataset: Path, tmp_path: Path, tiny_model: Any) -> None:
    from mlx_lm.tuner.datasets import ChatDataset, load_dataset
    from mlx_lm.utils import load_tokenizer

    call("export", dataset, "--out", tmp_path / "out", "--format", "chat")
    tokenizer = load_tokenizer(tiny_model("qwen2"))
    train, *_ = load_dataset(SimpleNamespace(data=str(tmp_path / "out"), train=True, test=True), tokenizer)
    assert isinstance(train, ChatDataset)
    assert tokenizer.decode(train.process(train[0])[0]).startswith("<|im_start|>system\nYou generate")


def test_what_is_there_is_replaced_only_on_request(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "note").write_text("mine")
    with pytest.raises(ConflictError):
        call("export", dataset, "--out", tmp_path / "mine", "--format", "chat")
    file = write(tmp_path / "mine.jsonl", record(1))
    with pytest.raises(ConflictError):
        call("import", dataset / "train.jsonl", "--out", file)
    assert (tmp_path / "mine" / "note").read_text() == "mine"
    assert len(list(read_records(file))) == 1
    call("export", dataset, "--out", tmp_path / "mine", "--format", "chat", "--force")
    call("import", dataset / "train.jsonl", "--out", file, "--force")
    assert len(list(read_records(file))) == 5
    assert not (tmp_path / "mine" / "note").exists()


def test_an_import_may_replace_what_it_reads(dataset: Path) -> None:
    before = (dataset / "train.jsonl").read_bytes()
    call("import", dataset / "train.jsonl", "--out", dataset / "train.jsonl", "--force")
    assert (dataset / "train.jsonl").read_bytes() == before


def test_bad_input_is_named_and_leaves_nothing(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--format is 'csv'"):
        call("export", dataset, "--out", tmp_path / "out", "--format", "csv")
    (dataset / "validation.jsonl").write_text('{"input": 1}\n')
    with pytest.raises(InputError, match=r"validation\.jsonl, line 1"):
        call("export", dataset, "--out", tmp_path / "out", "--format", "chat")
    with pytest.raises(InputError, match=r"validation\.jsonl, line 1"):
        call("import", dataset / "train.jsonl", dataset / "validation.jsonl", "--out", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


@pytest.mark.parametrize("text", ["{", '{"sources": 3}', '{"sources": [{}]}', "[]"])
def test_damaged_stats_are_named(text: str, dataset: Path, tmp_path: Path) -> None:
    (dataset / "stats.json").write_text(text)
    with pytest.raises(InputError, match=r"stats\.json is not what build or curate writes"):
        call("export", dataset, "--out", tmp_path / "out", "--format", "chat")


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        (["MIT", "MIT"], ["mit"]),
        (["Apache-2.0 AND (MIT OR BSD-3-Clause)"], ["apache-2.0", "bsd-3-clause", "mit"]),
        (["My-Own-1.0", ""], ["other", "unknown"]),
        (["LGPL-3.0", "GPL-3.0", "BSD-3-Clause-Clear"], ["bsd-3-clause-clear", "gpl-3.0", "lgpl-3.0"]),
    ],
)
def test_licences_in_the_hubs_words(stated: list[str], expected: list[str]) -> None:
    assert hub_licences(stated) == expected
