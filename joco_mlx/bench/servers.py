"""A model behind a server: Ollama's API, or the OpenAI-compatible one that llama.cpp, LM Studio and others speak.

Decides what is sent (the same fitted diff that training shows, as one user turn; the server's template does the rest),
when to ask again (a busy server) and what an answer that never comes means. A server that is gone ends the run, which
goes on when it is back, and so does one that has no such model or lets nobody in; a server that refuses or is too slow
for one case fails that case. Decides what identifies a model: Ollama's digest of it, and elsewhere, where nobody says
which weights a name stands for, the address.

Formats: docs/api.md of github.com/ollama/ollama ("Generate a chat completion", "Structured outputs", "List Local Models"),
tools/server/README.md of github.com/ggml-org/llama.cpp ("/v1/chat/completions").
"""

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

from joco_mlx.bench.subject import NoAnswerError
from joco_mlx.commit.prompt import SYSTEM
from joco_mlx.errors import InputError, MachineError, UsageError
from joco_mlx.suggest.grammar import Form

ServerKind = Literal["ollama", "openai"]
_Turns: TypeAlias = list[dict[str, str]]
ADDRESSES: Mapping[ServerKind, str] = {"ollama": "http://127.0.0.1:11434", "openai": "http://127.0.0.1:8080/v1"}
KEY_VARIABLE = "JOCO_MLX_API_KEY"
TRIES = 5
FIRST_PAUSE_SECONDS = 0.5
"""Doubled after each try."""
_BUSY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE)
_CLOSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
"""What every other case would be told too."""
_CHECK = f"Check --url and --model, and the key in {KEY_VARIABLE}."
_SHOWN_CHARS = 120


