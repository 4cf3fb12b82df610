"""Finished runs: found, checked and opened."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joco_mlx import artifacts
from joco_mlx.artifacts import Artifact
from joco_mlx.bench.live import LiveBench
from joco_mlx.config import BENCH_FOLDER
from joco_mlx.errors import InputError

METRICS = "metrics.json"
CASES = "cases.jsonl"
"""The records that were asked, in their order."""


@dataclass(frozen=True)
class Bench:
    """A finished run."""

    artifact: Artifact
    metrics: dict[str, Any]

    @property
    def name(self) -> str:
        """What the run's folder is called."""
        return self.artifact.folder.name


@dataclass(frozen=True)
class Listed:
    """A run in the list; a figure is None while it is not finished."""

    id: str
    model: str
    cases: int
    valid: float | None = None
    type_accuracy: float | None = None
    chrf: float | None = None


def open_bench(folder: Path) -> Bench:
    """Open a finished run: a folder, or the id of one below `runs/bench`.

    Raises:
        InputError: There is none, or it is not finished or was changed.
    """
    places = (folder, BENCH_FOLDER / folder)
    found = [place for place in places if artifacts.is_finished(place)] or [place for place in places if place.is_dir()]
    if not found:
        raise InputError(
            f"There is no run {folder}, here or in {BENCH_FOLDER}.", "See what there is: joco-mlx bench runs"
        )
    place = found[0]
    artifact = artifacts.open_artifact(place, "bench", checked=True)
    return Bench(artifact, json.loads((place / METRICS).read_text("utf-8")))


def list_runs(root: Path = BENCH_FOLDER) -> list[Listed]:
    """Return the runs below `root` by name."""
    return [_listed(path.parent) for path in sorted(root.glob(f"*/{LiveBench.DOCUMENT}"))]


def _listed(folder: Path) -> Listed:
    if artifacts.is_finished(folder):
        bench = open_bench(folder)
        names = ("strict_validity", "type_accuracy")
        values = [bench.metrics[name]["value"] for name in names] + [bench.metrics["description"]["chrf"]["value"]]
        return Listed(folder.name, bench.artifact.manifest.config["name"], bench.metrics["cases"], *values)
    document = json.loads((folder / LiveBench.DOCUMENT).read_text("utf-8"))
    return Listed(folder.name, document["name"], document["cases"]["count"])
