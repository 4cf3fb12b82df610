"""`joco-mlx plan`: what training takes, by arithmetic, on this machine or another."""

from collections.abc import Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from joco_mlx.cli import render
from joco_mlx.cli.settings import option, train_settings
from joco_mlx.config import TrainConfig, flag
from joco_mlx.errors import UsageError

if TYPE_CHECKING:
    from joco_mlx.models.memory import MemoryPlan

MEMORY_COLUMNS = ("base", "LoRA", "Adam", "layers", "head", "total", "again")
"""As short as a terminal of 80 columns wants them; `MEMORY_LEGEND` says what they are."""
MEMORY_LEGEND = (
    "base: its weights; LoRA: the adapters and their gradients; Adam: its state;",
    "layers: what they keep for the gradients; head: the logits and theirs;",
    "again: what is computed a second time in place of being kept (-: nothing;",
    "part: what lies between the matmuls; all: whole layers).",
)
_AGAIN_WORDS = {"none": "nothing", "segments": "between matmuls", "layer": "layers"}
_AGAIN_CELLS = {"none": "-", "segments": "part", "layer": "all"}
GUIDE_MODELS = ("qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b", "qwen2.5-coder-3b", "deepseek-coder-1.3b")
LENGTHS = (1_024, 2_048)
_UNITS = {"GB": 1e9, "GIB": 2**30, "MB": 1e6, "MIB": 2**20}


def plan(
    memory: Annotated[
        str | None, typer.Option("--memory", help="Plan for a GPU with this budget, such as 5.46GB (a Mac with 8 GB).")
    ] = None,
    rank: Annotated[int | None, option(TrainConfig, "rank")] = None,
    batch_size: Annotated[int | None, option(TrainConfig, "batch_size")] = None,
    layers: Annotated[int | None, option(TrainConfig, "layers")] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Time three steps of a run here, and say its hours.")
    ] = False,
    model: Annotated[str | None, option(TrainConfig, "model")] = None,
    data: Annotated[Path | None, option(TrainConfig, "data")] = None,
    steps: Annotated[int | None, option(TrainConfig, "steps")] = None,
    epochs: Annotated[float | None, option(TrainConfig, "epochs")] = None,
    grad_accumulation: Annotated[int | None, option(TrainConfig, "grad_accumulation")] = None,
    max_seq_length: Annotated[int | None, option(TrainConfig, "max_seq_length")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say how much memory training takes: the guide's models at 1,024 and 2,048 tokens, each in the form that fits.

    `joco-mlx train --dry-run` says it for one model and the lengths of a dataset; --measure says how long that takes.
    """
    from joco_mlx.models.memory import this_machine_budget

    flags = {"rank": rank, "batch_size": batch_size, "layers": layers}
    run = {
        "model": model, "data": data, "steps": steps, "epochs": epochs, "grad_accumulation": grad_accumulation,
        "max_seq_length": max_seq_length,
    }  # fmt: skip
    if measure:
        _measure({**flags, **run}, memory, json=json)
        return
    _refuse_without_measure(run)
    budget = this_machine_budget() if memory is None else read_bytes(memory)
    elsewhere = memory is not None
    rows = [
        (name, _planned(name, tokens, budget, flags, elsewhere=elsewhere))
        for name, tokens in product(GUIDE_MODELS, LENGTHS)
    ]
    if json:
        plans = [
            {"model": name, **asdict(made), "total": made.total, "fits": made.total <= budget} for name, made in rows
        ]
        render.say_json({"budget_bytes": budget, "plans": plans})
        return
    _show(rows, budget)


def _show(rows: "Sequence[tuple[str, MemoryPlan]]", budget: int) -> None:
    """Print a table that fits 80 columns, and below it what its words mean."""
    fits = [made.total <= budget for _, made in rows]
    cells = [
        (name, f"{made.tokens:,}", *memory_cells(made), "yes" if enough else "no")
        for (name, made), enough in zip(rows, fits, strict=True)
    ]
    render.table(("model", "tokens", *MEMORY_COLUMNS, "fits"), cells, right=("tokens", *MEMORY_COLUMNS[:-1]))
    render.say(f"\nIn GB, for a budget of {budget / 1e9:.2f} GB.")
    if not all(fits):
        render.say("Where it says no: fewer --max-seq-length tokens, or a smaller --model.")
    for line in MEMORY_LEGEND:
        render.say(line)


def _measure(flags: dict[str, Any], memory: str | None, *, json: bool) -> None:
    """Time steps and show what follows."""
    from joco_mlx.train.measure import measure

    if memory is not None:
        raise UsageError("--memory plans for another machine, but --measure times this one.", "Leave one of them out.")
    with render.progress() as progress:
        found = measure(train_settings(flags), progress=progress)
    if json:
        render.say_json({**asdict(found), "hours": found.hours})
        return
    columns = ("tokens", "answer", "computed again", "seconds a batch", "peak GB", "planned GB")
    rows = [
        (
            f"{one.tokens:,}", f"{one.answers:,}", _AGAIN_WORDS[one.checkpointing], f"{one.seconds:.3g}",
            f"{one.peak_bytes / 1e9:.2f}", f"{one.planned_bytes / 1e9:.2f}",
        )
        for one in found.shapes
    ]  # fmt: skip
    render.table(columns, rows, right=(*columns[:2], *columns[3:]))
    render.say(f"\nThe commonest and the largest shape of {found.model} on {found.device}, the median of three.")
    render.say(
        f"{found.steps:,} steps of {found.step_seconds:.3g} s: {found.training_hours:.2f} h,"
        f" and {found.validations:,} validations: {found.validation_hours:.2f} h."
    )
    render.say(f"In all about {found.hours:.2f} hours.")


def _refuse_without_measure(flags: dict[str, Any]) -> None:
    for name, value in flags.items():
        if value is not None:
            raise UsageError(
                f"{flag(name)} {value} is for --measure only.", "Add --measure, or ask joco-mlx train --dry-run."
            )


def memory_cells(made: "MemoryPlan") -> tuple[str, ...]:
    """Return a memory plan under `MEMORY_COLUMNS`, in GB."""
    parts = (made.weights, made.adapters, made.optimizer, made.activations, made.head, made.total)
    return (*map(_gigabytes, parts), _AGAIN_CELLS[made.checkpointing])


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.2f}" if size < 9.995e9 else f"{size / 1e9:.1f}"


def read_bytes(text: str) -> int:
    """Return `5.46GB` as bytes.

    Raises:
        UsageError: It is no number with a unit.
    """
    number = text.strip().rstrip("GgMmIiBb ")
    unit = text.strip()[len(number) :].strip().upper()
    try:
        found = int(float(number) * _UNITS[unit])
    except (ValueError, KeyError, OverflowError):
        found = 0
    if found <= 0:
        raise UsageError(f"--memory is {text!r}, which is no size.", "Give a number with GB or MB: --memory 5.46GB")
    return found


def _planned(name: str, tokens: int, budget: int, flags: dict[str, Any], *, elsewhere: bool) -> "MemoryPlan":
    from joco_mlx.models.registry import find
    from joco_mlx.train.plan import choose_form

    entry = find(name)
    assert entry is not None
    config = train_settings({"model": name, **flags})
    return choose_form(config, entry.shape, tokens, budget, device="gpu" if elsewhere else None)
