"""The Modelfile that lets Ollama run an exported GGUF in the form that it was trained in.

Decides which words and parameters go into it, and which existing Modelfile may be replaced. Leaves the prompt to
`commit.prompt`. Grammar: Ollama's `parser/parser.go`; defaults that are overridden here: its `api/types.go`.
"""

import re
from dataclasses import replace
from pathlib import Path

from joco_mlx import artifacts
from joco_mlx.commit.prompt import SYSTEM, TEMPLATES, Template
from joco_mlx.config import ANSWER_TOKENS, TrainConfig, default_of
from joco_mlx.errors import ConflictError, UsageError
from joco_mlx.models import registry

MODELFILE = "Modelfile"
GGUF_NAME = "joco.gguf"
TEMPERATURE = 0.2
"""Near the greedy answer, whose validity is what training measures, yet asking again can give other words."""
_MARK = "# Written by joco-mlx"
_ADAPTER = "# Adapter: sha256:"
_QUOTES = '"""'


def render_modelfile(
    gguf_name: str,
    template: Template,
    *,
    num_ctx: int,
    licence: str,
    model: str,
    adapter: str | None = None,
    temperature: float = TEMPERATURE,
) -> str:
    """Return the text of a Modelfile.

    Args:
        gguf_name: File name of the GGUF beside it.
        template: The prompt that the model was trained with, with its end token.
        num_ctx: Longest sequence in training: prompt and answer, in tokens.
        licence: Name or text of the licence of the weights.
        model: Name of the base model, for the reader.
        adapter: SHA-256 of the adapter that was merged, for `adapter_in`.
        temperature: Of sampling.

    Raises:
        UsageError: `gguf_name` is no plain file name.
    """
    if not gguf_name or Path(gguf_name).name != gguf_name or not gguf_name.isprintable():
        raise UsageError(f"The GGUF's name {gguf_name!r} is no plain file name.", f"Name it {GGUF_NAME}.")
    lines = [
        f"{_MARK} for {_in_one_line(model)} trained at {num_ctx} tokens; an export replaces a file that begins so.",
        *([f"{_ADAPTER}{adapter}"] if adapter else []),
        f"FROM ./{gguf_name}",
        "",
        f"TEMPLATE {_quoted(template.go_template())}",
        f"SYSTEM {_quoted(SYSTEM)}",
        "",
        *(f'PARAMETER stop "{stop}"' for stop in template.stops),
        f"PARAMETER temperature {temperature:g}",
        "# Ollama's own 1.1 would punish the words of the diff, which a message needs.",
        "PARAMETER repeat_penalty 1",
        "# The longest prompt and answer that the model was trained on.",
        f"PARAMETER num_ctx {num_ctx}",
        f"PARAMETER num_predict {ANSWER_TOKENS}",
        "",
        f"LICENSE {_quoted(licence)}",
    ]
    return "\n".join(lines) + "\n"


def render_guide_modelfile(gguf_name: str, *, model: str) -> str:
    """Return the Modelfile of the original guide: no TEMPLATE, Alpaca's headings as stops, temperature 0.7, top_p 0.9.

    Without a TEMPLATE Ollama takes the chat template in the GGUF. For comparison: a model answers best in the form
    that it was trained in.
    """
    lines = [
        f"{_MARK} for {_in_one_line(model)} in the form of the original guide; an export replaces a file that begins so.",
        f"FROM ./{gguf_name}",
        "",
        "PARAMETER temperature 0.7",
        "PARAMETER top_p 0.9",
        *(f'PARAMETER stop "{marker}"' for marker in TEMPLATES["alpaca"].markers[:2]),
        "",
        f"SYSTEM {SYSTEM}",
    ]
    return "\n".join(lines) + "\n"


def default_modelfile() -> str:
    """Return the Modelfile of the default model with default training: the one at the top of this project."""
    base = registry.default()
    return render_modelfile(
        GGUF_NAME,
        replace(TEMPLATES[base.template], end_token=base.end_token),
        num_ctx=default_of(TrainConfig, "max_seq_length"),
        licence=licence_text(base),
        model=base.name,
    )


def licence_text(base: registry.BaseModel) -> str:
    """Return what LICENSE says of a model made from `base`: the base's licence and where its text stands."""
    return f"{base.licence}\n{base.licence_url}"


def is_ours(text: str) -> bool:
    """Whether this tool wrote a Modelfile and may replace it: its first line says so."""
    return text.startswith(_MARK + " ")


def adapter_in(text: str) -> str | None:
    """Return the SHA-256 of the adapter that a Modelfile's GGUF was made of; None where its second line says none."""
    found = re.match(rf".*\n{_ADAPTER}([0-9a-f]{{64}})\n", text)
    return found[1] if found else None


def refuse_foreign_export(folder: Path, *, force: bool) -> None:
    """Look, before the long work, whether the GGUF and the Modelfile may be written into `folder`.

    Raises:
        ConflictError: There is a GGUF of that name, or a Modelfile that somebody else wrote, and `force` is off.
    """
    artifacts.refuse_existing(folder / GGUF_NAME, force=force)
    path = folder / MODELFILE
    if force or not path.exists():
        return
    if not path.is_file() or not is_ours(path.read_text("utf-8", "replace")):
        raise ConflictError(f"{path} exists and was not written by joco-mlx.", "Choose another --out, or move it away.")


def write_modelfile(folder: Path, text: str) -> Path:
    """Write the Modelfile beside the GGUF and return its path."""
    artifacts.write_text(folder / MODELFILE, text)
    return folder / MODELFILE


def _quoted(text: str) -> str:
    """Put a text of one or more lines between triple quotes, for which the grammar has no escape.

    The parser drops what does not print, so that is shown as a question mark; quotes that would close become single.
    """
    shown = "".join(letter if letter.isprintable() or letter in "\n\t" else "?" for letter in text)
    shown = shown.replace(_QUOTES, "'''")
    if shown.endswith('"'):
        shown += "\n"
    return f"{_QUOTES}{shown}{_QUOTES}"


def _in_one_line(text: str) -> str:
    """A folder may be named anything; its name must not begin an instruction."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
