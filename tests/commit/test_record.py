"""Records: our reader and the published schema accept the same, and no text can break a file."""

import copy
import json
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
    to_json,
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
