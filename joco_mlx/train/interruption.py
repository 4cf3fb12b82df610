"""Ctrl-C between two steps instead of in the middle of one, or in another process."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def deferred_interrupts() -> Iterator[Callable[[], bool]]:
    """Hold the first Ctrl-C back for the length of a block; what is given says whether there was one.

    A second one interrupts at once. Outside the main thread Python delivers no signals, and nothing is held back.
    """
    seen = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield seen.is_set
        return
    before = signal.getsignal(signal.SIGINT)

    def first(_number: int, _frame: FrameType | None) -> None:
        seen.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, first)
    try:
        yield seen.is_set
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def handed_on_interrupts(hand_on: Callable[[], None]) -> Iterator[Callable[[], bool]]:
    """Call `hand_on` at each Ctrl-C for the length of a block, in place of interrupting it.

    What is given says whether there was one. Outside the main thread nothing changes.
    """
    seen = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield seen.is_set
        return

    def each(_number: int, _frame: FrameType | None) -> None:
        seen.set()
        hand_on()

    before = signal.signal(signal.SIGINT, each)
    try:
        yield seen.is_set
    finally:
        signal.signal(signal.SIGINT, before)
