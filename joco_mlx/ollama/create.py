"""From a GGUF and a Modelfile to a model in an Ollama server.

Decides the order: whatever could refuse is asked before a file of gigabytes is read or sent, and a blob that the server
has is never sent again. A model counts as made only when the server said `success`.
"""

import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from joco_mlx.errors import ConflictError, InputError, MachineError, UsageError, VerificationError
from joco_mlx.ollama.instructions import Instructions
from joco_mlx.ollama.server import ANSWER_SECONDS, Answer, Server
from joco_mlx.progress import Progress, task

_PIECE = 1 << 20
_FULL_DISK = ("no space left", "disk quota", "not enough space", "insufficient storage")
# Ollama's types/model/name.go: [host/][namespace/]model[:tag].
_NAME = re.compile(r"(?:[A-Za-z0-9][\w.:-]*/){0,2}[A-Za-z0-9_][\w.-]{0,79}(?::[A-Za-z0-9_][\w.-]{0,79})?", re.ASCII)


@dataclass(frozen=True)
class Created:
    """A model that a server now has."""

    name: str
    url: str
    digest: str
    """Of the blob that was given: `sha256:` and hexadecimal digits."""
    was_sent: bool
    """Whether the blob was sent; the server may have had it."""


def create(
    name: str, gguf: Path, instructions: Instructions, server: Server, *, force: bool = False, progress: Progress
) -> Created:
    """Make the model `name` in `server` out of a GGUF.

    Args:
        name: As Ollama names models: `joco`, `joco:latest`, `me/joco`.
        gguf: The weights.
        instructions: The Modelfile.
        server: Where to.
        force: Replace a model of that name.
        progress: Told of reading and sending in bytes, and of each thing the server does.

    Raises:
        UsageError: `name` is no name.
        InputError: The GGUF cannot be read, or is refused by the server.
        ConflictError: The model exists and `force` is off.
        MachineError: No server, an old one, a broken connection, no disk.
        VerificationError: What arrived is not what was sent.
    """
    require_room(name, server, force=force)
    digest = _digest(gguf, progress)
    missing = not _has_blob(digest, server)
    _require_disk(gguf, server, copies=2 if missing else 1)
    if missing:
        _send(gguf, digest, server, progress)
    _make(instructions.request(name, digest), server, progress)
    return Created(name, server.url, digest, missing)


def require_room(name: str, server: Server, *, force: bool) -> None:
    """Look whether `server` is there, new enough, and may be given a model `name`.

    Raises:
        UsageError, ConflictError, MachineError: As `create`.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name that Ollama takes.", "Use letters, digits, - and _: joco")
    server.require()
    if not force and _exists(name, server):
        raise ConflictError(
            f"Ollama at {server.url} has a model {name} already.", f"Replace it: --force, or use {name}-2"
        )


def _exists(name: str, server: Server) -> bool:
    answer = server.ask("POST", "/api/show", {"model": name})
    if answer.status not in (200, 404):
        raise _refused(answer, f"asking for {name}", server)
    return answer.status == 200


def _digest(gguf: Path, progress: Progress) -> str:
    made = hashlib.sha256()
    try:
        with gguf.open("rb") as file, task(progress, f"Reading {gguf.name}", gguf.stat().st_size, "B") as read:
            if file.read(4) != b"GGUF":
                raise InputError(f"{gguf} is no GGUF.", "Make one: joco-mlx fuse --export-gguf")
            file.seek(0)
            while piece := file.read(_PIECE):
                made.update(piece)
                read.advance(len(piece))
    except OSError as problem:
        raise InputError(
            f"{gguf} cannot be read: {problem.strerror or problem}.", "Make one: joco-mlx fuse --export-gguf"
        ) from problem
    return f"sha256:{made.hexdigest()}"


def _has_blob(digest: str, server: Server) -> bool:
    answer = server.ask("HEAD", f"/api/blobs/{digest}", seconds=6 * ANSWER_SECONDS)
    if answer.status not in (200, 404):
        raise _refused(answer, "asking for the weights", server)
    return answer.status == 200


def _require_disk(gguf: Path, server: Server, *, copies: int) -> None:
    """Ask the disk of a server on this computer: Ollama keeps the blob and rewrites it once more."""
    models = Path(os.environ.get("OLLAMA_MODELS") or Path.home() / ".ollama" / "models")
    if not server.is_here or not models.is_dir():
        return
    needed, free = copies * gguf.stat().st_size, shutil.disk_usage(models).free
    if free < needed:
        raise MachineError(
            f"Ollama needs {needed / 1e9:.2f} GB in {models} for this model, but {free / 1e9:.2f} GB are free.",
            "Remove a model that you no longer use: ollama list, then ollama rm NAME",
        )


def _send(gguf: Path, digest: str, server: Server, progress: Progress) -> None:
    nbytes = gguf.stat().st_size
    with gguf.open("rb") as file, task(progress, f"Sending {gguf.name} to Ollama", nbytes, "B") as sent:
        answer = server.send(f"/api/blobs/{digest}", file, nbytes, sent)
    if answer.status == 400 and "digest" in answer.complaint.lower():
        raise VerificationError(
            f"Ollama received other bytes than {gguf} had: {answer.complaint}.",
            "Was it written meanwhile? Check it: joco-mlx gguf verify FILE --against RUN, and try again.",
        )
    if answer.status not in (200, 201):
        raise _refused(answer, f"sending {gguf.name}", server)


def _make(request: dict[str, object], server: Server, progress: Progress) -> None:
    last = ""
    with task(progress, "Ollama makes the model"):
        for answer in server.stream("/api/create", request):
            if answer.status != 200 or "error" in answer.body:
                raise _refused(answer, f"making {request['model']}", server)
            status = str(answer.body.get("status", ""))
            if status and status != last:
                progress.note(f"Ollama: {status}")
                last = status
    if last != "success":
        raise MachineError(
            f"Ollama at {server.url} stopped before it was done; its last word was {last!r}.",
            "Look whether it still runs, and give the same command again: what it has is not sent twice.",
        )


def _refused(answer: Answer, doing: str, server: Server) -> MachineError | InputError:
    told = f"Ollama at {server.url} refused {doing}: {answer.complaint}."
    if any(words in answer.complaint.lower() for words in _FULL_DISK) or answer.status == 507:
        return MachineError(told, "Remove a model that you no longer use: ollama list, then ollama rm NAME")
    if answer.status in (404, 405):
        return MachineError(told, "Bring Ollama up to date: https://ollama.com/download")
    if answer.status < 500:
        return InputError(told, "See what Ollama wrote down: its log is server.log in ~/.ollama/logs")
    return MachineError(told, "See what Ollama wrote down: its log is server.log in ~/.ollama/logs")
