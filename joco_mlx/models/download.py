"""A Hub repository becomes a folder in the Hub's own cache.

Decides which files are taken (safetensors, JSON, text and templates; never code, never pickles), that the disk is
large enough before the first byte, and how a failure is told. A pinned commit that is here already needs no network.
"""

import errno
import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub import constants, errors
from huggingface_hub import utils as hub_utils
from huggingface_hub.file_download import repo_folder_name

from joco_mlx.errors import InputError, JocoError, MachineError
from joco_mlx.models import cache, registry
from joco_mlx.models.weights_check import PICKLED
from joco_mlx.progress import Progress, Task, task

WANTED = ("*.safetensors", "*.json", "*.txt", "*.jinja")
_WATCH_SECONDS = 0.5
_COMMIT = re.compile("[0-9a-f]{40}")
_NO_HUB = "--model smollm2-135m"
_DISK_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)


@dataclass(frozen=True)
class Fetched:
    """A snapshot in the Hub's cache."""

    path: Path
    revision: str
    """The commit."""


def fetch(repository: str, revision: str | None, *, progress: Progress) -> Fetched:
    """Return the snapshot of a Hub repository, downloaded when it is not in the cache.

    Args:
        repository: `ORG/NAME`.
        revision: Commit, tag or ref; None takes the newest.
        progress: Shows the bytes as they come.

    Raises:
        InputError: No such repository or revision, or one without safetensors weights.
        MachineError: No network, a failing server, or too little disk.
    """
    with _quiet(), _telling(repository, revision):
        cached = _cached(repository, revision)
        if cached is not None:
            return cached
        listed = huggingface_hub.snapshot_download(repository, revision=revision, endpoint=_endpoint(), dry_run=True)
        wanted = _wanted(repository, listed)
        commit = wanted[0].commit_hash
        missing = sum(file.file_size or 0 for file in wanted if file.will_download)
        cache.require_disk(Path(constants.HF_HUB_CACHE), missing, f"The download of {repository}")
        title = f"Downloading {repository} ({missing / 1e6:.0f} MB)"
        with task(progress, title, missing, "B") as bar, _watching(repository, bar):
            path = huggingface_hub.snapshot_download(
                repository, revision=commit, endpoint=_endpoint(), allow_patterns=list(WANTED)
            )
    return Fetched(Path(path), commit)


def _cached(repository: str, revision: str | None) -> Fetched | None:
    """Return the snapshot when `revision` is a commit that lies complete in the cache: it can never change."""
    if revision is None or not _COMMIT.fullmatch(revision):
        return None
    try:
        path = huggingface_hub.snapshot_download(
            repository, revision=revision, allow_patterns=list(WANTED), local_files_only=True
        )
    except errors.LocalEntryNotFoundError:
        return None
    return Fetched(Path(path), revision)


def _wanted(repository: str, listed: Sequence[Any]) -> list[Any]:
    """Return the files to take, or say why there is nothing to take."""
    names = [file.filename for file in listed]
    if not any(name.endswith(".safetensors") for name in names):
        pickled = list(hub_utils.filter_repo_objects(names, allow_patterns=list(PICKLED)))
        what = f"only pickled weights ({pickled[0]}), which can run code" if pickled else "no safetensors weights"
        raise InputError(
            f"{repository} has {what}.", "Use a repository with safetensors weights; joco-mlx models lists some."
        )
    chosen = set(hub_utils.filter_repo_objects(names, allow_patterns=list(WANTED)))
    return [file for file in listed if file.filename in chosen]


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT") or constants.ENDPOINT


@contextmanager
def _watching(repository: str, bar: Task) -> Iterator[None]:
    """Report the bytes that arrive in the Hub's cache while the block runs.

    Watching the folder works for every transport that huggingface_hub has or will have.
    """
    blobs = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repository, repo_type="model") / "blobs"
    over = threading.Event()

    def watch() -> None:
        seen = _bytes_in(blobs)
        while not over.wait(_WATCH_SECONDS):
            now = _bytes_in(blobs)
            bar.advance(max(0, now - seen))
            seen = max(seen, now)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def _bytes_in(folder: Path) -> int:
    total = 0
    for file in folder.glob("*"):
        try:
            total += file.stat().st_size
        except FileNotFoundError:  # renamed between listing and asking
            continue
    return total


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep huggingface_hub from printing: what a user sees goes through `progress`."""
    bars_off, level = hub_utils.are_progress_bars_disabled(), hub_utils.logging.get_verbosity()
    hub_utils.disable_progress_bars()
    hub_utils.logging.set_verbosity_error()
    try:
        yield
    finally:
        hub_utils.logging.set_verbosity(level)
        if not bars_off:
            hub_utils.enable_progress_bars()


@contextmanager
def _telling(repository: str, revision: str | None) -> Iterator[None]:
    """Turn what huggingface_hub raises into one sentence and the next command."""
    try:
        yield
    except (OSError, ValueError, errors.HTTPError) as problem:
        cause = problem.__cause__ if isinstance(problem, errors.DryRunError) else problem
        raise _told(cause or problem, repository, revision) from problem


def _told(problem: BaseException, repository: str, revision: str | None) -> JocoError:
    if isinstance(problem, errors.RevisionNotFoundError):
        return InputError(f"{repository} has no revision {revision!r}.", "Give a commit, tag or branch that it has.")
    if isinstance(problem, errors.GatedRepoError):
        return InputError(
            f"{repository} is gated: its owners let in only those who asked.",
            "Accept its terms on its page, then log in: hf auth login",
        )
    if isinstance(problem, errors.RepositoryNotFoundError | errors.HFValidationError):
        near = ", ".join(registry.nearest(repository.rpartition("/")[2]))
        return InputError(
            f"There is no folder {repository} here, and no model of this name at {_endpoint()} (or it is private).",
            f"The nearest known names are: {near}.",
        )
    if isinstance(problem, OSError) and problem.errno in _DISK_ERRNOS:
        return MachineError(
            f"{constants.HF_HUB_CACHE} could not be written: {problem.strerror}.",
            "Free some disk, or put the Hub's cache elsewhere: HF_HOME.",
        )
    if constants.HF_HUB_OFFLINE:
        return MachineError(
            f"{repository} is not on this machine, and HF_HUB_OFFLINE forbids to fetch it.",
            f"Unset HF_HUB_OFFLINE, or use the model that needs no hub: {_NO_HUB}",
        )
    status = getattr(getattr(problem, "response", None), "status_code", None)
    reason = f"it answered {status}" if status else "it cannot be reached"
    return MachineError(
        f"{repository} is not on this machine, and it could not be fetched from {_endpoint()}: {reason}.",
        f"Connect to the network, set HF_ENDPOINT to a mirror, or use the model that needs no hub: {_NO_HUB}",
    )
