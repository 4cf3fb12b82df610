"""What passes between the stages: folders on disk that are complete exactly when they have a manifest.

Decides how an artefact is stored, sealed and checked on opening. A file appears under its final name only when it is
whole (temporary name, fsync, rename), and `manifest.json` is written last. Leaves what is inside to the stages.
"""

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import IO, Any, Literal

from joco_mlx.errors import ConflictError, InputError, MachineError

Kind = Literal["dataset", "run", "fused", "gguf", "bench"]
SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
_NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)
OTHER_PLACE = "Free some disk or choose another --out."
MAKERS = {
    "dataset": "joco-mlx dataset curate",
    "run": "joco-mlx train",
    "fused": "joco-mlx fuse",
    "gguf": "joco-mlx fuse --export-gguf",
    "bench": "joco-mlx bench run",
}


@dataclass(frozen=True)
class Manifest:
    """What `manifest.json` says of a finished artefact."""

    kind: Kind
    schema_version: int
    config: Mapping[str, Any]
    parents: Mapping[str, str]
    """Name of each artefact this one was made from -> SHA-256 of its manifest."""
    versions: Mapping[str, str]
    files: Mapping[str, str]
    """Path below the folder -> SHA-256 of the file."""


@dataclass(frozen=True)
class Artifact:
    """A finished folder and its manifest."""

    folder: Path
    manifest: Manifest

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest: names this artefact and, through it, every file."""
        return sha256(self.folder / MANIFEST)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def refuse_existing(path: Path, *, force: bool = False) -> None:
    """Raise ConflictError when `path` exists and nobody said that it may be replaced."""
    if not force and (path.exists() or path.is_symlink()):
        raise ConflictError(f"{path} exists already.", "Choose another --out, or move the old one away.")


def require_writable(path: Path) -> None:
    """Raise MachineError when a file under this name could not be written now; nothing is left behind."""
    with telling_disk_errors(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        parent = next(place for place in path.absolute().parents if os.path.lexists(place))
        with tempfile.TemporaryFile(dir=parent):
            pass


@contextmanager
def whole_file(path: Path, *, mode: int | None = None) -> Iterator[IO[bytes]]:
    """Write a file that appears under `path` only when the block ends well, flushed to the disk.

    Its permissions are `mode`, else those that the umask leaves.

    Raises:
        MachineError: The disk is full or the folder cannot be written. Nothing is left behind.
    """
    with whole_path(path, mode=mode) as temporary, temporary.open("wb") as file:
        yield file


@contextmanager
def whole_path(path: Path, *, mode: int | None = None) -> Iterator[Path]:
    """Like `whole_file`, for writers that want a name instead of a file object."""
    with telling_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            _make_durable(temporary)
            temporary.chmod(0o666 & ~_umask() if mode is None else mode)
            temporary.replace(path)
            _sync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path, *, force: bool = False) -> Iterator[Path]:
    """Fill a folder that appears under `path` only when the block ends well.

    Raises:
        ConflictError: `path` exists and `force` is off.
        MachineError: The disk is full or the parent cannot be written. Nothing is left behind.
    """
    refuse_existing(path, force=force)
    with telling_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
        try:
            temporary.chmod(0o777 & ~_umask())
            yield temporary
            for file in sorted(temporary.rglob("*")):
                if file.is_file():
                    _make_durable(file)
            _exchange(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path, text: str, *, mode: int | None = None) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with whole_file(path, mode=mode) as file:
        file.write(text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def seal(
    folder: Path, kind: Kind, *, config: Mapping[str, Any], parents: Mapping[str, str], files: Sequence[Path]
) -> Artifact:
    """Write the manifest that makes `folder` a finished artefact of `kind`.

    Args:
        folder: Where the files already lie under their final names.
        kind: What it is.
        config: The resolved configuration.
        parents: Name -> digest of each artefact it was made from.
        files: The files below `folder` that belong to it.
    """
    listed = {file.relative_to(folder).as_posix(): sha256(file) for file in sorted(files)}
    content = {
        "kind": kind,
        "schema_version": SCHEMA_VERSION,
        "config": dict(config),
        "parents": dict(parents),
        "versions": versions(),
        "files": listed,
    }
    write_json(folder / MANIFEST, content)
    return open_artifact(folder, kind)


def open_artifact(folder: Path, kind: Kind, *, checked: bool = False) -> Artifact:
    """Open a finished artefact.

    Args:
        folder: The folder with the manifest.
        kind: What the caller needs it to be.
        checked: Also compare every file's SHA-256 (a missing file is always noticed).

    Raises:
        InputError: It does not exist, is unfinished, of another kind or schema, or a file is missing or changed.
    """
    if not folder.is_dir():
        raise InputError(f"There is no {kind} at {folder}.", f"Make one: {MAKERS[kind]}")
    manifest = _read_manifest(folder, kind)
    if manifest.kind != kind:
        raise InputError(f"{folder} is a {manifest.kind}, not a {kind}.", f"Make one: {MAKERS[kind]}")
    for name, digest in manifest.files.items():
        file = folder / name
        if not file.is_file():
            raise InputError(f"{file} is missing, but the manifest lists it.", f"Make it again: {MAKERS[kind]}")
        if checked and sha256(file) != digest:
            raise InputError(f"{file} was changed after it was finished.", f"Make it again: {MAKERS[kind]}")
    return Artifact(folder, manifest)


def is_finished(folder: Path) -> bool:
    """Whether `folder` holds a manifest."""
    return (folder / MANIFEST).is_file()


def versions() -> dict[str, str]:
    """Return the versions of the packages that shape an artefact's bytes; absent ones are left out."""
    found = {}
    for package in ("joco-mlx", "mlx", "mlx-lm", "numpy", "tokenizers", "gguf"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


@contextmanager
def telling_disk_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal to write into a MachineError that names `path`."""
    try:
        yield
    except OSError as problem:
        if isinstance(problem, FileNotFoundError | TimeoutError | ConnectionError):
            raise
        reason, parent = problem.strerror or str(problem), _existing_parent(path.parent).resolve()
        if problem.errno in _NOT_ALLOWED:
            raise MachineError(
                f"{path} could not be written: {reason}.", f"Choose another place, or make {parent} writable."
            ) from problem
        if problem.errno == errno.EISDIR:
            raise MachineError(f"{path} could not be written: it is a folder.", "Name a file.") from problem
        free = shutil.disk_usage(parent).free / 1e9
        raise MachineError(f"{path} could not be written: {reason} ({free:.1f} GB free).", OTHER_PLACE) from problem


def require_disk(path: Path, needed_bytes: int, what: str, hint: str = OTHER_PLACE) -> None:
    """Raise MachineError when the disk under `path` has less free than `needed_bytes` for `what`."""
    parent = _existing_parent(path)
    free = shutil.disk_usage(parent).free
    if free < needed_bytes:
        raise MachineError(
            f"{what} needs {needed_bytes / 1e9:.2f} GB, but {parent} has {free / 1e9:.2f} GB free.", hint
        )


def _read_manifest(folder: Path, kind: Kind) -> Manifest:
    path = folder / MANIFEST
    if not path.is_file():
        raise InputError(f"{folder} has no {MANIFEST}: it is unfinished or no {kind}.", f"Make one: {MAKERS[kind]}")
    try:
        content = json.loads(path.read_text("utf-8"))
        schema = int(content["schema_version"])
        if schema != SCHEMA_VERSION:
            raise InputError(
                f"{path} has schema version {schema}, but this joco-mlx reads {SCHEMA_VERSION}.",
                f"Make it again: {MAKERS[kind]}",
            )
        return Manifest(
            content["kind"], schema, content["config"], content["parents"], content["versions"], content["files"]
        )
    except (ValueError, KeyError, TypeError) as problem:
        raise InputError(f"{path} is damaged: {problem}.", f"Make it again: {MAKERS[kind]}") from problem


def _exchange(new: Path, final: Path) -> None:
    """Put `new` where `final` is; what was there is removed only after the new one stands."""
    old = None
    if final.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{final.name}.", suffix=".old", dir=final.parent)) / "old"
        final.replace(old)
    new.replace(final)
    _sync(final.parent)
    if old is not None:
        shutil.rmtree(old.parent)


def _make_durable(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Flush a folder's entries, so that a rename survives a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _existing_parent(path: Path) -> Path:
    for parent in (path, *path.resolve().parents):
        if parent.is_dir():
            return parent
    return Path.cwd()
