"""Records: our reader and the published schema accept the same, and no text can break a file."""

import copy
import io
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from joco_mlx.commit.record import (
    INSTRUCTION,
    SCHEMA,
    Metadata,
    Record,
    decode_line,
    encode_line,
    from_json,
    hash_author,
    read_records,
    to_json,
    write_records,
)
from joco_mlx.errors import InputError

VALIDATOR = Draft202012Validator(json.loads(SCHEMA.read_text("utf-8")))
METADATA = Metadata(
    id="angular-e38c1bf7",
    repository="angular",
    commit_hash="e38c1bf743be5f9dfa3cc4dc8e7dc87437cc821a",
    author=hash_author("Ada", "ada@example.com"),
    type="refactor",
    scope="http",
    quality_score=90,
)
RECORD = Record(INSTRUCTION, "diff --git a/x b/x\n+one\n", "refactor(http): remove redundant providedIn", METADATA)

any_text = st.text(st.characters(exclude_categories=()))
"""Any text that Python can hold, lone surrogates included."""
some_text = st.text(st.characters(exclude_categories=()), min_size=1)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=4,
)
hexadecimal = st.text("0123456789abcdef", min_size=16, max_size=16)
metadata = st.builds(
    Metadata,
    id=some_text,
    repository=some_text,
    commit_hash=hexadecimal,
    author=hexadecimal,
    type=any_text,
    scope=st.none() | any_text,
    quality_score=st.integers(0, 100),
    authored_at=st.none() | st.just("2024-01-31T12:00:00+00:00"),
    extra=st.dictionaries(st.sampled_from(["reviewer", "tags"]), st.lists(st.integers(), max_size=2)),
)
records = st.builds(Record, st.just(INSTRUCTION), some_text, some_text, metadata)
METADATA_FIELDS = [
    "id",
    "repository",
    "commit_hash",
    "author",
    "type",
    "scope",
    "quality_score",
    "authored_at",
    "reviewer",
]
PATHS = [(name,) for name in ("instruction", "input", "output", "metadata", "language")] + [
    ("metadata", name) for name in METADATA_FIELDS
]


def broken(path: tuple[str, ...], value: Any = ...) -> dict[str, Any]:
    """A good record in which the field at `path` holds `value`, or is missing."""
    changed = copy.deepcopy(to_json(RECORD))
    *parents, last = path
    inner = changed
    for name in parents:
        inner = inner[name]
    if value is ...:
        inner.pop(last, None)
    else:
        inner[last] = value
    return changed


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(VALIDATOR.schema)


@given(records)
def test_what_we_write_fits_the_schema_and_reads_back(record: Record) -> None:
    line = encode_line(record)
    assert line.count(b"\n") == 1
    value = json.loads(line)
    assert best_match(VALIDATOR.iter_errors(value)) is None
    assert to_json(decode_line(line, "a line")) == value


@given(st.sampled_from(PATHS), json_values | hexadecimal | st.integers(-1, 101))
@example(("metadata", "quality_score"), 90.0)
@example(("metadata", "quality_score"), 90.5)
@example(("metadata", "quality_score"), True)
@example(("metadata", "commit_hash"), "1234567\n")
@example(("metadata", "commit_hash"), "123456")
@example(("metadata", "author"), "Ada <ada@example.com>")
@example(("metadata", "authored_at"), "yesterday")
@example(("metadata", "authored_at"), None)
@example(("metadata", "reviewer"), "kept")
@example(("metadata", "scope"), None)
@example(("input",), "")
@example(("language",), "en")
def test_schema_and_reader_agree_on_a_changed_field(path: tuple[str, ...], value: Any) -> None:
    agree(broken(path, value))


@pytest.mark.parametrize("path", PATHS, ids=".".join)
def test_schema_and_reader_agree_on_a_missing_field(path: tuple[str, ...]) -> None:
    agree(broken(path))


@given(json_values)
def test_schema_and_reader_agree_on_any_value(value: Any) -> None:
    agree(value)


