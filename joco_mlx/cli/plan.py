"""`joco-mlx plan`: what training takes, by arithmetic, on this machine or another."""

from dataclasses import asdict
from itertools import product
from typing import TYPE_CHECKING, Annotated, Any

import typer

from joco_mlx.cli import render
from joco_mlx.cli.settings import option, train_settings
from joco_mlx.config import TrainConfig
from joco_mlx.errors import UsageError

if TYPE_CHECKING:
    from joco_mlx.models.memory import MemoryPlan

MEMORY_COLUMNS = ("weights", "adapters", "optimizer", "activations", "head", "total", "computed again")
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
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say how much memory training takes: the guide's models at 1,024 and 2,048 tokens, each in the form that fits.

    `joco-mlx train --dry-run` says it for one model and the lengths of a dataset.
    """
    from joco_mlx.models.memory import this_machine_budget

    budget = this_machine_budget() if memory is None else read_bytes(memory)
    flags = {"rank": rank, "batch_size": batch_size, "layers": layers}
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
    cells = [(name, f"{made.tokens:,}", *memory_cells(made), _advice(made, budget)) for name, made in rows]
    render.table(("model", "tokens", *MEMORY_COLUMNS, "fits"), cells, right=("tokens", *MEMORY_COLUMNS[:-1]))
    render.say(f"\nIn GB, for a budget of {budget / 1e9:.2f} GB.")


def memory_cells(made: "MemoryPlan") -> tuple[str, ...]:
    """Return a memory plan under `MEMORY_COLUMNS`, in GB."""
    parts = (made.weights, made.adapters, made.optimizer, made.activations, made.head, made.total)
    again = {"none": "nothing", "segments": "between matmuls", "layer": "layers"}
    return (*(f"{part / 1e9:.2f}" for part in parts), again[made.checkpointing])


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


def _advice(made: "MemoryPlan", budget: int) -> str:
    return "yes" if made.total <= budget else "no: fewer --max-seq-length tokens, or a smaller --model"
