"""`joco-mlx hook`: a suggestion in the editor of every plain commit."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from joco_mlx.cli import render
from joco_mlx.cli.settings import suggest_settings

if TYPE_CHECKING:
    from joco_mlx.suggest.hook import HookState

app = typer.Typer(help="Suggest a message in the editor of git commit.", no_args_is_help=True, rich_markup_mode=None)

Folder = Annotated[Path, typer.Option("--repo", help="Repository whose hook is meant.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def install(
    repository: Folder = Path(),
    limit: Annotated[int, typer.Option("--limit", min=1, help="Seconds after which a suggestion is given up.")] = 30,
) -> None:
    """Install the hook; one that is there already keeps running, before ours."""
    from joco_mlx.suggest import hook

    found = hook.install(repository, limit_seconds=limit)
    _show(found)
    if found.tracked:
        render.warn(f"{found.path.parent} belongs to the work tree: do not commit the hook, it names your own paths.")
    if found.scope == "every repository":
        render.warn("core.hooksPath is set for all of your repositories, so the hook runs in every one of them.")
    render.say("Next: git commit, with something staged; JOCO_MLX_HOOK=0 git commit goes without.")


@app.command()
def uninstall(repository: Folder = Path()) -> None:
    """Take the hook away, and put back what was there before."""
    from joco_mlx.suggest import hook

    _show(hook.uninstall(repository))


@app.command()
def status(repository: Folder = Path(), json: Json = False) -> None:
    """Show where the hook is, and what runs before it."""
    from joco_mlx.suggest import hook

    found = hook.state(repository)
    render.say_json(asdict(found)) if json else _show(found)


@app.command()
def run(message: Annotated[Path, typer.Argument(help="The file that git gives to prepare-commit-msg.")]) -> None:
    """Write a suggestion into a message file, as the hook does."""
    from joco_mlx.suggest import fill, source
    from joco_mlx.suggest.conventions import conventions
    from joco_mlx.suggest.message import candidates

    comments, before = fill.comments_of(Path()), fill.read_message(message)
    if not fill.is_untouched(before, comments):
        render.warn(f"{message} holds a message already, and is left alone.")
        return
    patch, config = source.staged_diff(Path()), suggest_settings({})
    with render.progress() as progress:
        found = candidates(config, patch, asked=conventions(Path()), progress=progress)
    if fill.read_message(message) != before:
        render.warn(f"{message} was changed meanwhile, and is left alone.")
        return
    fill.write_message(message, fill.filled(before, found[0].message, comments))
    if config.keep_edits:
        _keep(patch, found[0].message)


def _keep(patch: str, suggested: str) -> None:
    """Keep a suggestion for whoever asked for that, and look what became of the earlier ones."""
    from joco_mlx.dataset import edits

    edits.settle(Path())
    if not edits.keep(Path(), patch, suggested):
        render.warn(f"This diff has more than {edits.LARGEST_DIFF_CHARS:,} characters and is not kept.")


def _show(found: "HookState") -> None:
    render.say(f"Installed: {found.installed}" if found.installed else f"Not installed: {found.path}")
    if found.before:
        render.say(f"Runs first: {found.before}")
