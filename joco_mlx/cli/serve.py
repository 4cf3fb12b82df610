"""`joco-mlx serve`: the model for other programs on this computer."""

from dataclasses import replace
from typing import Annotated

from joco_mlx.cli import render
from joco_mlx.cli.settings import option, settings, suggest_settings
from joco_mlx.config import ServeConfig


def serve(
    model: Annotated[str | None, option(ServeConfig, "model")] = None,
    port: Annotated[int | None, option(ServeConfig, "port")] = None,
    name: Annotated[str | None, option(ServeConfig, "name")] = None,
    timeout: Annotated[float | None, option(ServeConfig, "timeout_seconds")] = None,
) -> None:
    """Let other tools ask the model through Ollama's or OpenAI's interface, on this computer only."""
    config = settings(ServeConfig, "serve", {"model": model, "port": port, "name": name, "timeout_seconds": timeout})
    if config.model is None:
        chosen = suggest_settings({})
        config = replace(config, model=chosen.model if chosen.engine != "ollama" else None)
    from joco_mlx.serve import server

    with render.progress() as progress:
        server.serve(config, progress=progress)
