"""The one thread that owns the model.

Decides that one request is answered at a time, how many may wait, and how long one may take: MLX computes on one device,
and a model that is loaded in one thread is used in that thread. Leaves what a request is to `asked`, and HTTP to `app`.
"""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from joco_mlx.commit.message import parse
from joco_mlx.commit.prompt import diff_budget
from joco_mlx.config import ServeConfig, SuggestConfig
from joco_mlx.errors import VerificationError
from joco_mlx.progress import Progress, Silent
from joco_mlx.serve.asked import Asked, RefusalError
from joco_mlx.suggest.conventions import Conventions
from joco_mlx.suggest.engines import Engine, MlxEngine, Watch, choose
from joco_mlx.suggest.grammar import Form
from joco_mlx.suggest.message import Wishes, offer_shown

MOST_WAITING = 8
_DESCRIPTION_CHARS = 60
"""With the longest type in front, `refactor: `, a header of at most 70 characters."""

Result = TypeVar("Result")


class Worker:
    """Answers requests one after the other."""

    def __init__(self, config: ServeConfig, *, progress: Progress) -> None:
        self._seconds = config.timeout_seconds
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        self._waiting = 0
        self._engine: Engine = self._pool.submit(self._load, config.model, progress).result()

    @property
    def length(self) -> int:
        """Tokens of prompt and answer that the model was trained for."""
        return self._engine.max_seq_length

    def close(self) -> None:
        """Let the request that is answered come to its end, and drop those that wait."""
        self._pool.shutdown(cancel_futures=True)

    async def answer(self, asked: Asked, tell: Watch | None = None) -> list[str]:
        """Return as many messages as were asked for; equal ones where the model has no other.

        Args:
            asked: The request.
            tell: Told in the event loop's thread what of a single answer will not change any more.

        Raises:
            RefusalError: Too many wait, it took too long, or there is nothing to answer.
        """
        if self._waiting >= MOST_WAITING:
            raise RefusalError(503, "Too many requests wait for the model; try again.")
        loop = asyncio.get_running_loop()
        gone = False

        def hand_over(text: str) -> None:
            if tell is not None:
                loop.call_soon_threadsafe(tell, text)

        def work() -> list[str]:
            return self._written(asked, hand_over, lambda: gone)

        self._waiting += 1
        try:
            return await loop.run_in_executor(self._pool, work)
        finally:
            gone = True  # a client that hung up is not written for any longer
            self._waiting -= 1

    def _load(self, model: str | None, progress: Progress) -> Engine:
        engine = MlxEngine(choose(model, progress=progress), progress=progress)
        engine.drafts(engine.template.before, form=Form(), temperatures=[0.0], max_tokens=1)  # a first answer is slow
        return engine

    def _written(self, asked: Asked, tell: Watch, is_gone: Callable[[], bool]) -> list[str]:
        until, wanted = time.monotonic() + self._seconds, asked.objects or asked.answers
        is_json = bool(asked.objects) or asked.form is not None
        engine = self._engine
        shown = asked.shown(diff_budget(engine.template, engine.max_seq_length, engine.count), engine.count)

        def watch(text: str) -> None:
            if is_gone():
                raise RefusalError(499, "The client hung up.")
            if time.monotonic() > until:
                raise RefusalError(504, f"No answer within {self._seconds:g} seconds.")
            if not is_json and (safe := _part(settled(text), asked)):
                tell(safe)

        try:
            found = offer_shown(
                engine,
                shown,
                SuggestConfig(candidates=wanted, temperature=asked.temperature, max_tokens=asked.max_tokens),
                wishes=Wishes(),
                asked=Conventions(_form(asked)),
                progress=Silent(),
                watch=watch,
            )
        except VerificationError as problem:
            raise RefusalError(500, problem.message) from None
        messages = [_parts(one.message, asked.form) if asked.form else _part(one.message, asked) for one in found]
        said = [messages[at % len(messages)] for at in range(wanted)]
        return [_array(said)] * asked.answers if asked.objects else said


def settled(text: str) -> str:
    """Return what of a header will not change any more: whole words, without what a cut end would take off."""
    header, _, rest = text.partition("\n")
    return (header if rest else header.rpartition(" ")[0]).rstrip(" .,;:")


def _form(asked: Asked) -> Form:
    if asked.form is not None:
        return asked.form
    return replace(Form(), forbids_scope=True, subject_chars=_DESCRIPTION_CHARS) if asked.wants_description else Form()


def _array(messages: Sequence[str]) -> str:
    """Return messages as the JSON that aicommit2 asks for (its src/utils/prompt.ts)."""
    return json.dumps([{"subject": message, "body": "", "footer": ""} for message in messages])


def _parts(message: str, form: Form) -> str:
    """Return the JSON of a header's parts that `form.schema` asks for, which has no place for a `!`."""
    header = parse(message)
    if header is None:
        raise RefusalError(500, f"The model's answer is no header: {message!r:.80}.")
    scope = {} if form.forbids_scope else {"scope": header.scope or ""}
    return json.dumps({"type": header.type, **scope, "description": header.description})


def _part(message: str, asked: Asked) -> str:
    return message.partition(": ")[2] if asked.wants_description else message
