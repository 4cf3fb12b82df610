"""`joco-mlx models`: the base models, what they cost, and whether they fit this machine."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from joco_mlx.cli import render
from joco_mlx.config import DEFAULT_MODEL, TrainConfig
from joco_mlx.models import registry
from joco_mlx.models.registry import BaseModel

_COLUMNS = ("name", "quality", "download", "planned memory", "fits here", "licence", "template")


def models(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the base models with the guide's quality, licence, size and the memory that training plans."""
    from joco_mlx.models import memory

    budget = memory.this_machine_budget()
    rows = [_row(model, budget) for model in registry.MODELS]
    if json:
        render.say_json({"budget_bytes": budget, "default": DEFAULT_MODEL, "models": rows})
        return
    render.table(_COLUMNS, [_cells(row) for row in rows], right=("download", "planned memory"))
    render.say(f"\nThis machine's budget for training is {budget / 1e9:.1f} GB; the default is {DEFAULT_MODEL}.")
    for row in rows:
        if row["note"]:
            render.say(f"{row['name']}: {row['note']}")


def _row(model: BaseModel, budget: int) -> dict[str, Any]:
    from joco_mlx.models import memory

    config = TrainConfig(**{"model": model.name, **model.training})
    planned = memory.planned_bytes(model.shape, config.max_seq_length, config.rank)
    described = {name: value for name, value in asdict(model).items() if name not in ("shape", "training")}
    return {**described, "planned_bytes": planned, "max_seq_length": config.max_seq_length, "fits": planned <= budget}


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    name = row["name"] + (" (default)" if row["name"] == DEFAULT_MODEL else "")
    planned = f"{row['planned_bytes'] / 1e9:.1f} GB at {row['max_seq_length']}"
    download = f"{row['download_bytes'] / 1e6:,.0f} MB"
    licence = row["licence"] + (" (research only)" if row["research_only"] else "")
    return name, row["quality"], download, planned, "yes" if row["fits"] else "no", licence, row["template"]
