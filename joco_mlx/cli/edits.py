"""What the hook has kept: `joco-mlx dataset from-edits` makes records of it, `joco-mlx forget` deletes it."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from joco_mlx.cli import render
from joco_mlx.errors import UsageError


def from_edits(
    out: Annotated[Path, typer.Option("--out", help="JSONL file to write.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write what you made of the hook's suggestions as records, scrubbed, your own words as the truth."""
    from joco_mlx.dataset import from_edits as room

    made = room.from_edits(out)
    if json:
        render.say_json({"out": out, "records": made.records, "changed": made.changed, "left_out": made.left_out})
        return
    render.say(f"{out}: {made.told()}")
    render.say(f"Next: joco-mlx dataset curate {out} --out DIR")


def forget(
    sure: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete every edit that the hook has kept on this computer."""
    from joco_mlx.dataset import edits

    number = len(edits.edits_on_disk())
    if not number:
        render.say(f"Nothing is kept in {edits.place()}.")
        return
    if not sure and not sys.stdin.isatty():
        raise UsageError(f"{number} kept edits would be deleted, and there is no terminal to ask on.", "Add --yes.")
    if sure or typer.confirm(f"Delete {number} kept edits in {edits.place()}?", err=True):
        render.say(f"Deleted: {edits.forget()} kept edits.")
