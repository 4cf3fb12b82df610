"""`joco-mlx suggest`: a message for the staged diff."""

from pathlib import Path
from typing import Annotated

import typer

from joco_mlx.cli import render
from joco_mlx.cli.settings import option, settings
from joco_mlx.config import SuggestConfig
from joco_mlx.errors import UsageError


def suggest(
    model: Annotated[str | None, option(SuggestConfig, "model")] = None,
    repository: Annotated[Path, typer.Option("--repo", help="Repository whose staged diff is meant.")] = Path(),
    diff: Annotated[str | None, typer.Option("--diff", help="File with a diff, or - for standard input.")] = None,
    temperature: Annotated[float | None, option(SuggestConfig, "temperature")] = None,
    max_tokens: Annotated[int | None, option(SuggestConfig, "max_tokens")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print a commit message for the staged diff."""
    if diff is not None and repository != Path():
        raise UsageError(f"--repo is {repository} and --diff is {diff}, but a message is for one diff.", "Give one.")
    flags = {"model": model, "temperature": temperature, "max_tokens": max_tokens}
    config = settings(SuggestConfig, "suggest", flags, repository=repository)
    from joco_mlx.suggest import message, source

    patch = source.staged_diff(repository) if diff is None else source.read_diff(diff)
    with render.progress() as progress:
        text = message.suggest(config, patch, progress=progress)
    if json:
        render.say_json({"message": text})
    else:
        render.say(text)
