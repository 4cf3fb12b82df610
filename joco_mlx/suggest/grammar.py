"""The form of a message as a grammar that decoding cannot leave.

Decides which headers may be written at all: commitlint's form, at most 72 characters, a description in lower case and
without a full stop, and whatever a repository narrows it to. Printable ASCII only, so that characters, UTF-16 units
and bytes are the same count. Syntax: llguidance's `docs/syntax.md` (Lark, with `&` for the intersection of terminals).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joco_mlx.commit.grammar import TYPES

HEADER_CHARS = 72
"""Longest header: what git log, forges and the guide's rubric show whole."""
SCOPE_CHARS = 24
_BODY_CHARS = 100
_TWICE = rf"({'|'.join(TYPES)})(\([^)]*\))?!?:.*"
"""A description that is a header itself: commitlint takes `fix: feat: x`, people do not."""
_ONE_TYPE, _ONE_SCOPE = re.compile(r"\w{1,40}", re.ASCII), re.compile(r"[ -'*-~]{0,40}")
_MOST_WORDS = 500
"""Of one list of a foreign schema: a grammar of more takes long to make."""
_SCOPE = rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{SCOPE_CHARS - 1}}}"


@dataclass(frozen=True)
class Form:
    """What headers are allowed here."""

    types: tuple[str, ...] = TYPES
    scopes: tuple[str, ...] = ()
    """The scopes that are allowed; empty allows any."""
    needs_scope: bool = False
    forbids_scope: bool = False
    header_chars: int = HEADER_CHARS
    subject_chars: int | None = None
    body: bool = False
    """Whether a body may follow."""

    def admits(self, header: str) -> bool:
        """Whether a header, from wherever, is one that this form could have written."""
        found = re.fullmatch(self.header_pattern(), header)
        fits = self.subject_chars is None or len(header.partition(": ")[2]) <= self.subject_chars
        is_one = not re.fullmatch(f"[^:]*: {_TWICE}", header)
        return bool(found) and len(header) <= self.header_chars and fits and is_one and not header.endswith(".")

    def header_pattern(self) -> str:
        """Return the regular expression of a header, without its length; for Python and for llguidance alike."""
        scope = "|".join(map(_escaped, self.scopes)) if self.scopes else _SCOPE
        part = rf"\(({scope})\)"
        part = "" if self.forbids_scope else part if self.needs_scope else f"({part})?"
        return f"({'|'.join(map(_escaped, self.types))}){part}!?: [a-z][!-~]*( [!-~]+)*"

    def grammar(self) -> str:
        """Return the grammar of a message, in llguidance's Lark."""
        header = f"/{_slashed(self.header_pattern())}/ & /.{{1,{self.header_chars}}}/ & /.*[^.]/ & ~/[^:]*: {_TWICE}/"
        if self.subject_chars is not None:
            header += f" & /[^:]*: .{{1,{self.subject_chars}}}/"
        line = f"/[!-~][ -~]{{0,{_BODY_CHARS - 2}}}/ & /.*[!-~]/"
        body = ' ("\\n\\n" LINE ("\\n" LINE)*)?' if self.body else ""
        return f"start: HEADER{body}\nHEADER: {header}\n" + (f"LINE: {line}\n" if self.body else "")

    def schema(self) -> dict[str, object]:
        """Return a JSON schema of a header's parts, for servers that know no grammar."""
        scope: dict[str, object] = {"type": "string", "maxLength": SCOPE_CHARS}
        if self.needs_scope:
            scope["minLength"] = 1
        if self.scopes:
            scope = {"enum": [*self.scopes, *([] if self.needs_scope else [""])]}
        parts: dict[str, object] = {"type": {"enum": list(self.types)}}
        if not self.forbids_scope:
            parts["scope"] = scope
        parts["description"] = {"type": "string", "maxLength": self.header_chars}
        return {"type": "object", "properties": parts, "required": list(parts)}

    @classmethod
    def of_schema(cls, schema: Mapping[str, Any]) -> "Form | None":
        """Return the form whose `schema` this could be; None for one of something else, or that no header can meet."""
        parts = schema.get("properties")
        if not isinstance(parts, Mapping) or parts.keys() - {"scope"} != {"type", "description"}:
            return None
        if not all(isinstance(part, Mapping) for part in parts.values()):
            return None
        types, scope = _listed(parts["type"], _ONE_TYPE), parts.get("scope", {})
        scopes, longest = _listed(scope, _ONE_SCOPE), parts["description"].get("maxLength", HEADER_CHARS)
        if not types or scopes is None or scopes == ("",) or not isinstance(longest, int):
            return None
        form = cls(
            types,
            tuple(filter(None, scopes)),
            needs_scope="" not in scopes if scopes else bool(scope.get("minLength")),
            forbids_scope="scope" not in parts,
            header_chars=min(HEADER_CHARS, longest),
        )
        needed = max(map(len, types)) + max(map(len, scopes), default=0) + len("(): a")
        return form if form.header_chars >= needed else None

    def header_of(self, parts: Mapping[str, object]) -> str:
        """Return the header of what answers `schema`, brought into form where that is only a matter of spelling."""
        scope = str(parts.get("scope") or "")
        scope = scope if scope in self.scopes else re.sub(r"[^A-Za-z0-9._-]+", "-", scope).strip("-")
        scope = f"({scope})" if scope and not self.forbids_scope else ""
        words = "".join(letter for letter in str(parts.get("description", "")) if " " <= letter <= "~").split()
        text = " ".join(words)
        return self.shortened(f"{parts.get('type')}{scope}: {text[:1].lower()}{text[1:]}")

    def shortened(self, header: str, *, was_cut: bool = False) -> str:
        """Return a header that ends with a whole word and without a full stop, if more than one word is left."""
        room = self.header_chars
        if self.subject_chars is not None:
            room = min(room, len(header.partition(": ")[0]) + 2 + self.subject_chars)
        kept = header[:room]
        if (was_cut or len(header) > room) and kept.partition(": ")[2].count(" ") > 1:
            kept = kept.rpartition(" ")[0]
        return kept.rstrip(" .,;:")


def _listed(part: Mapping[str, Any], word: re.Pattern[str]) -> tuple[str, ...] | None:
    """Return the words that a part of a schema lists, () where it lists none; None where they cannot be in a header."""
    words = part.get("enum", [])
    if not isinstance(words, list) or len(words) > _MOST_WORDS:
        return None
    fits = all(isinstance(one, str) and word.fullmatch(one) for one in words)
    return tuple(words) if fits else None


def _escaped(word: str) -> str:
    return re.sub(r"([^A-Za-z0-9 _-])", r"\\\1", word)


def _slashed(pattern: str) -> str:
    return re.sub(r"(?<!\\)/", r"\\/", pattern)
