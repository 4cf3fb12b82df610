"""`joco-mlx adapters`: adapters of other trainers, and ours for them."""

from pathlib import Path
from typing import Annotated

import typer

from joco_mlx.cli import render

app = typer.Typer(help="Adapters of other trainers, and ours for them.", no_args_is_help=True, rich_markup_mode=None)

Source = Annotated[Path, typer.Argument(metavar="SRC", help="Adapter folder, of PEFT or of MLX.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def convert(
    source: Source,
    target: Annotated[Path, typer.Argument(metavar="DST", help="Folder to make.")],
    base: Annotated[
        str | None, typer.Option("--base", help="Base model to name in it; its own when not given.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a folder that exists.")] = False,
    json: Json = False,
) -> None:
    """Convert an adapter between PEFT (Unsloth, TRL, Axolotl, transformers) and MLX: LoRA, rsLoRA and DoRA."""
    from joco_mlx.adapters.convert import convert as write
    from joco_mlx.adapters.training_base import TrainingBase

    made = write(source, target, base=TrainingBase(base) if base else None, force=force)
    about = {
        "folder": made.folder,
        "form": made.form,
        "kind": made.kind,
        "rank": made.rank,
        "scale": made.scale,
        "layers": len(made.extent.layers),
        "modules": made.extent.short_modules,
        "base": made.base.name if made.base else None,
    }
    if json:
        render.say_json(about)
        return
    render.table(("What", "Adapter"), [(name, render.brief(value)) for name, value in about.items()])


@app.command()
def adopt(
    source: Source,
    model: Annotated[str | None, typer.Option("--model", help="Base model; --write-only's when not given.")] = None,
    data: Annotated[Path | None, typer.Option("--data", help="Dataset that it was trained on.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Run to make; runs/TIME-adopted when not given.")] = None,
    json: Json = False,
) -> None:
    """Make a run of an adapter that another trainer made, for fuse, suggest and bench."""
    from joco_mlx.adapters.adopt import adopt as make

    with render.progress() as progress:
        made = make(source, model=model, data=data, out=out, progress=progress)
    if json:
        render.say_json({"run": made.folder, "digest": made.digest})
        return
    render.say(f"Finished: {made.folder}")
    render.say(f"Next: joco-mlx fuse {made.folder} --export-gguf")
