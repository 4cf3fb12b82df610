"""`joco-mlx ollama`: from a run or a GGUF to a model in Ollama."""

from typing import Annotated

import typer

from joco_mlx.cli import render
from joco_mlx.cli.settings import option, settings
from joco_mlx.config import OllamaConfig

app = typer.Typer(help="Bring a model into Ollama.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def ollama() -> None:
    """Bring a model into Ollama."""


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Name of the model in Ollama, like joco.")],
    source: Annotated[
        str | None,
        typer.Argument(metavar="[RUN|GGUF]", help="./joco.gguf, else the latest finished run, when not given."),
    ] = None,
    url: Annotated[str | None, option(OllamaConfig, "url")] = None,
    form: Annotated[str | None, option(OllamaConfig, "form")] = None,
    force: Annotated[bool | None, option(OllamaConfig, "force", "--force")] = None,
    only_print: Annotated[bool, typer.Option("--print", help="Print the Modelfile; needs no server.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make a model in a running Ollama server, through its HTTP API."""
    config = settings(OllamaConfig, "ollama", {"url": url, "form": form, "force": force})
    from joco_mlx import deliver

    if only_print:
        modelfile = deliver.prepare(source, config).modelfile
        render.say_json({"modelfile": modelfile}) if json else render.say(modelfile.rstrip("\n"))
        return
    with render.progress() as progress:
        made = deliver.deliver(name, source, config, progress=progress)
    if json:
        render.say_json({"name": made.name, "url": made.url, "digest": made.digest, "sent": made.was_sent})
        return
    render.say(f"Finished: {made.name} in Ollama at {made.url}")
    render.say(f"Next: git diff --cached | ollama run {made.name}")
