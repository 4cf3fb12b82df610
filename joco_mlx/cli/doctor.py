"""`joco-mlx doctor`: what this machine can do, and how to repair what it cannot."""

from typing import TYPE_CHECKING, Annotated

import typer

from joco_mlx.cli import render
from joco_mlx.errors import MachineError

if TYPE_CHECKING:
    from joco_mlx.doctor.report import Report


def doctor(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Look at system, memory, backends, versions, hub, Ollama and disk, and say how to repair what is wrong.

    Ends with exit code 4 when something keeps the default way from working.
    """
    from joco_mlx.doctor.examine import examine

    report = examine()
    if json:
        render.say_json(report.to_json())
    else:
        _show(report)
    if not report.is_able:
        raise typer.Exit(MachineError.exit_code)


def _show(report: "Report") -> None:
    found, memory, disk = report.platform, report.memory, report.disk
    card = report.card
    rows = [
        ("System", f"{found['system']} {found['release']} on {found['architecture']}, Python {found['python']}"),
        (
            "Memory",
            f"{memory['physical_bytes'] / 1e9:.1f} GB, of which training plans {memory['budget_bytes'] / 1e9:.1f}",
        ),
        ("MLX computes on", report.device + (f" with {report.blas}" if report.blas else "")),
        ("NVIDIA card", f"{card['name']}, {card['memory_bytes'] / 1e9:.1f} GB" if card else "none"),
        ("Model hub", f"{report.hub.address}: {report.hub.reason}"),
        ("Ollama", report.ollama.reason),
        ("Disk", f"{disk.free_bytes / 1e9:.1f} GB free, {disk.needed_bytes / 1e9:.1f} GB for the default model"),
        ("Packages", ", ".join(f"{name} {package.version}" for name, package in report.packages.items())),
    ]
    render.table(("What", "Found"), rows)
    render.heading("Backends")
    marks = [
        (name + (" (auto)" if name == report.auto else ""), "yes" if verdict.usable else "no", verdict.reason)
        for name, verdict in report.backends.items()
    ]
    render.table(("backend", "able", "why"), marks)
    render.heading("Problems" if report.problems else "No problems")
    for problem in report.problems:
        render.say(("! " if problem.blocking else "- ") + problem.what)
        render.say(f"    {problem.fix}")
