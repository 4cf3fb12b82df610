"""The dataset that ships with a wheel: one compressed archive there, a folder in our cache once somebody needs it.

Decides that: records are text, which xz packs a third smaller than a wheel does, and a wheel has to stay small. A checkout
has the folder itself and no archive. `scripts/build_hook.py` makes the archive.
"""

import tarfile
from pathlib import Path

from joco_mlx import artifacts
from joco_mlx.models.cache import cache_folder, locked

ARCHIVE = Path(__file__).parents[1] / "shipped_dataset.tar.xz"
_DIGEST_CHARS = 16


def shipped_dataset(archive: Path = ARCHIVE) -> Path | None:
    """Return the folder of the dataset in `archive`, unpacked when it is not yet; None where there is no archive.

    Raises:
        MachineError: It cannot be unpacked into the cache.
    """
    if not archive.is_file():
        return None
    folder = cache_folder() / "datasets" / artifacts.sha256(archive)[:_DIGEST_CHARS]
    with locked(folder):
        if not artifacts.is_finished(folder):
            with artifacts.telling_disk_errors(folder), artifacts.whole_folder(folder, force=True) as made:
                _unpack(archive, made)
    return folder


def _unpack(archive: Path, folder: Path) -> None:
    """Write the plain files of an archive of ours into `folder`."""
    with tarfile.open(archive, "r:xz") as packed:
        for entry in packed:
            content = packed.extractfile(entry)
            if content is not None:
                (folder / Path(entry.name).name).write_bytes(content.read())
