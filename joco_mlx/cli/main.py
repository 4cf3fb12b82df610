"""The command table and the error boundary. A command imports its stage only when it is called."""

import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from joco_mlx import __version__, artifacts
from joco_mlx.cli import (
    adapters,
    bench,
    connect,
    dataset,
    doctor,
    edits,
    export,
    hook,
    models,
    ollama,
    plan,
    quickstart,
    render,
    serve,
    suggest,
    train,
    use,
)
from joco_mlx.errors import JocoError

_BUG = 70  # EX_SOFTWARE of sysexits.h
_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
_NO_NUMBER = {"int_parsing": "no whole number", "float_parsing": "no number"}


class _Commands(TyperGroup):
    """Names the value that an option cannot take, of which typer tells only what it should have been.

    A question that gets no answer ends as any other Ctrl-C does; typer would end it with 1.
    """

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.BadParameter as refused:
            refused.message = _with_value(refused)
            raise
        except typer.Abort:
            raise KeyboardInterrupt from None


def _with_value(refused: typer.BadParameter) -> str:
    found = getattr(refused.__cause__, "errors", None)  # of pydantic, which typer converts with
    if not callable(found):
        return refused.message
    first = found()[0]
    given, limit = first["input"], first.get("ctx", {})
    if first["type"] in _NO_NUMBER:
        return f"{given!r} is {_NO_NUMBER[first['type']]}."
    if "ge" in limit:
        return f"{given} is less than {limit['ge']}."
    said = refused.message.removeprefix("Value error, ")
    return said if repr(given) in said else f"{given!r}: {said}"


app = typer.Typer(
    name="joco-mlx",
    cls=_Commands,
    help="Turn git history into a small private model that writes your commit messages.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(dataset.app, name="dataset")
app.add_typer(export.gguf_app, name="gguf")
app.add_typer(bench.app, name="bench")
app.add_typer(ollama.app, name="ollama")
app.add_typer(hook.app, name="hook")
app.add_typer(adapters.app, name="adapters")
for command in (
    quickstart.quickstart,
    doctor.doctor,
    models.models,
    plan.plan,
    train.train,
    export.fuse,
    suggest.suggest,
    use.use,
    serve.serve,
    connect.connect,
    edits.forget,
):
    app.command()(command)


def _print_versions(wanted: bool) -> None:
    if not wanted:
        return
    render.say(f"joco-mlx {__version__}")
    for package, version in artifacts.versions().items():
        if package != "joco-mlx":
            render.say(f"  {package} {version}")
    raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_versions, help="Print the versions of the parts."),
    ] = False,
) -> None:
    """Turn git history into a small private model that writes your commit messages."""


def main() -> None:
    """Run the command line; every JocoError ends here, as two sentences and its exit code."""
    try:
        app()
    except SystemExit as ended:  # typer ends so, after a Ctrl-C without a word
        if ended.code == _INTERRUPTED:
            render.warn("Interrupted.")
        raise
    except JocoError as problem:
        render.error(problem)
        sys.exit(problem.exit_code)
    except Exception as problem:
        if os.environ.get("JOCO_MLX_DEBUG"):
            raise
        render.error(_as_bug(problem))
        sys.exit(_BUG)


def _as_bug(problem: Exception) -> JocoError:
    first_line = str(problem).splitlines()[0] if str(problem) else ""
    return JocoError(
        f"joco-mlx has a bug: {type(problem).__name__}: {first_line}",
        "Run the command again with JOCO_MLX_DEBUG=1 and report what it prints.",
    )
