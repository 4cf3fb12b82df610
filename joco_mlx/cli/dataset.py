"""`joco-mlx dataset`: from git history to splits, and what is in them."""

from pathlib import Path
from typing import Annotated

import typer

from joco_mlx.cli import dataset_build, dataset_forms, dataset_stats, edits, render
from joco_mlx.cli.settings import option, settings
from joco_mlx.config import CurateConfig, ExtractConfig

app = typer.Typer(
    help="Read git history, make a dataset, look at it and check it.", no_args_is_help=True, rich_markup_mode=None
)

for command in (
    dataset_build.build,
    dataset_build.explain,
    dataset_build.audit,
    dataset_forms.export,
    dataset_stats.stats,
):
    app.command()(command)
app.command("import")(dataset_forms.import_)
app.command("from-edits")(edits.from_edits)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Folder = Annotated[Path, typer.Argument(help="Dataset folder.")]


@app.command()
def extract(
    repositories: Annotated[list[Path], typer.Argument(metavar="REPO...", help="Clones, worktrees or bare mirrors.")],
    out: Annotated[Path, typer.Option("--out", help="JSONL file to write.")],
    max_commits: Annotated[int | None, option(ExtractConfig, "max_commits")] = None,
    revision: Annotated[str | None, option(ExtractConfig, "revision")] = None,
    author: Annotated[str | None, option(ExtractConfig, "author")] = None,
    name: Annotated[str | None, option(ExtractConfig, "name")] = None,
    filtered: Annotated[bool | None, option(ExtractConfig, "filtered", "--filter/--no-filter")] = None,
    json: Json = False,
) -> None:
    """Write the commits of repositories as records, newest first."""
    flags = dict(locals())
    config = settings(ExtractConfig, "extract", {key: flags[key] for key in ExtractConfig.__dataclass_fields__})
    from joco_mlx.dataset.extract import extract_to_file

    with render.progress() as progress:
        funnel = extract_to_file(config, repositories, out, progress=progress)
    if json:
        render.say_json({"out": out, **funnel.to_json()})
        return
    render.say(f"{out}: {funnel.kept:,} records.")
    render.say(f"Next: joco-mlx dataset curate {out} --out DIR")


@app.command()
def curate(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="JSONL files from extract.")],
    out: Annotated[Path, typer.Option("--out", help="Dataset folder to make.")],
    profile: Annotated[str | None, option(CurateConfig, "profile")] = None,
    validation_share: Annotated[float | None, option(CurateConfig, "validation_share")] = None,
    test_share: Annotated[float | None, option(CurateConfig, "test_share")] = None,
    minimum_score: Annotated[int | None, option(CurateConfig, "minimum_score")] = None,
    minimum_diff_chars: Annotated[int | None, option(CurateConfig, "minimum_diff_chars")] = None,
    maximum_diff_chars: Annotated[int | None, option(CurateConfig, "maximum_diff_chars")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a folder that exists.")] = False,
) -> None:
    """Filter, deduplicate and split records into a dataset folder."""
    flags = dict(locals())
    config = settings(CurateConfig, "curate", {key: flags[key] for key in CurateConfig.__dataclass_fields__})
    from joco_mlx.dataset.curate import curate as make

    with render.progress() as progress:
        made = make(config, files, out, progress=progress, force=force)
    dataset_stats.show(made.folder)
    render.say(f"\nNext: joco-mlx train --data {out}")


@app.command()
def validate(folder: Folder, json: Json = False) -> None:
    """Check every record of a dataset against the schema and the commit grammar."""
    from joco_mlx.dataset.validate import validate as check

    with render.progress() as progress:
        checked = check(folder, progress=progress)
    if json:
        render.say_json({"folder": folder, "records": checked.records, "valid": True})
        return
    render.say(f"{folder}: {checked.records:,} records, all of them right.")
