"""The picture of a run: loss against steps.

One step is few records, so that its loss says little: it is drawn faintly, and its mean over the last steps as a line.
"""

import json
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from joco_mlx.artifacts import whole_file

PICTURE = "loss.png"
_SHARE = 40
"""The mean is over a fortieth of the run."""


def plot_loss(metrics: Path, picture: Path) -> None:
    """Draw training and validation loss of a `metrics.jsonl` into a PNG file.

    Raises:
        MachineError: The picture cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415  (slow to import)
    from matplotlib.figure import Figure  # noqa: PLC0415

    lines = [json.loads(line) for line in metrics.read_text("utf-8").splitlines()]
    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    steps, losses = _points(lines, "loss")
    window = max(1, len(losses) // _SHARE)
    if steps:
        axes.plot(steps, losses, color="C0", linewidth=0.6, alpha=0.3)
        axes.plot(steps, running_mean(losses, window), color="C0", linewidth=1.6, label=_label(window))
    judged, validation = _points(lines, "val_loss")
    if judged:
        axes.plot(judged, validation, "o-", color="C1", linewidth=1.6, markersize=4, label="validation")
    axes.set_xlabel("optimizer step")
    axes.set_ylabel("loss per answer token (nats)")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend()
    with whole_file(picture) as file:
        FigureCanvasAgg(figure).print_png(file)


def running_mean(values: Sequence[float], window: int) -> list[float]:
    """Return the mean of each value and those before it, `window` of them where there are so many."""
    sums = [0.0, *accumulate(values)]
    return [(sums[end] - sums[max(0, end - window)]) / min(window, end) for end in range(1, len(sums))]


def _label(window: int) -> str:
    return "training" if window == 1 else f"training, mean of {window} steps"


def _points(lines: list[dict[str, Any]], name: str) -> tuple[list[int], list[float]]:
    found = [(line["step"], line[name]) for line in lines if name in line]
    return [step for step, _ in found], [value for _, value in found]