class Server:
    """A model's name on a server."""

    def __init__(self, kind: ServerKind, model: str, url: str | None, *, timeout_seconds: float) -> None:
        self.url = (url or ADDRESSES[kind]).rstrip("/")
        if urlsplit(self.url).scheme not in ("http", "https"):
            raise UsageError(f"--url is {url}, but must be an address.", f"Give one such as {ADDRESSES[kind]}")
        self._kind: ServerKind = kind
        self._model = model
        self._timeout = timeout_seconds

    def identity(self) -> dict[str, str]:
        """Return what tells this model from another one of its name; Ollama is asked for it.

        Raises:
            InputError: Ollama has no such model.
            MachineError: Ollama cannot be reached, or lists its models in no form that is known.
        """
        if self._kind == "openai":
            return {"url": self.url}
        try:
            digests = {one["name"]: str(one["digest"]) for one in self._reply("/api/tags")["models"]}
        except (NoAnswerError, KeyError, TypeError) as problem:
            raise MachineError(f"The server at {self.url} does not list its models: {problem}.", _CHECK) from None
        found = digests.get(self._model) or digests.get(f"{self._model}:latest")
        if found is None:
            raise InputError(f"The server at {self.url} has no model {self._model}.", "See what it has: ollama list")
        return {"digest": found}

    def complete(
        self,
        user_text: str,
        *,
        max_tokens: int,
        temperature: float,
        seed: int,
        form: Form | None = None,
        system: str | None = SYSTEM,
    ) -> str:
        """Return the answer to one user turn, without surrounding white space.

        With a form the server is given its JSON schema, which is what such servers can hold a model to, and the answer
        is the header that the parts make. `system` None sends no system turn.

        Raises:
            InputError: It has no such model, or lets nobody in without another key.
            MachineError: The server cannot be reached.
            NoAnswerError: It refuses this request, is too slow, stays busy or says something else than an answer.
        """
        ask = self._ollama if self._kind == "ollama" else self._openai
        path, body = ask(_turns(user_text, system), max_tokens, temperature, seed)
        if form is not None:
            body |= self._held_to(form)
        reply = self._reply(path, json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"))
        try:
            content = (
                reply["message"]["content"] if self._kind == "ollama" else reply["choices"][0]["message"]["content"]
            )
        except (KeyError, IndexError, TypeError):
            raise NoAnswerError("the reply has no message") from None
        if not isinstance(content, str):
            raise NoAnswerError("the reply's message is no text")
        return content.strip() if form is None else _header(content, form)

    def _held_to(self, form: Form) -> dict[str, Any]:
        if self._kind == "ollama":
            return {"format": form.schema()}
        schema = {"name": "header", "strict": True, "schema": form.schema()}
        return {"response_format": {"type": "json_schema", "json_schema": schema}}

    def _ollama(self, turns: _Turns, max_tokens: int, temperature: float, seed: int) -> tuple[str, dict[str, Any]]:
        options = {"temperature": temperature, "seed": seed, "num_predict": max_tokens}
        return "/api/chat", {"model": self._model, "stream": False, "options": options, "messages": turns}

    def _openai(self, turns: _Turns, max_tokens: int, temperature: float, seed: int) -> tuple[str, dict[str, Any]]:
        settings = {"temperature": temperature, "seed": seed, "max_tokens": max_tokens, "stream": False}
        return "/chat/completions", {"model": self._model, **settings, "messages": turns}

    def _reply(self, path: str, body: bytes | None = None) -> Any:
        """Return the reply to a body, or to a plain question where there is none."""
        for attempt in range(TRIES):
            if attempt:
                time.sleep(FIRST_PAUSE_SECONDS * 2 ** (attempt - 1))
            try:
                return self._once(path, body)
            except urllib.error.HTTPError as problem:
                if problem.code in _CLOSED:
                    told = f"HTTP {problem.code}: {_told(problem)}"
                    raise InputError(f"The server at {self.url} refuses {self._model}: {told}.", _CHECK) from None
                if problem.code not in _BUSY:
                    raise NoAnswerError(f"HTTP {problem.code}: {_told(problem)}") from None
            except TimeoutError:
                raise NoAnswerError(f"no answer within {self._timeout:g} s") from None
            except (urllib.error.URLError, ConnectionError, http.client.HTTPException) as problem:
                if isinstance(getattr(problem, "reason", None), TimeoutError):
                    raise NoAnswerError(f"no answer within {self._timeout:g} s") from None
                self._refuse_when_gone(attempt, problem)
        raise NoAnswerError(f"the server was busy {TRIES} times")

    def _refuse_when_gone(self, attempt: int, problem: Exception) -> None:
        """Raise MachineError after the last try; one that is just starting again gets its time."""
        if attempt == TRIES - 1:
            reason = getattr(problem, "reason", problem)
            raise MachineError(
                f"The server at {self.url} cannot be reached: {reason}.",
                "Start it and run the same command again; what is answered is kept.",
            ) from problem

    def _once(self, path: str, body: bytes | None) -> Any:
        headers = {"Content-Type": "application/json"}
        if os.environ.get(KEY_VARIABLE):
            headers["Authorization"] = f"Bearer {os.environ[KEY_VARIABLE]}"
        request = urllib.request.Request(self.url + path, body, headers)  # noqa: S310  (http or https, checked above)
        with urllib.request.urlopen(request, timeout=self._timeout) as reply:  # noqa: S310  (the same)
            try:
                return json.load(reply)
            except ValueError:
                raise NoAnswerError("the reply is not JSON") from None


def _header(content: str, form: Form) -> str:
    try:
        parts = json.loads(content)
    except ValueError:
        parts = None
    if not isinstance(parts, dict):
        raise NoAnswerError("the reply's message is not the JSON that was asked for")
    return form.header_of(parts)


def _turns(user_text: str, system: str | None) -> _Turns:
    before = [{"role": "system", "content": system}] if system is not None else []
    return [*before, {"role": "user", "content": user_text}]


def _told(problem: urllib.error.HTTPError) -> str:
    try:
        return problem.read(4 * _SHOWN_CHARS).decode("utf-8", "replace")[:_SHOWN_CHARS].strip()
    except OSError:
        return problem.reason
