"""A dataset in the forms that other tools read, and back.

Decides the files and fields of each form. Every form carries the metadata along (mlx-lm and chat trainers pass over
keys that they do not know), so that `read_foreign` gives back the very records that were exported.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from joco_mlx import artifacts
from joco_mlx.commit.prompt import SYSTEM
from joco_mlx.commit.record import Record, encode_line, from_json, read_records, to_json
from joco_mlx.dataset.curate import CARD
from joco_mlx.dataset.foreign import read_foreign
from joco_mlx.dataset.hub_card import hub_card
from joco_mlx.dataset.split import NAMES
from joco_mlx.errors import InputError, MachineError, UsageError
from joco_mlx.progress import Progress, Silent, task

ExportForm: TypeAlias = Literal["instruction", "chat", "mlx", "parquet"]
FORMS: tuple[ExportForm, ...] = get_args(ExportForm)
MLX_NAMES = {"train": "train", "validation": "valid", "test": "test"}
"""What mlx-lm calls the splits (mlx_lm/tuner/datasets.py)."""

_ROWS_AT_ONCE = 1_000
_TEXTS = ("id", "repository", "commit_hash", "author", "type", "scope", "authored_at")


def form_named(word: str) -> ExportForm:
    """Return the form of that name.

    Raises:
        UsageError: There is none.
    """
    for form in FORMS:
        if form == word:
            return form
    raise UsageError(f"--format is {word!r}, which is not known.", f"Use one of: {', '.join(FORMS)}.")


@dataclass(frozen=True)
class Exported:
    """What an export wrote."""

    files: Mapping[str, Path]
    """Split -> its file."""
    records: Mapping[str, int]
    """Split -> number of records."""
    card: Path
    """README.md, as the Hub reads it."""


def export(
    folder: Path, out: Path, form: ExportForm, *, progress: Progress | None = None, force: bool = False
) -> Exported:
    """Write the splits of the dataset at `folder` and a card for the Hub into the new folder `out`.

    Args:
        folder: A dataset of ours; a missing or empty validation or test split is left out.
        out: Appears when it is whole.
        form: `instruction` (the guide's JSONL), `chat` (`messages`), `mlx` (`train.jsonl` and `valid.jsonl` with
            `prompt` and `completion`) or `parquet`.
        progress: Who watches.
        force: Whether `out` may be replaced.

    Raises:
        ConflictError: `out` exists.
        InputError: There is no dataset, or a line of it is no record.
        MachineError: Parquet is asked for and pyarrow is not installed.
    """
    if not (folder / "train.jsonl").is_file():
        raise InputError(f"{folder} is no dataset: it has no train.jsonl.", "Name the folder that curate made.")
    write = _write_parquet if form == "parquet" else _write_lines
    if form == "parquet":
        _arrow()
    files: dict[str, Path] = {}
    records: dict[str, int] = {}
    with artifacts.whole_folder(out, force=force) as made, task(progress or Silent(), "exporting", len(NAMES)) as shown:
        for name in NAMES:
            source = folder / f"{name}.jsonl"
            if source.is_file() and source.stat().st_size:
                file = _file_name(name, form)
                records[name] = write(made / file, read_records(source), form)
                files[name] = out / file
            shown.advance()
        card = hub_card(folder, form, {name: file.name for name, file in files.items()})
        artifacts.write_text(made / CARD, card)
    return Exported(files, records, out / CARD)


@dataclass(frozen=True)
class Merged:
    """What an import read."""

    records: int
    skipped: int
    """Lines without a diff or without a message."""


def import_records(
    files: Sequence[Path], out: Path, *, progress: Progress | None = None, force: bool = False
) -> Merged:
    """Write the records of files in any known form as one JSONL of ours.

    Raises:
        ConflictError: `out` exists.
        InputError: A file cannot be read, a line is of no known form, or there is no record at all.
        MachineError: A file is Parquet and pyarrow is not installed.
    """
    watched = progress or Silent()
    artifacts.refuse_existing(out, force=force)
    count = skipped = 0
    with artifacts.whole_file(out) as target, task(watched, "importing", len(files), "files") as shown:
        for file in files:
            records, empty = read_any(file)
            target.writelines(map(encode_line, records))
            count += len(records)
            skipped += empty
            watched.note(
                f"{file}: {len(records):,} records" + (f", {empty:,} without diff or message." if empty else ".")
            )
            shown.advance()
        if not count:
            raise InputError(
                "No record was found in the files.", "See what forms there are: joco-mlx dataset import --help"
            )
    return Merged(count, skipped)


def read_any(path: Path) -> tuple[tuple[Record, ...], int]:
    """Return the records of a JSONL or Parquet file in any known form, and how many lines had no diff or message.

    Raises:
        InputError: The file cannot be read, or a line is of no known form.
        MachineError: It is Parquet and pyarrow is not installed.
    """
    if path.suffix == ".parquet":
        return tuple(_read_parquet(path)), 0
    read = read_foreign(path)
    return read.records, read.skipped


def _file_name(split: str, form: ExportForm) -> str:
    if form == "parquet":
        return f"{split}.parquet"
    return f"{MLX_NAMES[split] if form == 'mlx' else split}.jsonl"


def _as_chat(record: Record) -> dict[str, Any]:
    turns = (("system", SYSTEM), ("user", _question(record)), ("assistant", record.output))
    messages = [{"role": role, "content": content} for role, content in turns]
    return {"messages": messages, "metadata": to_json(record)["metadata"]}


def _as_completion(record: Record) -> dict[str, Any]:
    return {"prompt": _question(record), "completion": record.output, "metadata": to_json(record)["metadata"]}


def _question(record: Record) -> str:
    return f"{record.instruction}\n\n{record.input}"


_LINES: dict[str, Callable[[Record], Mapping[str, Any]]] = {
    "instruction": to_json,
    "chat": _as_chat,
    "mlx": _as_completion,
}


def _write_lines(path: Path, records: Iterable[Record], form: ExportForm) -> int:
    shape, count = _LINES[form], 0
    with path.open("wb") as file:
        for record in records:
            line = json.dumps(shape(record), ensure_ascii=False, allow_nan=False)
            file.write(line.encode("utf-8", "replace") + b"\n")
            count += 1
    return count


def _write_parquet(path: Path, records: Iterable[Record], _form: ExportForm) -> int:
    """Write one row a record and return their number; the metadata stands in columns of its own, further keys as JSON in `extra`."""
    arrow, parquet = _arrow()
    text = arrow.string()
    columns = [(name, text) for name in ("instruction", "input", "output", *_TEXTS)]
    schema = arrow.schema([*columns, ("quality_score", arrow.int64()), ("extra", text)])
    rows, count = map(_row, records), 0
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        while chunk := list(islice(rows, _ROWS_AT_ONCE)):
            writer.write_table(arrow.Table.from_pylist(chunk, schema=schema))
            count += len(chunk)
    return count


def _row(record: Record) -> dict[str, Any]:
    value = to_json(record)
    about = value.pop("metadata")
    known = {name: about.get(name) for name in (*_TEXTS, "quality_score")}
    return {**value, **known, "extra": json.dumps(dict(record.metadata.extra), ensure_ascii=False)}


def _read_parquet(path: Path) -> Iterator[Record]:
    arrow, parquet = _arrow()
    try:
        with parquet.ParquetFile(path) as file:
            rows = (row for batch in file.iter_batches(_ROWS_AT_ONCE) for row in batch.to_pylist())
            for number, row in enumerate(rows, 1):
                yield _from_row(row, f"{path}, row {number}")
    except (OSError, arrow.ArrowException, KeyError, TypeError, ValueError) as problem:
        raise InputError(
            f"{path} cannot be read as records: {problem}.", "Export it again: joco-mlx dataset export"
        ) from None


def _from_row(row: dict[str, Any], where: str) -> Record:
    about = {name: row[name] for name in (*_TEXTS, "quality_score")}
    if about["authored_at"] is None:
        del about["authored_at"]
    top = {name: row[name] for name in ("instruction", "input", "output")}
    return from_json({**top, "metadata": {**json.loads(row["extra"]), **about}}, where)


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa  # noqa: PLC0415  (165 MB that only Parquet needs)
        from pyarrow import parquet  # noqa: PLC0415  (the same)
    except ImportError:
        raise MachineError(
            "Parquet needs pyarrow, which is not installed.", "Install it: pip install 'joco-mlx[parquet]'"
        ) from None
    return pa, parquet
