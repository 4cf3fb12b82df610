"""`joco-mlx quickstart`: the whole line, with messages before and after."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from joco_mlx.cli import render
from joco_mlx.cli.export import show_export
from joco_mlx.cli.settings import option, train_settings
from joco_mlx.config import QUICKSTART_MODEL, TrainConfig
from joco_mlx.errors import UsageError
from joco_mlx.models import registry

DIFF_LINES = 6
LINE_CHARS = 100

if TYPE_CHECKING:
    from joco_mlx.quickstart import Case, Report


def quickstart(
    model: Annotated[str, typer.Option("--model", help="Base model; `default` is the real 1.5B.")] = QUICKSTART_MODEL,
    data: Annotated[Path | None, option(TrainConfig, "data")] = None,
    out: Annotated[Path | None, option(TrainConfig, "out")] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", help="Optimizer steps; as many as suit the model when not given.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it costs, and stop.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Train, fuse, export and compare: the whole line in minutes, with no model hub by default."""
    config = train_settings({"model": model, "data": data, "out": out, "steps": steps})
    if dry_run or not json:
        _show_costs(config, json=json, required=dry_run)
    if dry_run:
        return
    from joco_mlx import quickstart as line

    with render.progress() as progress:
        report = line.quickstart(config, progress=progress)
    if json:
        render.say_json(_as_json(report))
    else:
        _show(report)


def _show_costs(config: TrainConfig, *, json: bool, required: bool) -> None:
    """Show what a model of the registry costs; of another nothing is known, which is an error when it is `required`."""
    from joco_mlx.quickstart import estimate

    base = registry.find(config.model)
    if base is None:
        if required:
            raise UsageError(
                f"What {config.model!r} costs is not known: it is no model of the registry.",
                f"See those: joco-mlx models, or plan this one: joco-mlx train --model {config.model} --dry-run",
            )
        return
    cost = estimate(config, base)
    if json:
        render.say_json({"model": base.name, "steps": config.steps, **dataclasses.asdict(cost)})
        return
    megabytes, minutes = cost.download_bytes / 1e6, cost.download_seconds / 60
    render.say(
        f"{base.name}: {config.steps} steps, about {cost.training_seconds / 60:.0f} minutes of training (a guess)."
    )
    render.say(
        f"Download {megabytes:,.0f} MB once ({minutes:.1f} minutes at 50 Mbit/s), disk {cost.disk_bytes / 1e9:.1f} GB."
    )


def _show(report: "Report") -> None:
    for number, case in enumerate(report.shown, 1):
        _show_case(number, case)
    count = len(report.cases)
    render.heading("Strictly valid messages (commitlint's rules, free decoding)")
    rows = [("base model", report.valid_before), ("tuned model", report.valid_after)]
    shares = [(who, f"{valid} of {count}", f"{valid / count:.0%}" if count else "-") for who, valid in rows]
    render.table(("Who", "Valid", "Share"), shares, right=("Valid", "Share"))
    render.say(f"{count} of {report.validation_records} records of the validation split, none of them trained on.")
    render.heading("What was made")
    show_export(report.files, json=False)
    render.say(f"Run: {report.run.folder}")
    spent = ", ".join(f"{stage} {seconds:.0f} s" for stage, seconds in report.seconds.items())
    render.say(f"Time: {spent}")


def _show_case(number: int, case: "Case") -> None:
    about = case.record.metadata
    render.heading(f"Held-out diff {number}: {about.repository} {about.commit_hash[:10]}")
    for line in _excerpt(case):
        render.say(f"    {line}")
    rows = (("people", case.record.output), ("base model", case.base), ("tuned model", case.tuned))
    for who, message in rows:
        first = message.strip().splitlines()[0] if message.strip() else "(nothing)"
        render.say(f"  {who:>11}: {first}")


def _excerpt(case: "Case") -> list[str]:
    """Return the files of a diff, a line each, and its first changed lines."""
    from joco_mlx.commit.diff import parse_diff
    from joco_mlx.commit.fit import head
    from joco_mlx.commit.prompt import neutralise

    changes = parse_diff(case.record.input)
    files = neutralise(head(changes)).splitlines()
    hunks = (line for change in changes for hunk in change.hunks for line in neutralise(hunk).splitlines())
    changed = [line[:LINE_CHARS] for line in hunks if line[:1] in ("+", "-") and line[1:].strip()]
    more = [f"... {len(changed) - DIFF_LINES} more changed lines"] if len(changed) > DIFF_LINES else []
    return [*files, *changed[:DIFF_LINES], *more]


def _as_json(report: "Report") -> dict[str, Any]:
    cases = [
        {"id": case.record.metadata.id, "people": case.record.output, "base": case.base, "tuned": case.tuned}
        for case in report.cases
    ]
    return {
        "run": report.run.folder,
        "gguf": report.files.gguf.path,
        "modelfile": report.files.modelfile,
        "cases": cases,
        "valid_before": report.valid_before,
        "valid_after": report.valid_after,
        "seconds": report.seconds,
    }