def agree(value: Any) -> None:
    try:
        from_json(value, "a line")
    except InputError:
        read = False
    else:
        read = True
    assert read == VALIDATOR.is_valid(value)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        pytest.param(b'{"instruction": ', "data.jsonl, line 3 is not JSON", id="cut off"),
        pytest.param(b"\xff\xfe", "data.jsonl, line 3 is not UTF-8", id="not UTF-8"),
        pytest.param(b"[" * 100_000, "data.jsonl, line 3 is not JSON", id="too deep"),
        pytest.param(b'{"input": NaN}', "NaN is no JSON number", id="NaN"),
        pytest.param(b'{"input": 1e999}', "1e999 is too large", id="infinite"),
        pytest.param(b"[]", "the record is [], not an object", id="a list"),
        pytest.param(broken(("metadata", "scope")), "line 3: the field metadata.scope is missing", id="field missing"),
        pytest.param(broken(("output",)), "line 3: the field output is missing", id="output missing"),
        pytest.param(broken(("metadata",), 7), "line 3: metadata is 7, not an object", id="metadata a number"),
        pytest.param(broken(("language",), "en"), "'language' is no field of a record", id="unknown field"),
        pytest.param(broken(("metadata", "quality_score"), 101), "quality_score is 101, not a", id="score too high"),
        pytest.param(broken(("metadata", "author"), "Ada"), "metadata.author is 'Ada', not 16", id="author in clear"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: bytes | Mapping[str, Any], said: str) -> None:
    file = tmp_path / "data.jsonl"
    raw = line if isinstance(line, bytes) else json.dumps(line).encode()
    file.write_bytes(encode_line(RECORD) + b"\n" + raw + b"\n")
    reading = read_records(file)
    assert next(reading) == RECORD
    with pytest.raises(InputError) as caught:
        next(reading)
    assert "joco-mlx dataset extract" in caught.value.hint
    assert said in caught.value.message
    assert str(file) in caught.value.message


def test_a_long_value_is_shown_in_part() -> None:
    with pytest.raises(InputError) as caught:
        from_json(broken(("metadata", "commit_hash"), "z" * 10_000), "x, line 1")
    assert len(caught.value.message) < 200


@pytest.mark.parametrize("name", ["absent.jsonl", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot be read") as caught:
        list(read_records(tmp_path / name))
    assert "joco-mlx dataset extract" in caught.value.hint


def test_reads_files_of_other_tools(tmp_path: Path) -> None:
    """A byte order mark, CRLF, ASCII escapes, no final line feed."""
    file = tmp_path / "data.jsonl"
    emoji = replace(RECORD, output="fix: stop 🚀")
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps(to_json(emoji)).encode() + b"\r\n\r\n" + encode_line(RECORD).rstrip())
    assert list(read_records(file)) == [emoji, RECORD]


def test_line_separators_inside_a_text_do_not_split_a_line(tmp_path: Path) -> None:
    file = tmp_path / "data.jsonl"
    odd = replace(RECORD, input="a\u2028b\u2029c\x85d\x0be\rf\x00g\x1ch\n")
    with file.open("wb") as opened:
        assert write_records(opened, [odd, odd]) == 2
    assert list(read_records(file)) == [odd, odd]


def test_bytes_that_were_no_text_become_the_replacement_character() -> None:
    latin = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert decode_line(encode_line(replace(RECORD, input=latin)), "x").input == "caf\ufffd"
    assert decode_line(encode_line(replace(RECORD, input="\ud83d\ude80")), "x").input == "🚀"
    escaped = json.dumps(to_json(replace(RECORD, input="half \ud83d"))).encode()
    assert decode_line(escaped, "x").input == "half \ufffd"


def test_extra_metadata_is_kept_and_never_replaces_a_field() -> None:
    value = broken(("metadata", "reviewer"), {"name": "Grace"})
    assert to_json(from_json(value, "x")) == value
    stubborn = replace(RECORD, metadata=replace(METADATA, extra={"type": "feat"}))
    assert to_json(stubborn)["metadata"]["type"] == "refactor"


def test_nothing_is_written_for_no_records() -> None:
    file = io.BytesIO()
    assert write_records(file, []) == 0
    assert file.getvalue() == b""


def test_an_author_is_a_stable_pseudonym() -> None:
    assert hash_author("Ada", "ada@example.com") == METADATA.author == "a704efec97bec851"
    assert hash_author(" ADA ", "Ada@Example.com") == METADATA.author
    assert hash_author("Ada", "ada@example.org") != METADATA.author
    assert hash_author("Ada\udcff", "") != hash_author("Ada", "")
