"""What a request asks, whichever interface it came through.

Decides what of a foreign prompt counts: the last user turn, and in it the diff. Every tool brings a system prompt of its
own and some a worked example; none of it reaches the model, as with the Modelfile's TEMPLATE. Only whether a bare
description is wanted is read from the words around the diff, because a tool that asks people for the type puts what it
gets behind that; and what a header's parts may be, from a JSON schema of them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from joco_mlx.commit.diff import parse_diff
from joco_mlx.commit.fit import CountTokens
from joco_mlx.commit.prompt import neutralise, user_text
from joco_mlx.config import ANSWER_TOKENS
from joco_mlx.suggest.grammar import Form

MOST_ANSWERS = 5
_OPENED = re.compile(r"^(```|~~~)[a-z]*\n\Z", re.MULTILINE)
_BARE = re.compile(r"without (?:any |a )?prefix|no prefix", re.IGNORECASE)
_HOW_MANY = re.compile(r"exactly (\d{1,3}) object")
_FITTED = re.compile(r"(?:Why: .{0,400}\n\n)?[AMDRCT] .+ \+\d+ -\d+ [a-z-]+(?:\n|\Z)")


class RefusalError(Exception):
    """A request that is not answered: the HTTP status, and why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


@dataclass(frozen=True)
class Asked:
    """One request."""

    text: str
    """The last user turn, as it came."""
    instructions: str = ""
    """What the tool's own system prompt says."""
    answers: int = 1
    temperature: float = 0.0
    max_tokens: int = ANSWER_TOKENS
    streamed: bool = False
    form: Form | None = None
    """What a JSON schema allows; the answer is the parts of a header then, as JSON."""

    @property
    def wants_description(self) -> bool:
        """Whether only what follows `type: ` is wanted."""
        return _BARE.search(self.text[: _start_of_diff(self.text)]) is not None

    @property
    def objects(self) -> int:
        """How many messages are wanted as objects of one JSON array; 0 for none."""
        fields = self.instructions.partition("JSON array")[2].partition("\n")[2]
        if self.form is not None or '"subject"' not in fields:
            return 0
        found = _HOW_MANY.search(self.instructions)
        return max(1, min(MOST_ANSWERS, int(found[1]))) if found else 1

    def shown(self, budget: int, count: CountTokens) -> str:
        """Return the user turn that the model is given: what was fitted already as it is, a diff in our own form.

        Raises:
            RefusalError: There is nothing in it.
        """
        text = self.text.strip("\n")
        if _FITTED.match(text) and count(safe := neutralise(text)) <= budget:
            return safe
        shown = user_text(_diff_in(text), budget, count)
        if not shown.strip():
            raise RefusalError(400, "The last user message is empty; it must hold a diff.")
        return shown


def last_user_turn(messages: object) -> str:
    """Return the text of the last message whose role is `user`.

    Raises:
        RefusalError: There is none, or it is no text.
    """
    if not isinstance(messages, Sequence) or isinstance(messages, str):
        raise RefusalError(400, "'messages' must be a list.")
    turns = [turn for turn in messages if isinstance(turn, Mapping) and turn.get("role") == "user"]
    if not turns:
        raise RefusalError(400, "There is no message of the user.")
    content = turns[-1].get("content")
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence):
        parts = [part.get("text") for part in content if isinstance(part, Mapping) and part.get("type") == "text"]
        return "\n".join(part for part in parts if isinstance(part, str))
    raise RefusalError(400, "The last user message has no text.")


def system_text(messages: object) -> str:
    """Return what the system turns say."""
    turns = messages if isinstance(messages, Sequence) and not isinstance(messages, str) else ()
    systems = [turn for turn in turns if isinstance(turn, Mapping) and turn.get("role") in ("system", "developer")]
    return "\n".join(turn["content"] for turn in systems if isinstance(turn.get("content"), str))


def number(document: Mapping[str, Any], name: str, default: float, *, least: float, most: float) -> float:
    """Return a number of a request; null and absent are `default`.

    Raises:
        RefusalError: It is no number in the range.
    """
    value = document.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise RefusalError(400, f"{name!r} must be a number from {least:g} to {most:g}.")
    return float(value)


def held_to(document: Mapping[str, Any], *path: str) -> Form | None:
    """Return the form that the schema at `path` of a request asks for; None where there is none, or of other things."""
    found: Any = document
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return Form.of_schema(found) if isinstance(found, Mapping) else None


def _start_of_diff(text: str) -> int:
    found = re.search(r"^(?:diff --git |--- |@@ )", text, re.MULTILINE)
    return found.start() if found else len(text)


def _diff_in(text: str) -> str:
    """Return the diff inside of words and fences, or the whole text when there is no diff in it."""
    start = _start_of_diff(text)
    words, found = text[:start], text[start:]
    fence = _OPENED.search(words)
    if fence:  # a line of a diff never begins with a fence
        found = found.partition(f"\n{fence[1]}")[0]
    return found if parse_diff(found) else text
