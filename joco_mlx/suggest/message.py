"""From a diff to a commit message.

Decides which diffs there is something to say about, and what happens to an answer that is no message. Leaves the prompt
to `commit.prompt`, the answer to an engine, and its cleaning to `clean`.
"""

import re
from dataclasses import dataclass, replace

from joco_mlx.commit.diff import FileChange, parse_diff
from joco_mlx.commit.message import TYPES, lint
from joco_mlx.commit.prompt import diff_budget, neutralise, render, user_text
from joco_mlx.config import SuggestConfig
from joco_mlx.errors import InputError, UsageError, VerificationError
from joco_mlx.models.drafts import Draft
from joco_mlx.progress import Progress, task
from joco_mlx.suggest.choice import open_engine
from joco_mlx.suggest.clean import first_message
from joco_mlx.suggest.conventions import Conventions
from joco_mlx.suggest.engines import Engine, Watch
from joco_mlx.suggest.grammar import Form
from joco_mlx.suggest.ranking import Candidate, ranked

_NAMED_FILES = 3
_VARIED = 0.7
"""Temperature of the drafts after the first."""
_HINT_CHARS = 400


@dataclass(frozen=True)
class Wishes:
    """What a person says about one message."""

    type: str | None = None
    scope: str | None = None
    hint: str = ""
    """Why the change was made; the model reads it before the diff."""

    def narrowed(self, form: Form) -> Form:
        """Return `form` with only the wished type and scope."""
        if self.type is not None:
            form = replace(form, types=(self.type,))
        if self.scope is not None:
            form = replace(form, scopes=(self.scope,), needs_scope=True, forbids_scope=False)
        return form


def suggest(config: SuggestConfig, patch: str, *, progress: Progress) -> str:
    """Return a commit message for a diff, as `candidates` does; the best one.

    Raises:
        JocoError: As `candidates`.
    """
    return candidates(config, patch, progress=progress)[0].message


def candidates(
    config: SuggestConfig,
    patch: str,
    *,
    wishes: Wishes | None = None,
    asked: Conventions | None = None,
    progress: Progress,
) -> tuple[Candidate, ...]:
    """Return different commit messages for one diff, best first; at least one, at most `config.candidates`.

    Args:
        config: Which model, how it samples, and how many messages.
        patch: A unified diff as git writes it; from `source.staged_diff` or `source.read_diff`.
        wishes: Of the person.
        asked: What the repository asks of its messages.
        progress: Told what is loaded, and of each rule of commitlint that the message breaks.

    Raises:
        UsageError: A wish is no type or scope.
        InputError: The patch is no diff or changes binary files only, or the model cannot be found or read.
        MachineError: The model must be fetched and cannot be.
        VerificationError: The model answered nothing that could be a message.
    """
    check_patch(patch)
    wishes = wishes or Wishes()
    _check_wishes(wishes)
    engine = open_engine(config, progress=progress)
    return offer(engine, patch, config, wishes=wishes, asked=asked or Conventions(), progress=progress)


def offer(
    engine: Engine, patch: str, config: SuggestConfig, *, wishes: Wishes, asked: Conventions, progress: Progress
) -> tuple[Candidate, ...]:
    """Return what a loaded engine offers for a diff, best first."""
    for note in asked.notes:
        progress.note(note)
    shown = _shown(engine, patch, wishes.hint)
    return offer_shown(engine, shown, config, wishes=wishes, asked=asked, progress=progress)


