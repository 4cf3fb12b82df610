"""Who may ask: programs on this computer, with requests of a sensible size.

Decides against three ways in: a page in a browser whose name was made to point here (the Host header must name this
computer), a page that sends requests without reading the answers (an Origin must be this computer too, and none is told
that it may read), and a request that never ends (a limit on its bytes and on the time until it is whole).
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from joco_mlx.serve.asked import RefusalError

HOSTS = ("127.0.0.1", "localhost", "[::1]")
LARGEST_BYTES = 16 << 20
READING_SECONDS = 30.0
_LOCAL_NAMES = ("127.0.0.1", "localhost", "::1")


def guards() -> list[Middleware]:
    """Return what every request passes before anything reads it."""
    return [
        Middleware(TrustedHostMiddleware, allowed_hosts=list(HOSTS), www_redirect=False),
        Middleware(SameComputer),
    ]


class SameComputer:
    """Refuses requests that a page from elsewhere makes a browser send."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, or answer 403."""
        origin = Request(scope).headers.get("origin") if scope["type"] == "http" else None
        if origin is not None and not _is_local(origin):
            await PlainTextResponse("Requests from web pages are not answered.", 403)(scope, receive, send)
            return
        await self._app(scope, receive, send)


async def document(request: Request) -> Mapping[str, Any]:
    """Return the JSON object of a request, whatever its type is declared as.

    Raises:
        RefusalError: It is too large, too slow, or no JSON object.
    """
    try:
        content = await asyncio.wait_for(_content(request), READING_SECONDS)
    except TimeoutError:
        raise RefusalError(408, f"The request was not whole after {READING_SECONDS:g} seconds.") from None
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise RefusalError(400, "The request is no JSON.") from None
    if not isinstance(found, dict):
        raise RefusalError(400, "The request is no JSON object.")
    return found


async def _content(request: Request) -> bytes:
    got = bytearray()
    async for piece in request.stream():
        got += piece
        if len(got) > LARGEST_BYTES:
            raise RefusalError(413, f"The request has more than {LARGEST_BYTES >> 20} MB.")
    return bytes(got)


def _is_local(origin: str) -> bool:
    try:
        return urlsplit(origin).hostname in _LOCAL_NAMES
    except ValueError:
        return False
