"""`joco-mlx dataset`, continued: a dataset in the forms of other tools, and theirs as records."""

from pathlib import Path
from typing import Annotated

import typer

from joco_mlx.cli import render

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_NEXT = {
    "mlx": "mlx_lm.lora --train --data {out} --model MODEL",
    "chat": "hf upload NAME {out} --repo-type dataset",
    "parquet": "hf upload NAME {out} --repo-type dataset",
    "instruction": "hf upload NAME {out} --repo-type dataset",
}


def export(
    folder: Annotated[Path, typer.Argument(help="Dataset folder.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to make.")],
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help="instruction (the guide's JSONL), chat (messages), mlx (mlx-lm's layout: prompt and completion) "
            "or parquet (needs joco-mlx[parquet]).",
        ),
    ],
    force: Annotated[bool, typer.Option("--force", help="Replace a folder that exists.")] = False,
    json: Json = False,
) -> None:
    """Write a dataset in the form of another tool, with a card for the Hub."""
    from joco_mlx.dataset.formats import export as write
    from joco_mlx.dataset.formats import form_named

    with render.progress() as progress:
        made = write(folder, out, form_named(form), progress=progress, force=force)
    if json:
        render.say_json({"out": out, "format": form, "files": made.files, "records": made.records, "card": made.card})
        return
    render.table(("File", "Records"), [(file, f"{made.records[name]:,}") for name, file in made.files.items()])
    render.say(f"\n{made.card} names the licence of every source.")
    render.say(f"Next: {_NEXT[form].format(out=out)}")


def import_(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="JSONL or Parquet in any known form.")],
    out: Annotated[Path, typer.Option("--out", help="JSONL file to write.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a file that exists.")] = False,
    json: Json = False,
) -> None:
    """Read records that others wrote: instruction, chat, text, prompt and completion, benchmark cases, Parquet."""
    from joco_mlx.dataset.formats import import_records

    with render.progress() as progress:
        read = import_records(files, out, progress=progress, force=force)
    if json:
        render.say_json({"out": out, "records": read.records, "skipped": read.skipped})
        return
    render.say(f"{out}: {read.records:,} records.")
    render.say(f"Next: joco-mlx dataset curate {out} --out DIR")
