"""The picture of a run: loss against steps."""

import json
from pathlib import Path
from typing import Any

from joco_mlx.artifacts import whole_file

PICTURE = "loss.png"


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
    for name, label, style in (("loss", "training", "-"), ("val_loss", "validation", "o-")):
        steps, losses = _points(lines, name)
        if steps:
            axes.plot(steps, losses, style, label=label, linewidth=1.2, markersize=4)
    axes.set_xlabel("optimizer step")
    axes.set_ylabel("loss per answer token (nats)")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend()
    with whole_file(picture) as file:
        FigureCanvasAgg(figure).print_png(file)


def _points(lines: list[dict[str, Any]], name: str) -> tuple[list[int], list[float]]:
    found = [(line["step"], line[name]) for line in lines if name in line]
    return [step for step, _ in found], [value for _, value in found]
