"""`joco-mlx bench`: is a model better than another, by how much, and is that sure?"""

from pathlib import Path
from typing import Annotated

import typer

from joco_mlx.cli import render
from joco_mlx.cli.settings import option, settings
from joco_mlx.config import BENCH_FOLDER, BenchConfig, OpinionConfig
from joco_mlx.errors import UsageError

app = typer.Typer(
    help="Measure models and baselines on commits they have not seen.", no_args_is_help=True, rich_markup_mode=None
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def run(
    cases: Annotated[
        Path, typer.Option("--cases", help="Records to ask: a split of a dataset, or JSONL from extract.")
    ],
    model: Annotated[str | None, option(BenchConfig, "model")] = None,
    engine: Annotated[str | None, option(BenchConfig, "engine")] = None,
    url: Annotated[str | None, option(BenchConfig, "url")] = None,
    max_cases: Annotated[int | None, option(BenchConfig, "max_cases")] = None,
    run_id: Annotated[str | None, typer.Option("--run-id", help=f"Name of the run's folder in {BENCH_FOLDER}.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The run's folder, when it lies elsewhere.")] = None,
    temperature: Annotated[float | None, option(BenchConfig, "temperature")] = None,
    max_tokens: Annotated[int | None, option(BenchConfig, "max_tokens")] = None,
    prompt: Annotated[str | None, option(BenchConfig, "prompt")] = None,
    constrained: Annotated[bool | None, option(BenchConfig, "constrained")] = None,
    type_prior: Annotated[Path | None, option(BenchConfig, "type_prior")] = None,
    tried_types: Annotated[int | None, option(BenchConfig, "tried_types")] = None,
    like: Annotated[str | None, option(BenchConfig, "like")] = None,
    batch_size: Annotated[int | None, option(BenchConfig, "batch_size")] = None,
    timeout_seconds: Annotated[float | None, option(BenchConfig, "timeout_seconds")] = None,
    seed: Annotated[int | None, option(BenchConfig, "seed")] = None,
    train: Annotated[Path | None, option(BenchConfig, "train")] = None,
    allow_leak: Annotated[bool | None, option(BenchConfig, "allow_leak", "--allow-leak")] = None,
    json: Json = False,
) -> None:
    """Ask a model or a baseline every case, and write figures with intervals."""
    flags = dict(locals())
    config = settings(BenchConfig, "bench", {key: flags[key] for key in BenchConfig.__dataclass_fields__})
    if tried_types is not None and config.type_prior is None:
        raise UsageError(
            f"--tried-types {tried_types} is for --type-prior only.", "Add --type-prior, or leave --tried-types out."
        )
    from joco_mlx.bench.run import run as ask

    with render.progress() as progress:
        done = ask(config, cases, out, run_id, progress=progress)
    if json:
        render.say_json({"folder": done.artifact.folder, **done.metrics})
        return
    from joco_mlx.bench.summary import figures

    render.table(("Figure", "Value", "95 % interval"), figures(done.metrics), right=("Value",))
    render.say(f"\n{done.artifact.folder / 'summary.md'}: {done.metrics['cases']:,} cases.")


@app.command()
def calibrate(
    cases: Annotated[
        Path, typer.Option("--cases", help="Held-out records: a validation split, or other repositories.")
    ],
    out: Annotated[Path, typer.Option("--out", help="File to write, for `bench run --type-prior`.")],
    model: Annotated[
        str | None,
        typer.Option("--model", help="Run, model folder or registry name; the latest finished run when not given."),
    ] = None,
    max_cases: Annotated[int | None, option(BenchConfig, "max_cases")] = None,
    train: Annotated[Path | None, option(BenchConfig, "train")] = None,
    batch_size: Annotated[int | None, option(BenchConfig, "batch_size")] = None,
    words: Annotated[
        bool, typer.Option("--words", help="Also learn what the words of the training diffs say; needs scikit-learn.")
    ] = False,
    allow_leak: Annotated[bool | None, option(BenchConfig, "allow_leak", "--allow-leak")] = None,
) -> None:
    """Fit what a model says of the types to what people chose, on records it was not trained on."""
    flags = dict(locals())
    config = settings(BenchConfig, "bench", {key: flags.get(key) for key in BenchConfig.__dataclass_fields__})
    from joco_mlx.bench.calibrate import calibrate as fit

    with render.progress() as progress:
        prior = fit(config, cases, out, with_words=words, progress=progress)
    render.say(f"{out}: fitted on {prior.records:,} records, scale {prior.scale:.2f}.")
    render.say("Next: joco-mlx bench run --type-prior " + str(out))


@app.command()
def runs(json: Json = False) -> None:
    """List the runs that lie in their usual place."""
    from joco_mlx.bench.finished import list_runs

    found = list_runs()
    if json:
        render.say_json([vars(item) for item in found])
        return
    columns = ("Run", "Model", "Cases", "Strictly valid", "Type accuracy", "chrF")
    rows = [(item.id, item.model, item.cases, item.valid, item.type_accuracy, item.chrf) for item in found]
    render.table(columns, rows, right=columns[2:])


@app.command()
def compare(
    reference: Annotated[Path, typer.Argument(metavar="A", help="Run to hold the others against: its id or folder.")],
    others: Annotated[list[Path], typer.Argument(metavar="B...", help="Runs on the same cases.")],
    out: Annotated[Path | None, typer.Option("--out", help="Markdown file to write, with JSON beside it.")] = None,
    fail_if_worse: Annotated[
        bool, typer.Option("--fail-if-worse", help="Fail when a main figure of a run is worse than A's.")
    ] = False,
    json: Json = False,
) -> None:
    """Say which figures of runs are better or worse than another's, and which nobody can tell."""
    from joco_mlx.bench import compare_page
    from joco_mlx.bench.compare import compare as hold_against

    first, found = hold_against(reference, others)
    if out is not None:
        compare_page.write(out, first.name, found)
    if json:
        render.say_json(compare_page.document(first.name, found))
    for comparison in found if not json else ():
        render.heading(f"{comparison.name} against {first.name}, {len(comparison.pairs):,} cases")
        render.table(compare_page.COLUMNS, compare_page.rows(comparison.differences))
    for comparison in found if fail_if_worse else ():
        comparison.check(first.name)


@app.command()
def report(
    found: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Runs on the same cases, by id or folder.")],
    html: Annotated[Path, typer.Option("--html", help="File to write.")] = Path("bench.html"),
) -> None:
    """Show runs, their figures and every case on one page for a browser; it needs no network."""
    from joco_mlx.bench.report import report as write

    cases = write(found, html)
    render.say(f"{html}: {cases:,} cases of {len(found)} runs.")


@app.command()
def prompts(
    name: Annotated[str | None, typer.Argument(help="Prompt whose text is printed.")] = None, json: Json = False
) -> None:
    """List the prompts that a run can send, or print one."""
    from joco_mlx.bench.prompts import find, listed

    if json:
        render.say_json([{"name": one, "about": about, "text": text} for one, about, text in listed()])
    elif name is not None:
        render.say(find(name))
    else:
        render.table(("Prompt", "What it is"), [(one, about) for one, about, _ in listed()])


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSONL of the original harness: diff, expectedMessage.")],
    out: Annotated[Path, typer.Option("--out", help="Cases to write.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a file that exists.")] = False,
) -> None:
    """Read the cases of the original harness, or of any other form that is known."""
    from joco_mlx.bench.cases import import_cases

    kept, skipped = import_cases(file, out, force=force)
    render.say(f"{out}: {kept:,} cases; {skipped:,} lines without a diff or a message were left out.")


@app.command()
def judge(
    found: Annotated[Path, typer.Argument(metavar="RUN", help="Finished run, by id or folder.")],
    judge: Annotated[str | None, option(OpinionConfig, "judge")] = None,
    url: Annotated[str | None, option(OpinionConfig, "url")] = None,
    timeout_seconds: Annotated[float | None, option(OpinionConfig, "timeout_seconds")] = None,
    seed: Annotated[int | None, option(OpinionConfig, "seed")] = None,
) -> None:
    """Ask another model what it thinks of every answer; its marks stay apart from the figures."""
    flags = dict(locals())
    config = settings(OpinionConfig, "judge", {key: flags[key] for key in OpinionConfig.__dataclass_fields__})
    from joco_mlx.bench.opinion import ask_for_opinion

    with render.progress() as progress:
        opinion = ask_for_opinion(found, config, progress=progress)
    mean = opinion.mean
    render.say(f"{config.judge} marks {opinion.marked:,} of {opinion.cases:,} answers; 1 is wrong, 5 says it exactly.")
    render.say(f"Mean {mean.value:.2f}, 95 % interval {mean.low:.2f} to {mean.high:.2f}.")
