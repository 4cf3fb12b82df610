"""Every form that goes out comes back the same; every form of the original project comes in."""

import dataclasses
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from dataset_records import PATCH, Notes, record, write

from joco_mlx.commit.record import INSTRUCTION, from_json, hash_author, read_records, to_json
from joco_mlx.dataset.foreign import read_foreign
from joco_mlx.dataset.formats import FORMS, MLX_NAMES, ExportForm, Merged, export, import_records, read_any
from joco_mlx.dataset.provenance import UNKNOWN_AUTHOR, is_derived
from joco_mlx.errors import ConflictError, InputError, MachineError

DIFF = PATCH.format(number=1)
STAT = " src/store.py | 1 +\n 1 file changed, 1 insertion(+)\n\n"
LONG = "Generate a conventional commit message for the following git diff.\n\nRules:\n- No period at end"
MESSAGE = "fix(store): keep value number 1 alive"
LINES: dict[str, dict[str, Any]] = {
    "instruction": {
        "instruction": LONG,
        "input": STAT + DIFF,
        "output": MESSAGE,
        "metadata": {"id": "go-1", "repository": "go", "commit_hash": "b" * 40},
    },
    "chat": {
        "messages": [{"role": "user", "content": f"{LONG}\n\n{STAT}{DIFF}"}, {"role": "assistant", "content": MESSAGE}]
    },
    "chat with a system turn": {
        "messages": [
            {"role": "system", "content": "You generate messages."},
            {"role": "user", "content": DIFF},
            {"role": "assistant", "content": MESSAGE},
        ]
    },
    "text": {"text": f"### Instruction:\n{LONG}\n\n### Input:\n{STAT}{DIFF}\n\n### Response:\n{MESSAGE}"},
    "text in chatml": {
        "text": f"<|im_start|>user\n{DIFF}<|im_end|>\n<|im_start|>assistant\n{MESSAGE}<|im_end|>\n",
    },
    "prompt and completion": {"prompt": f"{LONG}\n\n{DIFF}", "completion": MESSAGE},
    "case": {
        "id": "angular-1",
        "diff": STAT + DIFF,
        "expectedMessage": MESSAGE,
        "repository": "angular",
        "commitHash": "a" * 40,
        "metadata": {"author": "Ada <ada@example.com>"},
    },
}


def lines(path: Path, *values: object) -> Path:
    path.write_text("".join(json.dumps(value) + "\n" for value in values), "utf-8")
    return path


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "dataset"
    folder.mkdir()
    odd = dataclasses.replace(record(3), input=DIFF + "+### Response:\n+naïve <|im_end|>\n")
    write(folder / "train.jsonl", record(1), record(2, "docs: explain the store"), odd)
    write(folder / "validation.jsonl", record(4, authored_at=None, extra={"tool": [1, "x"]}))
    write(folder / "test.jsonl")
    return folder


@pytest.mark.parametrize("form", FORMS)
def test_what_goes_out_comes_back_the_same(form: ExportForm, dataset: Path, tmp_path: Path) -> None:
    made = export(dataset, tmp_path / "out", form)
    assert set((tmp_path / "out").iterdir()) == {*made.files.values(), made.card}
    assert made.records == {"train": 3, "validation": 1}
    for split, file in made.files.items():
        assert read_any(file) == (tuple(read_records(dataset / f"{split}.jsonl")), 0)


def test_mlx_lm_finds_its_files_and_fields(dataset: Path, tmp_path: Path) -> None:
    export(dataset, tmp_path / "out", "mlx")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"README.md", "train.jsonl", "valid.jsonl"}
    first = json.loads((tmp_path / "out" / "train.jsonl").read_text("utf-8").splitlines()[0])
    assert (first["prompt"], first["completion"]) == (f"{INSTRUCTION}\n\n{DIFF}", MESSAGE)
    from mlx_lm.tuner import datasets

    source = Path(datasets.__file__).read_text("utf-8")
    assert all(f'"{name}"' in source for name in MLX_NAMES.values())


def test_chats_say_who_speaks(dataset: Path, tmp_path: Path) -> None:
    made = export(dataset, tmp_path / "out", "chat")
    first = json.loads(made.files["train"].read_text("utf-8").splitlines()[0])
    assert [turn["role"] for turn in first["messages"]] == ["system", "user", "assistant"]
    assert first["messages"][2]["content"] == MESSAGE


