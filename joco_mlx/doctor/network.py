"""Whether the model hub and Ollama answer, asked at once and for a second at most.

Decides what counts as reachable: any HTTP answer of the hub. A name that does not resolve can hang for longer than
anybody waits for a diagnosis, so the question is asked in a thread that is left behind.
"""

import os
import queue
import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import TypeVar

from joco_mlx.doctor.report import Hub, Ollama
from joco_mlx.errors import JocoError
from joco_mlx.ollama.server import Server

LONGEST_SECONDS = 1.0
_HUB = "https://huggingface.co"
_OFF = ("", "0", "false", "no", "off")
Answer = TypeVar("Answer")


def in_time(question: Callable[[], Answer], late: Answer) -> Callable[[], Answer]:
    """Begin to ask; what comes back waits for the answer, or gives `late` when it takes too long."""
    answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
    threading.Thread(target=lambda: answers.put(question()), daemon=True).start()

    def answer() -> Answer:
        try:
            return answers.get(timeout=LONGEST_SECONDS)
        except queue.Empty:
            return late

    return answer


def hub_address() -> str:
    """Return where models are fetched from."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or _HUB


def ask_hub() -> Hub:
    """Ask the model hub for nothing in particular."""
    address = hub_address()
    if os.environ.get("HF_HUB_OFFLINE", "").lower() not in _OFF:
        return Hub(address, False, "HF_HUB_OFFLINE is set")
    request = urllib.request.Request(address, method="HEAD")  # noqa: S310  (the address is the user's own setting)
    try:
        with urllib.request.urlopen(request, timeout=LONGEST_SECONDS) as answer:  # noqa: S310  (the same)
            return Hub(address, True, f"answers {answer.status}")
    except urllib.error.HTTPError as problem:
        return Hub(address, True, f"answers {problem.code}")
    except (OSError, ValueError) as problem:
        return Hub(address, False, str(getattr(problem, "reason", problem)))


def late_hub() -> Hub:
    """Return what is said of a hub that did not answer in time."""
    return Hub(hub_address(), False, f"no answer within {LONGEST_SECONDS:g} s")


def ask_ollama() -> Ollama:
    """Ask the Ollama server for its version."""
    installed = shutil.which("ollama") is not None
    try:
        server = Server.at(None)
        answer = server.ask("GET", "/api/version", seconds=LONGEST_SECONDS)
        version = str(answer.body.get("version") or "") or None
    except JocoError as problem:
        return Ollama(installed, False, None, False, problem.message)
    try:
        server.require()
    except JocoError as problem:
        return Ollama(installed, version is not None, version, False, problem.message)
    return Ollama(installed, True, version, True, f"{server.url} is version {version}")


def late_ollama() -> Ollama:
    """Return what is said of a server that did not answer in time."""
    return Ollama(shutil.which("ollama") is not None, False, None, False, f"no answer within {LONGEST_SECONDS:g} s")
