"""`joco-mlx use`: the model that suggests, until further notice."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from joco_mlx import config
from joco_mlx.cli import render
from joco_mlx.cli.settings import option, suggest_settings
from joco_mlx.config import SuggestConfig, SuggestEngine
from joco_mlx.errors import UsageError

if TYPE_CHECKING:
    from joco_mlx.suggest.choice import Choice


def use(
    model: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Run, model folder, registry name or model in Ollama.")
    ] = None,
    engine: Annotated[SuggestEngine | None, option(SuggestConfig, "engine")] = None,
    url: Annotated[str | None, option(SuggestConfig, "url")] = None,
    default: Annotated[bool, typer.Option("--default", help="Forget the choice: back to the default order.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Choose the model that suggest, serve and the hook ask, or show which one that is."""
    if default and model:
        raise UsageError(f"--default and {model} are given, but only one can be used.", "Give one.")
    from joco_mlx.suggest import choice, preference

    chosen = suggest_settings({"model": model, "engine": engine, "url": url})
    if default:
        preference.use_nothing()
        chosen = suggest_settings({"url": url})
    _show(preference.use(chosen) if model else choice.decide(chosen), chosen, given=bool(model), json=json)


def _show(found: "Choice", chosen: SuggestConfig, *, given: bool, json: bool) -> None:
    from joco_mlx.ollama.server import Server

    where = f"Ollama at {Server.at(chosen.url).url}" if found.engine == "ollama" else "this process"
    by = str(config.user_file()) if given else _source(chosen)
    if json:
        render.say_json({"model": found.model, "engine": found.engine, "chosen_by": by})
        return
    render.say(f"Model: {found.name}, in {where}")
    render.say(f"Chosen by: {by}")


def _source(chosen: SuggestConfig) -> str:
    variable = f"{config.ENVIRONMENT_PREFIX}MODEL"
    if variable in os.environ:
        return variable
    return str(config.user_file()) if chosen.model else "the default order"
