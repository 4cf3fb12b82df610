"""Messages that the model writes while it learns: for a few validation diffs, after each validation.

Decides which records (the first of the validation split in use, always the same), that they are answered greedily and
without a grammar, and how they are told. Draws nothing from any random state: a run is bit for bit what it would be
without. Leaves decoding to `models.generate` and the file to `live_run`.
"""

from collections.abc import Callable
from typing import Any

from joco_mlx.commit.lint import is_valid
from joco_mlx.commit.neutral import neutralise
from joco_mlx.commit.prompt import diff_budget, render, user_text
from joco_mlx.models.generate import complete
from joco_mlx.models.tokens import Tokenizer
from joco_mlx.progress import Progress, task
from joco_mlx.train.plan import Prepared

MAX_TOKENS = 64
"""Of an answer: more than a header needs, and a model that has not learned to stop costs no minutes."""


def sampling(
    model: Any, prepared: Prepared, write: Callable[[dict[str, Any]], None], progress: Progress
) -> Callable[[int], None]:
    """Return what writes and tells a message for each of the config's samples, given how many steps are done.

    Args:
        model: In training.
        prepared: Of the run.
        write: Takes a line of samples.jsonl: step, record, expected, message, valid.
        progress: Is told the header beside what people wrote.
    """
    records = prepared.data.validation[: prepared.config.samples]
    if not records:
        return lambda _step: None
    template, length = prepared.model.template, prepared.config.max_seq_length
    tokenizer = Tokenizer.from_folder(prepared.model.path)
    budget = diff_budget(template, length, tokenizer.count)
    prompts = [render(template, user_text(record.input, budget, tokenizer.count)) for record in records]

    def sample(step: int) -> None:
        model.eval()
        try:
            with task(progress, "Sampling", len(records), "messages") as shown:
                for record, prompt in zip(records, prompts, strict=True):
                    message = complete(model, tokenizer, template, prompt, max_tokens=MAX_TOKENS)
                    name = record.metadata.id
                    line = {"step": step, "record": name, "expected": record.output, "message": message}
                    write({**line, "valid": is_valid(message)})
                    progress.note(f"After step {step}: {_header(message)}  (a person: {_header(record.output)})")
                    shown.advance()
        finally:
            model.train()

    return sample


def _header(message: str) -> str:
    """The first line, fit for a terminal."""
    return neutralise(message).split("\n", 1)[0] or "(nothing)"
