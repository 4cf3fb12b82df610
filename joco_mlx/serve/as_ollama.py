"""The Ollama-compatible interface: requests read, answers and stream lines written.

Decides which fields count; the others are taken and have no effect. A stream is the default there, unlike in OpenAI's.
Format: `docs/api.md` of github.com/ollama/ollama.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from joco_mlx.config import ANSWER_TOKENS
from joco_mlx.serve.asked import Asked, RefusalError, held_to, last_user_turn, number, system_text

VERSION = "0.12.0"
"""Of the interface that is spoken: the first with everything that is answered here."""


def read(document: Mapping[str, Any]) -> Asked:
    """Return what a request to `/api/chat` or `/api/generate` asks.

    Raises:
        RefusalError: A field that counts is wrong.
    """
    prompt = document.get("prompt")
    if "messages" not in document and not isinstance(prompt, str):
        raise RefusalError(400, "'prompt' must be text.")
    options = document.get("options") or {}
    if not isinstance(options, Mapping):
        raise RefusalError(400, "'options' must be an object.")
    longest = number(options, "num_predict", ANSWER_TOKENS, least=-2, most=1e6)
    return Asked(
        last_user_turn(document["messages"]) if "messages" in document else str(prompt),
        system_text(document["messages"]) if "messages" in document else str(document.get("system") or ""),
        temperature=number(options, "temperature", 0.0, least=0, most=5),
        max_tokens=min(ANSWER_TOKENS, int(longest)) if longest >= 1 else ANSWER_TOKENS,
        streamed=document.get("stream") is not False,
        form=held_to(document, "format"),
    )


def part(text: str, *, model: str, chats: bool, is_last: bool, nanoseconds: int = 0) -> dict[str, Any]:
    """Return one line of a stream, or, with `is_last` and the whole text, the whole answer."""
    said = {"message": {"role": "assistant", "content": text}} if chats else {"response": text}
    document = {"model": model, "created_at": _now(), **said, "done": is_last}
    if is_last:
        counts = dict.fromkeys(("prompt_eval_count", "prompt_eval_duration", "eval_count", "eval_duration"), 0)
        document |= {"done_reason": "stop", "total_duration": nanoseconds, "load_duration": 0, **counts}
    return document


def line(document: Mapping[str, Any]) -> bytes:
    """Return a document as a line of a stream."""
    return json.dumps(document, ensure_ascii=False).encode() + b"\n"


def tags(name: str, length: int, started: str) -> dict[str, Any]:
    """Return the list of models."""
    details = {"format": "mlx", "family": "joco", "families": ["joco"], "parameter_size": "", "quantization_level": ""}
    named = {"name": f"{name}:latest", "model": f"{name}:latest", "modified_at": started, "size": 0, "digest": "0" * 64}
    return {"models": [{**named, "details": {"parent_model": "", **details}, "context_length": length}]}


def shown(length: int, system: str) -> dict[str, Any]:
    """Return what a model is."""
    return {
        "modelfile": "",
        "parameters": f"num_ctx                        {length}",
        "template": "{{ .Prompt }}",
        "system": system,
        "details": {"parent_model": "", "format": "mlx", "family": "joco", "families": ["joco"]},
        "model_info": {"general.architecture": "joco", "joco.context_length": length},
        "capabilities": ["completion"],
    }


def refusal(reason: str) -> dict[str, Any]:
    """Return the document of an error."""
    return {"error": reason}


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
