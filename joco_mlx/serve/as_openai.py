"""The OpenAI-compatible interface: requests read, answers and stream chunks written.

Decides which fields count; the others are taken and have no effect, as a tool may send anything. Format: OpenAI's API
reference, "Chat completions", as llama.cpp, LM Studio and mlx-lm serve it too.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from joco_mlx.config import ANSWER_TOKENS
from joco_mlx.serve.asked import MOST_ANSWERS, Asked, held_to, last_user_turn, number, system_text


def read(document: Mapping[str, Any]) -> Asked:
    """Return what a request to `/v1/chat/completions` asks.

    Raises:
        RefusalError: A field that counts is wrong.
    """
    names = ("max_completion_tokens", "max_tokens")
    given = [number(document, name, 0, least=-1, most=1e6) for name in names]
    longest = int(next((value for value in given if value >= 1), ANSWER_TOKENS))  # 0 and -1 set no limit
    return Asked(
        last_user_turn(document.get("messages")),
        system_text(document.get("messages")),
        answers=int(number(document, "n", 1, least=1, most=MOST_ANSWERS)),
        temperature=number(document, "temperature", 0.0, least=0, most=2),
        max_tokens=min(ANSWER_TOKENS, longest),
        streamed=document.get("stream") is True,
        form=held_to(document, "response_format", "json_schema", "schema"),
    )


def answer(texts: Sequence[str], **head: Any) -> dict[str, Any]:
    """Return a whole answer, one choice for each text; `head` is its id, time and model."""
    choices = [
        {
            "index": index,
            "message": {"role": "assistant", "content": text, "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
        for index, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    return {"object": "chat.completion", **head, "choices": choices, "usage": usage}


def chunk(index: int, delta: Mapping[str, str], end: str | None, **head: Any) -> bytes:
    """Return one server-sent event; `end` is the finish reason of the last one of a choice."""
    choice = {"index": index, "delta": dict(delta), "logprobs": None, "finish_reason": end}
    document = {"object": "chat.completion.chunk", **head, "choices": [choice]}
    return b"data: " + json.dumps(document, ensure_ascii=False).encode() + b"\n\n"


LAST = b"data: [DONE]\n\n"


def models(name: str, created: int) -> dict[str, Any]:
    """Return the list of models."""
    return {"object": "list", "data": [model(name, created)]}


def model(name: str, created: int) -> dict[str, Any]:
    """Return one model."""
    return {"id": name, "object": "model", "created": created, "owned_by": "joco-mlx"}


def refusal(status: int, reason: str) -> dict[str, Any]:
    """Return the document of an error."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": reason, "type": kind, "param": None, "code": None}}
