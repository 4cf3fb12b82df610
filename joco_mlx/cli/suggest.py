"""`joco-mlx suggest`: messages for a diff, and from there to a commit."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from joco_mlx.cli import render
from joco_mlx.cli.settings import option, suggest_settings
from joco_mlx.config import SuggestConfig, SuggestEngine
from joco_mlx.errors import UsageError

if TYPE_CHECKING:
    from joco_mlx.suggest.ranking import Candidate


def suggest(
    revision: Annotated[
        str | None, typer.Argument(metavar="[COMMIT|RANGE]", help="Commit or range; what is staged when not given.")
    ] = None,
    model: Annotated[str | None, option(SuggestConfig, "model")] = None,
    engine: Annotated[SuggestEngine | None, option(SuggestConfig, "engine")] = None,
    url: Annotated[str | None, option(SuggestConfig, "url")] = None,
    repository: Annotated[Path, typer.Option("--repo", help="Repository whose staged diff is meant.")] = Path(),
    diff: Annotated[str | None, typer.Option("--diff", help="File with a diff, or - for standard input.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Take every change to tracked files, staged or not.")] = False,
    count: Annotated[int | None, option(SuggestConfig, "candidates", "-n", "--candidates")] = None,
    type: Annotated[str | None, typer.Option("--type", help="Type that the message must have.")] = None,
    scope: Annotated[str | None, typer.Option("--scope", help="Scope that the message must have.")] = None,
    hint: Annotated[str, typer.Option("--hint", help="Why the change was made.")] = "",
    body: Annotated[bool | None, option(SuggestConfig, "body", "--body/--no-body")] = None,
    constrained: Annotated[bool | None, option(SuggestConfig, "constrained", "--constrained/--free")] = None,
    temperature: Annotated[float | None, option(SuggestConfig, "temperature")] = None,
    max_tokens: Annotated[int | None, option(SuggestConfig, "max_tokens")] = None,
    edit: Annotated[bool, typer.Option("--edit", help="Open the message in git's editor first.")] = False,
    commit: Annotated[bool, typer.Option("--commit", help="Commit with the message, after asking.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print a commit message for the staged diff, a commit, a range, a file or standard input."""
    _check(revision, diff, repository, every=every, commit=commit)
    flags: dict[str, Any] = {"model": model, "temperature": temperature, "max_tokens": max_tokens, "candidates": count}
    flags |= {"engine": engine, "url": url, "body": body, "constrained": constrained}
    config = suggest_settings(flags, repository=repository)
    from joco_mlx.suggest import message
    from joco_mlx.suggest.conventions import conventions

    patch, asked = _patch(revision, diff, repository, every=every), conventions(repository)
    with render.progress() as progress:
        found = message.candidates(
            config, patch, wishes=message.Wishes(type, scope, hint), asked=asked, progress=progress
        )
    _finish(found, repository, every=every, edit=edit, commit=commit, json=json)


def _check(revision: str | None, diff: str | None, repository: Path, *, every: bool, commit: bool) -> None:
    given = [name for name, value in (("COMMIT", revision), ("--diff", diff), ("--all", every)) if value]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} are given, but a message is for one diff.", "Give one.")
    if diff is not None and repository != Path():
        raise UsageError(f"--repo is {repository} and --diff is {diff}, but a message is for one diff.", "Give one.")
    if commit and (revision or diff):
        raise UsageError(f"--commit is for what is staged, or with --all, not for {given[0]}.", "Leave one out.")
    if commit and not sys.stdin.isatty():
        raise UsageError("--commit asks first, and there is no terminal to ask on.", "Use: git commit -m MESSAGE")


def _patch(revision: str | None, diff: str | None, repository: Path, *, every: bool) -> str:
    from joco_mlx.suggest import source

    if diff is not None:
        return source.read_diff(diff)
    if revision is not None:
        return source.committed_diff(repository, revision)
    return source.tracked_diff(repository) if every else source.staged_diff(repository)


def _finish(
    found: "tuple[Candidate, ...]", repository: Path, *, every: bool, edit: bool, commit: bool, json: bool
) -> None:
    from joco_mlx.suggest.committing import commit_with, edited

    text = edited(repository, found[0].message) if edit else found[0].message
    if json:
        render.say_json({"message": text, "candidates": [asdict(one) for one in found]})
    elif edit or commit:
        render.say(text)
    else:
        between = "\n\n" if any("\n" in one.message for one in found) else "\n"
        render.say(between.join(one.message for one in found))
    if commit and typer.confirm("Commit with this message?", err=True):
        told = commit_with(repository, text, every=every)
        render.warn(told) if json else render.say(told)
