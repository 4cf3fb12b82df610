"""Where an imported record comes from: what its line says, and what has to be made up for the schema.

Decides that nothing is made up silently: `metadata.derived` names every field that the line did not hold. A hash that
is not known is the first digits of a SHA-256 over diff and message, so the same text has the same one everywhere.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any

from joco_mlx.commit.message import parse
from joco_mlx.commit.record import AUTHOR_DIGITS, MAXIMUM_SCORE, Metadata, Record, hash_author
from joco_mlx.config import CurateConfig
from joco_mlx.dataset.candidate import Candidate
from joco_mlx.dataset.gates import is_by_bot

UNKNOWN_AUTHOR = "0" * AUTHOR_DIGITS
UNKNOWN_REPOSITORY = "unknown"
DERIVED = "derived"
"""Key of the metadata that lists the fields which were made up."""
IMPORTED_FROM = "imported_from"
"""Key of the metadata that names the form."""
BOT = "bot"
"""Key of the metadata that is there, and true, when the author was a program."""

_HASH = re.compile(r"[0-9a-f]{7,64}")
_HASH_DIGITS = 40
_ID_DIGITS = 12
_PSEUDONYM = re.compile(rf"[0-9a-f]{{{AUTHOR_DIGITS}}}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d)")
_PERSON = re.compile(r"(?P<name>.*?)\s*<(?P<email>[^<>]*)>")


def made_record(form: str, instruction: str, diff: str, message: str, about: Mapping[str, Any]) -> Record:
    """Return the record of an imported line.

    Args:
        form: Name of the form that it had.
        instruction: The task in words.
        diff: Not empty.
        message: Not empty.
        about: The line's metadata; what is missing or no valid value is made up.
    """
    known, derived = _known(about, diff, message)
    names = {*known, "authored_at", "type", "scope", BOT, DERIVED, IMPORTED_FROM}
    extra: dict[str, Any] = {name: value for name, value in about.items() if name not in names}
    named = _is_text(about.get("author")) and not _matches(_PSEUDONYM, about["author"])
    if derived or named:
        extra |= {IMPORTED_FROM: form, DERIVED: derived}
    extra |= {key: about[key] for key in (DERIVED, IMPORTED_FROM, BOT) if key in about}
    if named and is_by_bot(Candidate("", "", about["author"]), CurateConfig()):
        extra[BOT] = True
    parsed = parse(message)
    type_, scope = ("", None) if parsed is None else (parsed.type, parsed.scope)
    return Record(instruction, diff, message, Metadata(**known, type=type_, scope=scope, extra=extra))


def is_derived(record: Record, name: str) -> bool:
    """Whether a field of the metadata was made up."""
    derived = record.metadata.extra.get(DERIVED)
    return isinstance(derived, list) and name in derived


def _known(about: Mapping[str, Any], diff: str, message: str) -> tuple[dict[str, Any], list[str]]:
    """Return the metadata, and which of it the line did not hold."""
    derived: list[str] = []

    def take(name: str, holds: Callable[[Any], bool], otherwise: Callable[[], Any]) -> Any:
        if holds(about.get(name)):
            return about[name]
        derived.append(name)
        return otherwise()

    digest = hashlib.sha256(f"{diff}\0{message}".encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_DIGITS]
    repository = take("repository", _is_text, lambda: UNKNOWN_REPOSITORY)
    commit_hash = take("commit_hash", lambda value: _matches(_HASH, value), lambda: digest)
    known: dict[str, Any] = {
        "repository": repository,
        "commit_hash": commit_hash,
        "id": take("id", _is_text, lambda: f"{repository}-{commit_hash[:_ID_DIGITS]}"),
        "author": _author(about.get("author"), derived),
        "quality_score": take("quality_score", _is_score, lambda: Candidate(message.partition("\n")[0], diff).score),
    }
    if _matches(_MOMENT, about.get("authored_at")):
        known["authored_at"] = about["authored_at"]
    return known, derived


def _author(author: object, derived: list[str]) -> str:
    if isinstance(author, str) and _PSEUDONYM.fullmatch(author):
        return author
    if isinstance(author, str) and (person := _PERSON.fullmatch(author.strip())):
        return hash_author(person["name"], person["email"])
    derived.append("author")
    return UNKNOWN_AUTHOR


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _is_score(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAXIMUM_SCORE


def _matches(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None
