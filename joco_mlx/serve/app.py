"""The two interfaces as one web application.

Decides which addresses are answered and how a stream is written. One model answers under every name: a tool may ask for
any. Leaves what a request means to `as_openai` and `as_ollama`, who may ask to `guard`, and the model to `worker`.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from joco_mlx.commit.prompt import SYSTEM
from joco_mlx.serve import as_ollama, as_openai
from joco_mlx.serve.asked import Asked, RefusalError
from joco_mlx.serve.guard import document, guards
from joco_mlx.serve.worker import Worker

_EVENTS, _LINES = "text/event-stream", "application/x-ndjson"


class Interface:
    """What answers the requests for one model."""

    def __init__(self, worker: Worker, name: str) -> None:
        self._worker, self._name = worker, name
        self._started = datetime.now(UTC)

    def app(self) -> Starlette:
        """Return the application."""
        get: dict[str, Callable[[Request], Response]] = {
            "/": lambda _: PlainTextResponse("Ollama is running"),
            "/api/version": lambda _: JSONResponse({"version": as_ollama.VERSION}),
            "/api/tags": lambda _: JSONResponse(as_ollama.tags(self._name, self._worker.length, self._since)),
            "/v1/models": lambda _: JSONResponse(as_openai.models(self._name, self._created)),
            "/v1/models/{name:path}": lambda _: JSONResponse(as_openai.model(self._name, self._created)),
        }
        post = {
            "/v1/chat/completions": self._openai,
            "/api/chat": self._ollama,
            "/api/generate": self._ollama,
            "/api/show": self._show,
        }
        routes = [Route(path, _later(made), methods=["GET"]) for path, made in get.items()]
        routes += [Route(path, made, methods=["POST"]) for path, made in post.items()]
        handlers = {RefusalError: _refused, ClientDisconnect: _refused}
        return Starlette(routes=routes, middleware=guards(), exception_handlers=handlers)

    @property
    def _created(self) -> int:
        return int(self._started.timestamp())

    @property
    def _since(self) -> str:
        return self._started.isoformat().replace("+00:00", "Z")

    async def _openai(self, request: Request) -> Response:
        asked = as_openai.read(await document(request))
        head = {"id": f"chatcmpl-{secrets.token_hex(12)}", "created": int(time.time()), "model": self._name}
        if asked.streamed:
            return StreamingResponse(await _started(self._events(asked, head)), media_type=_EVENTS)
        texts = await self._worker.answer(asked)
        return JSONResponse(as_openai.answer(texts, **head))

    async def _events(self, asked: Asked, head: dict[str, Any]) -> AsyncIterator[bytes]:
        said: set[int] = set()
        async for index, piece in self._pieces(asked):
            role = {} if index in said else {"role": "assistant"}
            said.add(index)
            yield as_openai.chunk(index, {**role, "content": piece}, None, **head)
        for index in range(asked.answers):
            yield as_openai.chunk(index, {}, "stop", **head)
        yield as_openai.LAST

    async def _ollama(self, request: Request) -> Response:
        asked, chats = as_ollama.read(await document(request)), request.url.path == "/api/chat"
        if asked.streamed:
            return StreamingResponse(await _started(self._lines(asked, chats=chats)), media_type=_LINES)
        began = time.perf_counter_ns()
        [text] = await self._worker.answer(asked)
        took = time.perf_counter_ns() - began
        return JSONResponse(as_ollama.part(text, model=self._name, chats=chats, is_last=True, nanoseconds=took))

    async def _lines(self, asked: Asked, *, chats: bool) -> AsyncIterator[bytes]:
        began = time.perf_counter_ns()
        async for _, piece in self._pieces(asked):
            yield as_ollama.line(as_ollama.part(piece, model=self._name, chats=chats, is_last=False))
        took = time.perf_counter_ns() - began
        yield as_ollama.line(as_ollama.part("", model=self._name, chats=chats, is_last=True, nanoseconds=took))

    async def _show(self, request: Request) -> Response:
        asked = (await document(request)).get("model")
        if asked not in (self._name, f"{self._name}:latest"):
            raise RefusalError(404, f"model {asked!r} not found")
        return JSONResponse(as_ollama.shown(self._worker.length, SYSTEM))

    async def _pieces(self, asked: Asked) -> AsyncIterator[tuple[int, str]]:
        """Yield which answer goes on, and by what; several answers come whole, because they are ranked at the end."""
        grown: asyncio.Queue[str | None] = asyncio.Queue()
        work = asyncio.create_task(self._worker.answer(asked, grown.put_nowait if asked.answers == 1 else None))
        work.add_done_callback(lambda _: grown.put_nowait(None))
        sent = ""
        try:
            while (text := await grown.get()) is not None:
                if text.startswith(sent) and text != sent:
                    yield 0, text.removeprefix(sent)
                    sent = text
            for index, text in enumerate(await work):
                yield index, text.removeprefix(sent)
        finally:
            work.cancel()


async def _started(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Return a stream whose first piece is there, so that a refusal still has a status of its own."""
    first = await anext(stream)

    async def whole() -> AsyncIterator[bytes]:
        yield first
        async for piece in stream:
            yield piece

    return whole()


def _later(made: Callable[[Request], Response]) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        return made(request)

    return answer


async def _refused(request: Request, problem: Exception) -> Response:
    status, reason = (problem.status, problem.reason) if isinstance(problem, RefusalError) else (500, "")
    if isinstance(problem, ClientDisconnect):
        return Response(status_code=499)
    is_openai = request.url.path.startswith("/v1/")
    return JSONResponse(as_openai.refusal(status, reason) if is_openai else as_ollama.refusal(reason), status)