def offer_shown(
    engine: Engine,
    shown: str,
    config: SuggestConfig,
    *,
    wishes: Wishes,
    asked: Conventions,
    progress: Progress,
    watch: Watch | None = None,
) -> tuple[Candidate, ...]:
    """Return what a loaded engine offers for a user turn that is fitted already; `watch` may see the drafts grow."""
    form = replace(wishes.narrowed(asked.form), body=config.body)
    with task(progress, "Writing the message") as writing:

        def grow(text: str) -> None:
            writing.advance(0, text=first_message(text))  # controls in it must not reach a terminal
            if watch is not None:
                watch(text)

        drafts = engine.drafts(
            render(engine.template, shown),
            form=form if config.constrained else None,
            temperatures=_temperatures(config),
            max_tokens=config.max_tokens,
            watch=grow,
        )
    cleaned = [replace(draft, text=_cleaned(draft, form, constrained=config.constrained)) for draft in drafts]
    told = [draft for draft in cleaned if draft.text]
    if not told:
        raise _no_message(drafts[0].text)
    found = ranked(told, shown=shown, recent_scopes=asked.recent_scopes, hint=wishes.hint)
    _note_problems(found[0].message, progress)
    return found[: config.candidates]


def _temperatures(config: SuggestConfig) -> list[float]:
    """One draft as configured; for several messages more drafts than messages, because some will be equal."""
    if config.candidates == 1:
        return [config.temperature]
    return [config.temperature, *[max(config.temperature, _VARIED)] * (config.candidates + 1)]


def _shown(engine: Engine, patch: str, hint: str) -> str:
    """Return the user turn: why, if the person said, and the fitted diff."""
    why = f"Why: {neutralise(' '.join(hint.split()))[:_HINT_CHARS]}\n\n" if hint.strip() else ""
    budget = diff_budget(engine.template, engine.max_seq_length, engine.count)
    return why + user_text(patch, max(0, budget - engine.count(why)), engine.count)


def _cleaned(draft: Draft, form: Form, *, constrained: bool) -> str:
    message = first_message(draft.text)
    if not constrained:
        return message
    header, feed, rest = message.partition("\n")
    return form.shortened(header, was_cut=draft.was_cut and not rest) + feed + rest


def _check_wishes(wishes: Wishes) -> None:
    if wishes.type is not None and wishes.type not in TYPES:
        raise UsageError(f"--type {wishes.type!r} is no type.", f"Use one of: {', '.join(TYPES)}.")
    if wishes.scope is not None and not re.fullmatch(r"[!-\'*-~]{1,40}", wishes.scope):
        raise UsageError(f"--scope {wishes.scope!r} is no scope.", "Use one word without parentheses: parser")


def _no_message(answer: str) -> VerificationError:
    return VerificationError(
        f"The model's answer holds no commit message: {answer!r:.80}.",
        "Try --temperature 0.5, or train longer: joco-mlx train --steps 300",
    )


def _note_problems(message: str, progress: Progress) -> None:
    for problem in lint(message):
        if problem.level == "error":
            progress.note(f"The message breaks commitlint's rule {problem.rule}: {problem.text}.")


def ask(engine: Engine, patch: str, config: SuggestConfig, *, progress: Progress) -> str:
    """Return the message that a loaded engine gives freely for a diff: what training taught it, without a grammar."""
    budget = diff_budget(engine.template, engine.max_seq_length, engine.count)
    prompt = render(engine.template, user_text(patch, budget, engine.count))
    with task(progress, "Writing the message"):
        answer = engine.complete(prompt, max_tokens=config.max_tokens, temperature=config.temperature)
    message = first_message(answer)
    if not message:
        raise _no_message(answer)
    _note_problems(message, progress)
    return message


def check_patch(patch: str) -> tuple[FileChange, ...]:
    """Return what a diff changes.

    Raises:
        InputError: Nothing, or nothing that has words.
    """
    changes = parse_diff(patch)
    if not changes:
        first_line = next(iter(patch.strip().splitlines()), "")
        raise InputError(
            f"This is no diff as git writes it: it begins with {first_line!r:.60}.",
            "Give the output of git diff: git diff HEAD | joco-mlx suggest --diff -",
        )
    if all(change.binary for change in changes):
        named = ", ".join(repr(change.path) for change in changes[:_NAMED_FILES])
        more = f" and {len(changes) - _NAMED_FILES} more" if len(changes) > _NAMED_FILES else ""
        raise InputError(
            f"The diff changes binary files only ({named}{more}), so there are no words to describe.",
            "Write this message yourself: git commit",
        )
    return changes
