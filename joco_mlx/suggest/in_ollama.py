"""A model in Ollama answers a prompt, through the published API (`docs/api.md` of github.com/ollama/ollama).

Decides how an answer is held to a form without a grammar: the model answers freely first, in the form that it was
trained in, and only an answer out of form is asked for again as JSON, by a schema that Ollama decodes by. The server's
own template stands around what it is sent, so a prompt here is the user's text alone.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from joco_mlx.commit.prompt import SYSTEM, Template
from joco_mlx.errors import InputError, MachineError
from joco_mlx.models.drafts import Draft
from joco_mlx.ollama.server import Answer, Server
from joco_mlx.suggest.clean import first_message
from joco_mlx.suggest.engines import Watch
from joco_mlx.suggest.grammar import Form

ANSWER_SECONDS = 120.0
"""Longest wait for one answer: the first one may have to load the model."""
CHARS_PER_TOKEN = 3
"""A server does not count tokens; diffs have 3.3 characters a token, so this errs on the safe side."""
_USUAL_LENGTH = 4_096
"""Ollama's own `num_ctx` where a model sets none."""
_TEMPLATE_TOKENS = 64
_BARE = Template("server", "", "", "", "", "", ())


class OllamaEngine:
    """A model in an Ollama server."""

    def __init__(self, model: str, server: Server) -> None:
        self.template = _BARE
        self._model, self._server = model, server
        shown = server.ask("POST", "/api/show", {"model": model})
        if shown.status == 404:
            raise InputError(
                f"Ollama at {server.url} has no model {model}.", f"Make it: joco-mlx ollama create {model}"
            )
        if shown.status != 200:
            raise _refused(shown, server)
        self.max_seq_length = _trained_length(shown.body) - _TEMPLATE_TOKENS

    def count(self, text: str) -> int:
        """Return about how many tokens `text` has, rather too many than too few."""
        return -(-len(text) // CHARS_PER_TOKEN)

    def complete(self, prompt: str, *, max_tokens: int, temperature: float, seed: int | None = None) -> str:
        """Return the model's free answer.

        Raises:
            MachineError: The server is gone, too slow, or says something else than an answer.
        """
        options = {"temperature": temperature, "num_predict": max_tokens, **({} if seed is None else {"seed": seed})}
        return self._chat(prompt, options, None)

    def drafts(
        self,
        prompt: str,
        *,
        form: Form | None,
        temperatures: Sequence[float],
        max_tokens: int,
        watch: Watch | None = None,
    ) -> list[Draft]:
        """Return one answer for each temperature; nobody knows how likely the model finds it.

        Raises:
            MachineError: As `complete`.
        """
        return [
            Draft(self._answer(prompt, form, {"temperature": heat, "num_predict": max_tokens}), None)
            for heat in temperatures
        ]

    def _answer(self, prompt: str, form: Form | None, options: Mapping[str, float]) -> str:
        free = self._chat(prompt, options, None)
        if form is None:
            return free
        header, feed, rest = first_message(free).partition("\n")
        if form.admits(header):
            return header + (feed + rest if form.body else "")
        return _written(self._chat(prompt, options, form.schema()), form)

    def _chat(self, prompt: str, options: Mapping[str, float], schema: Mapping[str, object] | None) -> str:
        body: dict[str, Any] = {
            "model": self._model,
            "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": prompt}],
            "stream": False,
            "options": dict(options),
        }
        if schema is not None:
            body["format"] = dict(schema)
        answer = self._server.ask("POST", "/api/chat", body, seconds=ANSWER_SECONDS)
        if answer.status != 200:
            raise _refused(answer, self._server)
        message = answer.body.get("message")
        content = message.get("content") if isinstance(message, dict) else None
        if not isinstance(content, str):
            raise MachineError(
                f"What answers at {self._server.url} is not Ollama: its answer has no message.",
                "Give its address: --url URL",
            )
        return content.strip()


def has_model(model: str, server: Server, *, seconds: float = 2.0) -> bool:
    """Whether `server` is there, soon, and has a model of that name."""
    try:
        return server.ask("POST", "/api/show", {"model": model}, seconds=seconds).status == 200
    except MachineError:
        return False


def _trained_length(shown: Mapping[str, Any]) -> int:
    """Return `num_ctx` of a model's parameters, which a Modelfile of ours sets to the length of training."""
    found = re.search(r"^num_ctx\s+(\d+)\s*$", str(shown.get("parameters", "")), re.MULTILINE)
    return int(found[1]) if found else _USUAL_LENGTH


def _written(answer: str, form: Form) -> str:
    """Return the header of an answer in JSON; "" when the server did not keep to the schema."""
    try:
        parts = json.loads(answer)
    except ValueError:
        return ""
    header = form.header_of(parts) if isinstance(parts, dict) else ""
    return header if form.admits(header) else ""


def _refused(answer: Answer, server: Server) -> MachineError:
    return MachineError(f"Ollama at {server.url} did not answer: {answer.complaint}.", "See what it does: ollama ps")
