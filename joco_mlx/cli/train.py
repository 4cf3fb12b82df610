"""`joco-mlx train`: from a dataset to a run."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from joco_mlx.artifacts import Artifact
from joco_mlx.cli import render
from joco_mlx.cli.plan import MEMORY_COLUMNS, MEMORY_LEGEND, memory_cells
from joco_mlx.cli.settings import option, train_settings
from joco_mlx.config import TrainConfig
from joco_mlx.errors import UsageError
from joco_mlx.progress import Progress


def train(
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="With --resume: the run; else the newest.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an unfinished run, bit for bit.")] = False,
    model: Annotated[str | None, option(TrainConfig, "model")] = None,
    data: Annotated[Path | None, option(TrainConfig, "data")] = None,
    out: Annotated[Path | None, option(TrainConfig, "out")] = None,
    steps: Annotated[int | None, option(TrainConfig, "steps")] = None,
    epochs: Annotated[float | None, option(TrainConfig, "epochs")] = None,
    batch_size: Annotated[int | None, option(TrainConfig, "batch_size")] = None,
    grad_accumulation: Annotated[int | None, option(TrainConfig, "grad_accumulation")] = None,
    max_seq_length: Annotated[int | None, option(TrainConfig, "max_seq_length")] = None,
    learning_rate: Annotated[float | None, option(TrainConfig, "learning_rate")] = None,
    warmup_steps: Annotated[int | None, option(TrainConfig, "warmup_steps")] = None,
    rank: Annotated[int | None, option(TrainConfig, "rank")] = None,
    alpha: Annotated[float | None, option(TrainConfig, "alpha")] = None,
    adapter: Annotated[str | None, option(TrainConfig, "adapter")] = None,
    dropout: Annotated[float | None, option(TrainConfig, "dropout")] = None,
    target_modules: Annotated[str | None, option(TrainConfig, "target_modules")] = None,
    layers: Annotated[int | None, option(TrainConfig, "layers")] = None,
    save_every: Annotated[int | None, option(TrainConfig, "save_every")] = None,
    log_every: Annotated[int | None, option(TrainConfig, "log_every")] = None,
    eval_every: Annotated[int | None, option(TrainConfig, "eval_every")] = None,
    patience: Annotated[int | None, option(TrainConfig, "patience")] = None,
    prompt_variants: Annotated[float | None, option(TrainConfig, "prompt_variants")] = None,
    type_weight: Annotated[float | None, option(TrainConfig, "type_weight")] = None,
    trunk_cache: Annotated[str | None, option(TrainConfig, "trunk_cache", "--trunk-cache")] = None,
    samples: Annotated[int | None, option(TrainConfig, "samples")] = None,
    tracker: Annotated[str | None, option(TrainConfig, "tracker")] = None,
    seed: Annotated[int | None, option(TrainConfig, "seed")] = None,
    backend: Annotated[str | None, option(TrainConfig, "backend")] = None,
    quantize_base: Annotated[str | None, option(TrainConfig, "quantize_base")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="TOML file with a [train] table.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen, and load no weights.")] = False,
    write_only: Annotated[
        Path | None, typer.Option("--write-only", help="With --backend axolotl: folder to write for Axolotl.")
    ] = None,
    supervise: Annotated[
        bool,
        typer.Option(
            "--supervise/--no-supervise", help="Train in a second process, started again when it dies of memory."
        ),
    ] = True,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Train LoRA adapters on a dataset of commits. Works without any option.

    The registry may have better values than the defaults below for its models; --dry-run shows what counts.
    """
    options = dict(locals())
    flags = {name: options[name] for name in TrainConfig.__dataclass_fields__}
    if resume:
        _refuse_beside_resume(config, dry_run=dry_run)
        chosen = None
    else:
        _refuse_without_resume(run)
        chosen = train_settings(flags, file=config)
        if write_only is not None:
            _write_only(chosen, write_only, json=json)
            return
    with render.progress() as progress:
        if chosen is not None and dry_run:
            _show_plan(chosen, json=json, progress=progress)
            return
        made = _trained(chosen, run, flags, progress, supervised=supervise)
    if not _leads():
        return
    if json:
        render.say_json({"run": str(made.folder), "digest": made.digest})
        return
    render.say(f"Finished: {made.folder}")
    render.say("Next: joco-mlx suggest, or joco-mlx fuse --export-gguf")


