"""`joco-mlx dataset`, continued: many repositories to one dataset, why a commit is in it, and whether it leaks."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from joco_mlx.cli import render
from joco_mlx.cli.settings import option, settings
from joco_mlx.config import LOCAL_DATASET, BuildConfig, PersonalConfig

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def build(
    sources: Annotated[
        list[str] | None, typer.Argument(metavar="REPO|URL|LIST.toml", help="What to read.", show_default=False)
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Dataset folder to make.")] = LOCAL_DATASET,
    on: Annotated[
        str | None,
        typer.Option("--on", metavar="REPO", help="Learn this one's style; whatever else is read is ballast."),
    ] = None,
    own_share: Annotated[float | None, option(PersonalConfig, "own_share")] = None,
    mirror: Annotated[Path | None, typer.Option("--mirror", help="Where clones lie and are made.")] = None,
    jobs: Annotated[int | None, typer.Option("--jobs", min=1, help="Processes; one a core when not given.")] = None,
    scheduler: Annotated[
        str | None, typer.Option("--scheduler", metavar="ADDRESS", help="Let a Dask cluster read: tcp://HOST:8786.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be fetched, and how long.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a folder that exists.")] = False,
    profile: Annotated[str | None, option(BuildConfig, "profile")] = None,
    revision: Annotated[str | None, option(BuildConfig, "revision")] = None,
    validation_share: Annotated[float | None, option(BuildConfig, "validation_share")] = None,
    test_share: Annotated[float | None, option(BuildConfig, "test_share")] = None,
    minimum_score: Annotated[int | None, option(BuildConfig, "minimum_score")] = None,
    minimum_diff_chars: Annotated[int | None, option(BuildConfig, "minimum_diff_chars")] = None,
    maximum_diff_chars: Annotated[int | None, option(BuildConfig, "maximum_diff_chars")] = None,
    english_only: Annotated[bool | None, option(BuildConfig, "english_only", "--english-only")] = None,
    balanced: Annotated[bool | None, option(BuildConfig, "balanced", "--balanced/--not-balanced")] = None,
    maximum_repository_share: Annotated[float | None, option(BuildConfig, "maximum_repository_share")] = None,
    maximum_author_share: Annotated[float | None, option(BuildConfig, "maximum_author_share")] = None,
    maximum_type_share: Annotated[float | None, option(BuildConfig, "maximum_type_share")] = None,
    type_shares: Annotated[str | None, option(BuildConfig, "type_shares")] = None,
) -> None:
    """Make a dataset from many repositories; interrupted, the same command goes on."""
    flags = dict(locals())
    if dry_run:
        _show_forecast(sources or [], on, mirror)
        return
    config = settings(BuildConfig, "build", {key: flags[key] for key in BuildConfig.__dataclass_fields__})
    mixed = settings(PersonalConfig, "personal", {"own_share": own_share})
    from joco_mlx.dataset.build import build as make
    from joco_mlx.dataset.cluster import cluster_executor

    with render.progress() as progress, cluster_executor(scheduler) if scheduler else nullcontext() as executor:
        made = make(
            config,
            sources or [],
            out,
            on=on,
            personal=mixed,
            mirrors=mirror,
            jobs=jobs,
            executor=executor,
            progress=progress,
            force=force,
        )
    render.say(f"{made.folder}: see README.md in it for sources, funnel and balance.")
    render.say(f"Next: joco-mlx dataset audit {made.folder}")


def explain(
    repository: Annotated[Path, typer.Argument(metavar="REPO", help="Clone, worktree or bare mirror.")],
    commit: Annotated[str, typer.Argument(help="Hash or name of a commit.")],
    minimum_score: Annotated[int | None, option(BuildConfig, "minimum_score")] = None,
    json: Json = False,
) -> None:
    """Say why a commit would be in a dataset or not, and its score rule by rule."""
    from joco_mlx.dataset.explain import explain as judge

    found = judge(repository, commit, settings(BuildConfig, "build", {"minimum_score": minimum_score}))
    if json:
        render.say_json(found.to_json())
        return
    render.say(f"{found.commit[:12]} {found.header}\n")
    rows = [(rule.name, f"{rule.points:+d}", rule.meaning) for rule in found.rules]
    render.table(
        ("Rule", "Points", "Which gives"), [*rows, ("total", found.score, "cut to 0 to 100")], right=("Points",)
    )
    verdict = f"It is left out: {found.meaning} ({found.reason})." if found.reason else "It is let in."
    render.say(f"\n{verdict} The threshold is {found.minimum_score}.")


def audit(
    folder: Annotated[Path, typer.Argument(help="Dataset folder, ours or somebody else's.")],
    against: Annotated[Path | None, typer.Option("--against", help="Benchmark cases that training must lack.")] = None,
    profile: Annotated[str | None, typer.Option("--profile", help="How it was split, if it does not say.")] = None,
    json: Json = False,
) -> None:
    """Measure what leaks: answers in diffs, splits that share records, benchmark cases; exit code 6 if anything does."""
    from joco_mlx.dataset.audit import audit as measure

    with render.progress() as progress:
        report = measure(folder, against, profile=profile, progress=progress)
    if json:
        render.say_json(report.to_json())
    else:
        rows = [(name.replace("_", " "), _cell(value)) for name, value in report.to_json().items()]
        render.table(("Measure", "Found"), rows)
    report.check()


def _show_forecast(sources: list[str], on: str | None, mirror: Path | None) -> None:
    from joco_mlx.dataset.sources import forecast, read_sources, with_own

    wanted = read_sources(sources)
    rows = forecast(wanted if on is None else with_own(wanted, on)[0], mirror)
    shown = [(row.name, row.where, f"{row.megabytes:,}", f"{row.minutes:.1f}") for row in rows]
    gigabytes, minutes = sum(row.megabytes for row in rows) / 1_000, sum(row.minutes for row in rows)
    render.table(("Repository", "Mirror", "MB", "Minutes"), shown, right=("MB", "Minutes"))
    render.say(f"\nTo fetch: {gigabytes:.2f} GB. About {minutes:.0f} minutes on one core; nothing was fetched.")


def _cell(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_cell(count)}" for name, count in value.items())
    if isinstance(value, list):
        return "; ".join(map(str, value)) or "none"
    return f"{value:.2%}" if isinstance(value, float) else "not measurable" if value is None else str(value)
