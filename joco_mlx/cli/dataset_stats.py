"""`joco-mlx dataset`, continued: what a dataset consists of, as tables, a picture and a page."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from joco_mlx.cli import render

if TYPE_CHECKING:
    from joco_mlx.dataset.details import Details
    from joco_mlx.dataset.stats import Stats

PICTURE, PAGE = "stats.png", "stats.html"


def stats(
    folder: Annotated[Path, typer.Argument(help="Dataset folder.")],
    plot: Annotated[bool, typer.Option("--plot", help=f"Also write {PICTURE} and {PAGE}.")] = False,
    model: Annotated[
        str | None,
        typer.Option("--model", help="Count tokens as this model does; with --plot the embedded one if it is here."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the two files; the dataset's own.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what a dataset consists of: types, scopes, languages, repositories, lengths, tokens and funnel."""
    from joco_mlx.dataset.details import details

    with render.progress() as progress:
        found = details(folder, model=model, with_tokens=plot or model is not None, progress=progress)
    files = _plotted(found, out or folder) if plot else {}
    if json:
        render.say_json(found.to_json() | files)
        return
    _tables(found.stats)
    _more_tables(found)
    for name, file in files.items():
        render.say(f"\n{name.capitalize()}: {file}")


def show(folder: Path) -> None:
    """Print what `stats` counts without looking at any diff."""
    from joco_mlx.dataset.stats import stats as count

    _tables(count(folder))


def _plotted(found: "Details", out: Path) -> dict[str, Path]:
    from joco_mlx.artifacts import telling_disk_errors, whole_file, write_text
    from joco_mlx.dataset.stats_page import page
    from joco_mlx.dataset.stats_picture import draw

    picture = draw(found)
    with telling_disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    with whole_file(out / PICTURE) as file:
        file.write(picture)
    write_text(out / PAGE, page(found, picture))
    return {"picture": out / PICTURE, "page": out / PAGE}


def _tables(counted: "Stats") -> None:
    lengths = (("Diff length", counted.diff_chars), ("Output length", counted.output_chars))
    rows = [*counted.guide_rows(), ("Test examples", f"{counted.test:,}")]
    rows += [(f"{name}, min / mean / max", f"{of.minimum:,} / {of.mean:,.0f} / {of.maximum:,}") for name, of in lengths]
    render.table(("Metric", "Value"), rows, right=("Value",))
    for title, counts in (("Type", counted.types), ("Scope", counted.scopes), ("Repository", counted.repositories)):
        _counts((title, "Records"), counts)


def _more_tables(found: "Details") -> None:
    _counts(("Language", "Records"), found.languages)
    if found.tokens is not None:
        told = found.tokens.to_json()
        shares = {f"fit {int(limit):,}": f"{share:.1%}" for limit, share in told["share_fitting"].items()}
        longest = {**told["quantiles"], "maximum": told["maximum"]}
        _counts((f"Tokens of {found.tokens.model}", "Value"), shares | {k: f"{v:,}" for k, v in longest.items()})
    if found.funnel:
        _counts(("What became of the commits", "Number"), found.funnel)


def _counts(columns: tuple[str, str], counts: Mapping[str, int | str]) -> None:
    rows = [(name, f"{count:,}" if isinstance(count, int) else count) for name, count in counts.items()]
    render.say()
    render.table(columns, rows, right=columns[1:])