def _trained(
    config: TrainConfig | None, run: str | None, flags: dict[str, Any], progress: Progress, *, supervised: bool
) -> Artifact:
    from joco_mlx.train import supervise
    from joco_mlx.train.backends import dispatch as here
    from joco_mlx.train.distributed import is_launched

    made: Artifact
    alone = not is_launched()  # no rank of several could start another one's process again
    if config is None:
        made = (supervise if supervised and alone else here).resume(run, given=flags, progress=progress)
    else:
        made = (supervise if supervised and alone else here).train(config, progress=progress)
    return made


def _leads() -> bool:
    """Whether this process speaks for the run: of several ranks only the first does."""
    from joco_mlx.train.distributed import leads

    return leads()


def _write_only(config: TrainConfig, folder: Path, *, json: bool) -> None:
    from joco_mlx.train.backends import axolotl

    if config.backend != "axolotl":
        raise UsageError(
            f"--write-only is for --backend axolotl, not {config.backend}.", "Leave --write-only out, and it trains."
        )
    with render.progress() as progress:
        written = axolotl.write(config, folder, progress=progress)
    if json:
        render.say_json({"folder": folder, "records": written.records, "launch": written.launch})
        return
    render.say(f"Written: {folder}, {written.records:,} records and {written.validation_records:,} to validate on")
    render.say(f"Next, on a machine with a card: {written.launch}")


def _refuse_beside_resume(config: Path | None, *, dry_run: bool) -> None:
    for name, given in (("--config", config is not None), ("--dry-run", dry_run)):
        if given:
            raise UsageError(f"{name} cannot be used with --resume: a run keeps its settings.", f"Leave {name} out.")


def _refuse_without_resume(run: str | None) -> None:
    if run is not None:
        raise UsageError(f"{run!r} is no option.", f"Go on with a run: joco-mlx train --resume {run}")


def _show_plan(config: TrainConfig, *, json: bool, progress: Progress) -> None:
    if config.backend not in ("auto", "mlx"):
        raise UsageError(
            f"--dry-run plans the memory of MLX, not of {config.backend}.", "Leave --dry-run or --backend out."
        )
    from joco_mlx.train.plan import plan_run

    plan = plan_run(config, progress=progress)
    if json:
        render.say_json({"config": asdict(config), "plan": asdict(plan)})
        return
    steps = f"{plan.steps:,} of {config.batch_size} x {config.grad_accumulation} records ({plan.epochs:.2g} epochs)"
    records = f"{plan.records:,}: {plan.whole:,} whole, {plan.cut:,} cut, {plan.unusable:,} unusable"
    memory = f"{plan.planned_bytes / 1e9:.2f} GB of this machine's {plan.budget_bytes / 1e9:.2f} GB"
    rows = [
        ("Model", f"{plan.model} {plan.revision or ''}"),
        ("Dataset", f"{plan.dataset} ({plan.repositories:,} repositories)"),
        ("Training records", records),
        ("Validation records", f"{plan.validation_records:,}"),
        ("Tokens of a record", f"{plan.mean_tokens:.0f} on average, {plan.longest_tokens:,} at most"),
        ("Steps", steps),
        ("Adapters", f"rank {config.rank}, scale {config.scale:g}, on {', '.join(config.target_modules)}"),
        ("Device", plan.device),
        ("Memory", memory),
    ]
    render.table(("What", "Plan"), rows)
    render.heading(f"Memory by padded shape, in GB ({plan.padding_share:.1%} padding)")
    numbers = ("tokens", "answer", "records")
    buckets = [
        (f"{item.tokens:,}", f"{item.answers:,}", f"{item.records:,}", *memory_cells(item.memory))
        for item in plan.buckets
    ]
    render.table((*numbers, *MEMORY_COLUMNS), buckets, right=(*numbers, *MEMORY_COLUMNS[:-1]))
    render.say()
    for note in (*MEMORY_LEGEND, *plan.notes):
        render.say(note)
