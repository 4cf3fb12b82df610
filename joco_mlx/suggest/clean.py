"""What a model answered becomes one commit message.

Decides what belongs to the message and what is talk around it: fences, quotes, a sentence before, a second message
after. Takes out what could steer a terminal. Adds nothing: an answer in another form stays in it.
"""

import re

from joco_mlx.commit.grammar import TYPES
from joco_mlx.commit.message import parse

_ESCAPE_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)?")
# Controls but tab and line feed; marks, embeddings and isolates that reorder text on a screen; surrogates.
_CONTROL = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\ud800-\udfff]"
)
_LINE_END = re.compile("\r\n?|[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_FENCE = re.compile(r"\s*(?:```|~~~)")
_QUOTES = ("`", '"', "'", "**")


def first_message(answer: str) -> str:
    """Return the first commit message in `answer`, its lines without white space at their ends; may be empty.

    It begins at the first line with a conventional header, else at the first line that says something, and ends at a
    closing fence or before the next header.
    """
    lines = [_CONTROL.sub("", line).expandtabs(4).rstrip() for line in _LINE_END.sub("\n", _plain(answer)).split("\n")]
    start = next((at for at, line in enumerate(lines) if _is_header(_unquoted(line))), None)
    if start is None:
        start = next((at for at, line in enumerate(lines) if line and not _FENCE.match(line)), len(lines))
    return _joined(_until_end(lines[start:]))


def _plain(answer: str) -> str:
    return _ESCAPE_SEQUENCE.sub("", answer)


def _until_end(lines: list[str]) -> list[str]:
    """Cut at a fence or at the next message."""
    kept = [_unquoted(line) for line in lines[:1]]
    for line in lines[1:]:
        if _FENCE.match(line) or _is_header(_unquoted(line)):
            break
        kept.append(line)
    return kept


def _joined(lines: list[str]) -> str:
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _is_header(line: str) -> bool:
    message = parse(line)
    return message is not None and message.type.lower() in TYPES


def _unquoted(line: str) -> str:
    """Take matching quotes off a line that is quoted as a whole."""
    line = line.strip()
    for quote in _QUOTES:
        inner = line.removeprefix(quote).removesuffix(quote)
        if len(line) - len(inner) == 2 * len(quote) and quote not in inner:
            return inner.strip()
    return line