def test_an_export_replaces_nothing_unasked(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(ConflictError):
        export(dataset, dataset, "chat")
    with pytest.raises(InputError, match=r"no train\.jsonl"):
        export(tmp_path, tmp_path / "out", "chat")
    assert not (tmp_path / "out").exists()


def test_without_pyarrow_one_sentence_says_how_to_get_it(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MachineError, match="pyarrow") as caught:
        export(dataset, tmp_path / "out", "parquet")
    assert "joco-mlx[parquet]" in caught.value.hint
    assert not (tmp_path / "out").exists()


def test_a_file_that_only_claims_to_be_parquet(tmp_path: Path) -> None:
    (tmp_path / "train.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(InputError, match=r"train\.parquet"):
        read_any(tmp_path / "train.parquet")


@pytest.mark.parametrize(
    "changed",
    [{"extra": [None]}, {"extra": ["[1]"]}, {"input": [7]}, {"quality_score": ["x"]}, {"scope": None}],
    ids=str,
)
def test_columns_of_another_kind_are_told(
    changed: dict[str, Any], dataset: Path, tmp_path: Path, parquet: ModuleType
) -> None:
    import pyarrow as pa

    export(dataset, tmp_path / "out", "parquet")
    columns = parquet.read_table(tmp_path / "out" / "validation.parquet").to_pydict() | changed
    kept = {name: values for name, values in columns.items() if values is not None}
    parquet.write_table(pa.table(kept), tmp_path / "other.parquet")
    with pytest.raises(InputError, match=r"other\.parquet"):
        read_any(tmp_path / "other.parquet")


@pytest.mark.parametrize("form", LINES)
def test_every_known_form_is_read(form: str, tmp_path: Path) -> None:
    (read,) = read_foreign(lines(tmp_path / "in.jsonl", LINES[form])).records
    assert read.input.rstrip("\n") == DIFF.rstrip("\n")
    assert read.output == MESSAGE
    assert read.instruction in {LONG, INSTRUCTION}
    assert (read.metadata.type, read.metadata.scope) == ("fix", "store")
    assert from_json(to_json(read), "here") == read


def test_what_is_known_is_kept_and_the_rest_is_said_to_be_made_up(tmp_path: Path) -> None:
    path = lines(tmp_path / "in.jsonl", LINES["case"], LINES["instruction"], LINES["prompt and completion"])
    case, instruction, bare = read_foreign(path).records
    assert (case.metadata.id, case.metadata.commit_hash) == ("angular-1", "a" * 40)
    assert case.metadata.author == hash_author("Ada", "ada@example.com")
    assert case.metadata.extra == {"imported_from": "case", "derived": ["quality_score"]}
    assert is_derived(instruction, "author")
    assert not is_derived(instruction, "commit_hash")
    assert bare.metadata.author == UNKNOWN_AUTHOR
    assert all(is_derived(bare, name) for name in ("id", "repository", "commit_hash", "author", "quality_score"))


def test_a_made_up_hash_is_that_of_the_content(tmp_path: Path) -> None:
    first, second = (LINES["prompt and completion"], LINES["chat with a system turn"])
    one, same = (read_foreign(lines(tmp_path / "in.jsonl", first)).records[0] for _ in range(2))
    other = read_foreign(lines(tmp_path / "in.jsonl", second)).records[0]
    changed = read_foreign(lines(tmp_path / "in.jsonl", {**first, "completion": "fix: x"})).records[0]
    assert one.metadata.commit_hash == same.metadata.commit_hash == other.metadata.commit_hash
    assert changed.metadata.commit_hash != one.metadata.commit_hash


def test_values_that_the_schema_refuses_are_made_up_too(tmp_path: Path) -> None:
    about = {"id": 7, "commit_hash": "HEAD", "quality_score": 900, "authored_at": "yesterday", "author": "", "stars": 3}
    (read,) = read_foreign(lines(tmp_path / "in.jsonl", {**LINES["instruction"], "metadata": about})).records
    assert from_json(to_json(read), "here") == read
    assert read.metadata.extra["stars"] == 3
    assert is_derived(read, "commit_hash")


def test_bots_are_noted(tmp_path: Path) -> None:
    bot = {**LINES["case"], "metadata": {"author": "renovate[bot] <x@example.com>"}}
    first, second = read_foreign(lines(tmp_path / "in.jsonl", bot, LINES["case"])).records
    assert first.metadata.extra["bot"] is True
    assert "bot" not in second.metadata.extra


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a": 1}\n', "line 1 has the fields a, which is no known form"),
        ("{}\n", "line 1 has the fields .none., which is no known form"),
        ("[]\n", "line 1 is no JSON object"),
        ('\n{"text": \n', "line 2 is not JSON"),
        ('{"text": "x", "metadata": {"score": NaN}}\n', "line 1 is not JSON: NaN is no JSON number"),
        ('{"text": "x", "metadata": {"score": 1e999}}\n', "line 1 is not JSON: 1e999 is no JSON number"),
        ("[" * 100_000, "line 1 is not JSON"),
        ('{"text": "no prompt at all"}\n', "line 1 has text, but not as expected"),
        ('{"messages": "hello"}\n', "line 1 has messages, but not as expected"),
        ('{"messages": [{"role": "user", "content": "x"}]}\n', "line 1 has messages, but not as expected"),
        ('{"prompt": 1, "completion": "x"}\n', "line 1 has prompt, completion, but not as expected"),
        ('{"diff": null, "expectedMessage": "x"}\n', "line 1 has diff, expectedMessage, but not as expected"),
        ('{"prompt": "diff", "completion": 3}\n', "line 1 has prompt, completion, but not as expected"),
    ],
)
def test_a_line_of_no_known_form_is_named(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(text, "utf-8")
    with pytest.raises(InputError, match=told):
        read_foreign(path)


def test_a_line_in_latin_1_is_told_as_such(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'{"text": "caf\xe9"}\n')
    with pytest.raises(InputError, match=r"line 1 is not UTF-8: invalid continuation byte at byte 14\."):
        read_foreign(path)


def test_an_import_is_one_file_of_records(tmp_path: Path) -> None:
    empty = {**LINES["case"], "diff": ""}
    first = lines(tmp_path / "cases.jsonl", LINES["case"], empty)
    second = lines(tmp_path / "chat.jsonl", LINES["chat"])
    notes = Notes()
    assert import_records([first, second], tmp_path / "out.jsonl", progress=notes) == Merged(2, 1)
    assert next(read_records(tmp_path / "out.jsonl")).metadata.id == "angular-1"
    assert "1 without diff or message" in notes.lines[0]
    with pytest.raises(ConflictError):
        import_records([first], tmp_path / "out.jsonl")
    with pytest.raises(InputError, match="No record"):
        import_records([lines(tmp_path / "empty.jsonl", empty)], tmp_path / "none.jsonl")
    with pytest.raises(InputError, match="cannot be read"):
        import_records([tmp_path / "missing.jsonl"], tmp_path / "none.jsonl")
    assert not (tmp_path / "none.jsonl").exists()
