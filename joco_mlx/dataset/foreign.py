"""Reading records that somebody else wrote: five forms of JSONL, told apart line by line.

Decides where in a line diff, message and instruction are; leaves what is not there to `provenance`. A diff begins at its
first `diff --git` line; the diffstat that the original project keeps in front of it, and an instruction before that,
are not part of it.

The forms are those of the original project (github.com/tmclnk/joco, `dataset/` and `benchmark/`), and mlx-lm's.
"""

import codecs
import dataclasses
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeAlias

from joco_mlx.commit.record import INSTRUCTION, Record
from joco_mlx.dataset.provenance import made_record
from joco_mlx.errors import InputError

Form: TypeAlias = Literal["instruction", "chat", "text", "prompt-completion", "case"]

_DIFFSTAT = re.compile(r"^ \S.*? \|\s+(?:\d+|Bin)\b", re.MULTILINE)
_DIFF_START = re.compile(r"^(?:diff --(?:git|cc|combined) |--- \S.*\n\+\+\+ )", re.MULTILINE)
_ALPACA = re.compile(r"\A(?P<before>[\s\S]*?)### Input:\n(?P<input>[\s\S]*?)\n+### Response:\n(?P<output>[\s\S]*)\Z")
_CHATML = re.compile(
    r"<\|im_start\|>user\n(?P<input>[\s\S]*?)<\|im_end\|>\s*<\|im_start\|>assistant\n(?P<output>[\s\S]*?)(?:<\|im_end\|>\s*)?\Z"
)
_REPAIR = "Known forms: instruction/input/output, messages, text, prompt/completion, diff/expectedMessage."


@dataclass(frozen=True)
class Imported:
    """What a file held."""

    records: tuple[Record, ...]
    skipped: int
    """Lines of a known form without a diff or without a message."""


@dataclass(frozen=True)
class _Line:
    form: Form
    instruction: str
    diff: str
    message: str
    about: Mapping[str, Any]


def read_foreign(path: Path) -> Imported:
    """Read a JSONL file in any known form, ours included.

    Raises:
        InputError: The file cannot be read, or a line is not JSON or of no known form. The line is named.
    """
    records: list[Record] = []
    skipped = 0
    for where, value in _values(path):
        line = _recognised(value, where)
        if line.diff.strip() and line.message:
            records.append(made_record(line.form, line.instruction or INSTRUCTION, line.diff, line.message, line.about))
        else:
            skipped += 1
    return Imported(tuple(records), skipped)


def _values(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                if raw.strip():
                    yield f"{path}, line {number}", _decoded(raw, f"{path}, line {number}")
    except OSError as problem:
        raise InputError(f"{path} cannot be read: {problem.strerror}.", "Name a file of JSON lines.") from problem


def _decoded(raw: bytes, where: str) -> dict[str, Any]:
    try:
        value = json.loads(raw.removeprefix(codecs.BOM_UTF8).decode(), parse_constant=_refuse, parse_float=_finite)
    except UnicodeDecodeError as problem:
        what = f"{problem.reason} at byte {problem.start + 1}"
        raise InputError(f"{where} is not UTF-8: {what}.", "Save the file as UTF-8, or remove that line.") from None
    except (ValueError, RecursionError) as problem:
        raise InputError(f"{where} is not JSON: {problem}.", "Correct that line or remove it.") from None
    if not isinstance(value, dict):
        raise InputError(f"{where} is no JSON object.", _REPAIR)
    return value


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON number")


def _finite(digits: str) -> float:
    """Return a number; one that no line could hold afterwards is refused."""
    number = float(digits)
    return number if math.isfinite(number) else _refuse(digits)


def _recognised(value: dict[str, Any], where: str) -> _Line:
    for keys, read in _READERS:
        if all(key in value for key in keys):
            try:
                line = read(value)
                return dataclasses.replace(line, message=line.message.strip(), instruction=line.instruction.strip())
            except (KeyError, TypeError, ValueError, AttributeError):
                raise InputError(f"{where} has {', '.join(keys)}, but not as expected.", _REPAIR) from None
    raise InputError(f"{where} has the fields {', '.join(sorted(value)) or '(none)'}, which is no known form.", _REPAIR)


def _instruction(value: dict[str, Any]) -> _Line:
    return _Line("instruction", value["instruction"].strip(), _diff(value["input"]), value["output"], _about(value))


def _chat(value: dict[str, Any]) -> _Line:
    said = {message["role"]: message["content"] for message in value["messages"]}
    instruction, diff = _divided(said["user"])
    return _Line("chat", instruction, diff, said["assistant"], _about(value))


def _text(value: dict[str, Any]) -> _Line:
    found = _ALPACA.match(value["text"]) or _CHATML.search(value["text"])
    if found is None:
        raise ValueError("no prompt of a known template")
    before = found.groupdict().get("before") or ""
    instruction = before.rpartition("### Instruction:\n")[2].strip()
    output = found["output"].removesuffix("<|endoftext|>").removesuffix("</s>")
    inner, diff = _divided(found["input"])
    return _Line("text", instruction if before else inner, diff, output, _about(value))


def _prompt_completion(value: dict[str, Any]) -> _Line:
    instruction, diff = _divided(value["prompt"])
    return _Line("prompt-completion", instruction, diff, value["completion"], _about(value))


def _case(value: dict[str, Any]) -> _Line:
    about = _about(value) | {key: value[key] for key in ("id", "repository") if key in value}
    if "commitHash" in value:
        about["commit_hash"] = value["commitHash"]
    return _Line("case", INSTRUCTION, _diff(value["diff"]), value["expectedMessage"], about)


_READERS: tuple[tuple[tuple[str, ...], Callable[[dict[str, Any]], _Line]], ...] = (
    (("instruction", "input", "output"), _instruction),
    (("diff", "expectedMessage"), _case),
    (("messages",), _chat),
    (("prompt", "completion"), _prompt_completion),
    (("text",), _text),
)


def _about(value: dict[str, Any]) -> dict[str, Any]:
    about = value.get("metadata")
    return {str(key): item for key, item in about.items()} if isinstance(about, dict) else {}


def _divided(user_text: str) -> tuple[str, str]:
    """Return the instruction in front of a diff, and the diff; all of it is the diff when it has no beginning."""
    start, stat = _DIFF_START.search(user_text), _DIFFSTAT.search(user_text)
    first = start or stat
    if first is None:
        return INSTRUCTION, user_text
    before = stat.start() if stat and stat.start() < first.start() else first.start()
    return user_text[:before].strip() or INSTRUCTION, user_text[first.start() :]


def _diff(text: str) -> str:
    found = _DIFF_START.search(text)
    return text if found is None else text[found.start() :]
