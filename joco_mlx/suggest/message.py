"""From a diff to a commit message.

Decides which diffs there is something to say about, and what happens to an answer that is no message. Leaves the prompt
to `commit.prompt`, the answer to an engine, and its cleaning to `clean`.
"""

from joco_mlx.commit.diff import FileChange, parse_diff
from joco_mlx.commit.message import lint
from joco_mlx.commit.prompt import diff_budget, render, user_text
from joco_mlx.config import SuggestConfig
from joco_mlx.errors import InputError, VerificationError
from joco_mlx.progress import Progress, task
from joco_mlx.suggest.clean import first_message
from joco_mlx.suggest.engines import Engine, MlxEngine, choose

_NAMED_FILES = 3


def suggest(config: SuggestConfig, patch: str, *, progress: Progress) -> str:
    """Return a commit message for a diff.

    Args:
        config: Which model, and how it samples.
        patch: A unified diff as git writes it; from `source.staged_diff` or `source.read_diff`.
        progress: Told what is loaded, and of each rule of commitlint that the message breaks.

    Raises:
        InputError: The patch is no diff or changes binary files only, or the model cannot be found or read.
        MachineError: The model must be fetched and cannot be.
        VerificationError: The model answered nothing that could be a message.
    """
    check_patch(patch)
    engine = MlxEngine(choose(config.model, progress=progress), progress=progress)
    return ask(engine, patch, config, progress=progress)


def ask(engine: Engine, patch: str, config: SuggestConfig, *, progress: Progress) -> str:
    """Return the message that a loaded engine gives for a diff."""
    budget = diff_budget(engine.template, engine.max_seq_length, engine.count)
    prompt = render(engine.template, user_text(patch, budget, engine.count))
    with task(progress, "Writing the message"):
        answer = engine.complete(prompt, max_tokens=config.max_tokens, temperature=config.temperature)
    message = first_message(answer)
    if not message:
        raise VerificationError(
            f"The model's answer holds no commit message: {answer!r:.80}.",
            "Try --temperature 0.5, or train longer: joco-mlx train --steps 300",
        )
    for problem in lint(message):
        if problem.level == "error":
            progress.note(f"The message breaks commitlint's rule {problem.rule}: {problem.text}.")
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
