"""Puts dataset/ into a wheel, as one archive: xz packs its text a third smaller than a wheel does.

The same files give the same bytes. `joco_mlx/models/shipped.py` unpacks it. An editable installation has the folder.
"""

import lzma
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ARCHIVE = "shipped_dataset.tar.xz"


class ShippedDataset(BuildHookInterface[Any]):
    """Hatchling's custom hook."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Pack the dataset and let it be included."""
        if version == "editable":
            return
        self._folder = tempfile.TemporaryDirectory()
        packed = Path(self._folder.name) / ARCHIVE
        pack(Path(self.root) / "dataset", packed)
        build_data["force_include"][str(packed)] = f"joco_mlx/{ARCHIVE}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was packed."""
        if version != "editable":
            self._folder.cleanup()


def pack(folder: Path, archive: Path) -> None:
    """Write the files of `folder`, which has no others below, into `archive`, as nobody's and of no time."""
    with lzma.open(archive, "wb", preset=9 | lzma.PRESET_EXTREME) as file, tarfile.open(fileobj=file, mode="w") as made:
        for path in sorted(folder.iterdir()):
            if path.is_file():
                entry = tarfile.TarInfo(path.name)
                entry.size, entry.mode = path.stat().st_size, 0o644
                with path.open("rb") as content:
                    made.addfile(entry, content)
