"""`joco-mlx connect`: other tools, told to ask our model."""

from pathlib import Path
from typing import Annotated

import typer

from joco_mlx.cli import render


def connect(
    tool: Annotated[str, typer.Argument(help="opencommit, aicommits, aicommit2, czg, lumen or lazygit.")],
    model: Annotated[str, typer.Option("--model", help="Name of the model in Ollama.")] = "joco",
    url: Annotated[
        str | None, typer.Option("--url", help="Address of Ollama or of joco-mlx serve; OLLAMA_HOST when not given.")
    ] = None,
    write: Annotated[bool, typer.Option("--apply", help="Write the tool's own file; other entries stay.")] = False,
) -> None:
    """Print the settings that make another tool ask the model, in Ollama or joco-mlx serve, or write them."""
    from joco_mlx.ollama.server import Server
    from joco_mlx.suggest.connect import apply, connection

    found = connection(tool, model, Server.at(url).url)
    render.say(f"Written: {apply(found, Path.home())}" if write else found.text)
    if found.note:
        render.warn(found.note)
    if found.start:
        render.warn(f"Next: {found.start}")
