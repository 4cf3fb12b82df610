"""A Hugging Face tokenizer as GGUF metadata, so that llama.cpp gives the ids that the model was trained on.

Decides token texts and types, merges, and the tokens with a part to play. Reads `tokenizer.json` as `models.tokens`
does, because that is what training read. Keys and types follow `get_vocab_base` and `SpecialVocab` of llama.cpp's
converter, except for the end: eos and eot are the token that ends an answer in training, whatever the base model's was.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from gguf import TokenType

from joco_mlx.errors import InputError
from joco_mlx.gguf.container import Metadata
from joco_mlx.gguf.pretokenizer import pretokenizer_name
from joco_mlx.merge.weights import read_object
from joco_mlx.models.shape import read_config
from joco_mlx.models.tokens import TOKENIZER_FILE, Tokenizer, tokenizer_config

_AGAIN = "Take tokenizer.json from the base model again."
_PREFIX = "tokenizer.ggml."
_TAKEN_FOR_CONTROL = frozenset((
    "</s>", "<eos>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]", "<end_of_turn>", "<end_of_utterance>", "<turn|>",
    "<|tool_response>", "[e~[", "<PRE>", "<SUF>", "<MID>", "<PAD>", "[PAD]", "<REPO>", "<reponame>",
    *(f"<fim{dash}{part}>" for dash in "-_" for part in ("prefix", "suffix", "middle", "pad", "repo")),
))  # fmt: skip
"""Texts that make llama.cpp take any token for control, whatever its type (`llama_vocab::impl::load`)."""


def vocabulary_metadata(folder: Path, rows: int, end_token: str, chat_template: str | None) -> Metadata:
    """Return the `tokenizer.*` keys of a model folder.

    Args:
        folder: With `tokenizer.json`, and what else it has beside it.
        rows: Rows of the embedding; tokens that the tokenizer lacks are padded.
        end_token: What ends an answer.
        chat_template: Jinja text, if there is one.

    Raises:
        InputError: The tokenizer is none that llama.cpp can follow, or does not fit the model.
    """
    tokenizer = Tokenizer.from_folder(folder)
    content = read_object(folder / TOKENIZER_FILE)
    pre = pretokenizer_name(_byte_pair(content, folder), folder / TOKENIZER_FILE)
    tokens, types = _tokens(content, rows, tokenizer)
    end = tokenizer.token_id(end_token)
    values: Metadata = {
        "model": "gpt2",
        "pre": pre,
        "tokens": tokens,
        "token_type": types,
        "merges": _merges(content, folder),
        **_parts(tokenizer, folder, rows),
        "eos_token_id": end,
        "eot_token_id": end,
        "add_bos_token": bool(tokenizer.start_ids),
    }
    found: Metadata = {f"{_PREFIX}{key}": value for key, value in values.items()}
    if chat_template:
        found["tokenizer.chat_template"] = chat_template
    return found


def _byte_pair(content: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    """Return `content` if it is plain byte-pair encoding on bytes, the one kind that is supported."""
    model = content.get("model")
    kind = model.get("type") if isinstance(model, Mapping) else None
    if not isinstance(model, Mapping) or kind != "BPE" or model.get("byte_fallback"):
        raise InputError(
            f"{folder / TOKENIZER_FILE} is of type {kind!r}, but only byte-level BPE can be exported.",
            "Use a model with a byte-level BPE tokenizer; joco-mlx models lists tested ones.",
        )
    return content


def _tokens(content: Mapping[str, Any], rows: int, tokenizer: Tokenizer) -> tuple[list[str], list[int]]:
    """Text and type of every row of the embedding."""
    folder = tokenizer.folder
    try:
        known = {int(number): str(text) for text, number in content["model"]["vocab"].items()}
        added = {int(token["id"]): token for token in content.get("added_tokens") or []}
    except (AttributeError, KeyError, TypeError, ValueError) as problem:
        raise InputError(f"{folder / TOKENIZER_FILE} holds a damaged vocabulary: {problem!r}.", _AGAIN) from problem
    highest = max(known.keys() | added.keys(), default=-1)
    if highest >= rows:
        raise InputError(
            f"{folder} has token {highest}, but its model only {rows} rows of embeddings.",
            "Give the tokenizer and the weights of one and the same model.",
        )
    tokens, types = [], []
    for number in range(rows):
        if number in added:
            text = str(added[number]["content"])
            control = added[number].get("special") or _looks_like_control(text)
            kind = TokenType.CONTROL if control else TokenType.USER_DEFINED
        elif number in known and not _is_hidden(known[number], number, tokenizer):
            text, kind = known[number], TokenType.NORMAL
        else:
            text, kind = f"[PAD{number}]", TokenType.UNUSED
        tokens.append(text)
        types.append(int(kind))
    return tokens, types


def _is_hidden(text: str, number: int, tokenizer: Tokenizer) -> bool:
    """Whether an ordinary token must not show its text.

    Qwen2's vocabulary has a token `</s>` that its own word splitting never leads to. llama.cpp would take every `</s>`
    in a diff for it, and for a control token; written as padding, the text gives the tokens that training saw.
    """
    return text in _TAKEN_FOR_CONTROL and tokenizer.encode(text) != [number]


def _looks_like_control(text: str) -> bool:
    """Tokens that models forget to flag as special (Qwen2.5-Coder's `<|fim_prefix|>`, DeepSeek-Coder's `<pad>`)."""
    return text == "<pad>" or (text.startswith(("<|", "<｜")) and text.endswith(("|>", "｜>")))


def _merges(content: Mapping[str, Any], folder: Path) -> list[str]:
    """Merges as `left right`; newer tokenizer.json files hold pairs."""
    merges = content["model"].get("merges")
    if not isinstance(merges, list) or not merges:
        raise InputError(f"{folder / TOKENIZER_FILE} has no merges.", _AGAIN)
    pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in merges]
    for pair in pairs:
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair)):
            raise InputError(f"{folder / TOKENIZER_FILE} has the merge {pair!r}, which is no pair of tokens.", _AGAIN)
    return [" ".join(pair) for pair in pairs]


def _parts(tokenizer: Tokenizer, folder: Path, rows: int) -> Metadata:
    """Ids of the start, padding and unknown tokens, where the model has them."""
    if len(tokenizer.start_ids) > 1:
        raise InputError(
            f"{folder} begins every text with {len(tokenizer.start_ids)} tokens, but llama.cpp adds one at most.",
            "Use another model; joco-mlx models lists tested ones.",
        )
    named, numbered = tokenizer_config(folder), read_config(folder)
    found: Metadata = {}
    for part, key in (("bos", "bos_token_id"), ("pad", "padding_token_id"), ("unk", "unknown_token_id")):
        number = _token_id(tokenizer, named.get(f"{part}_token"), numbered.get(f"{part}_token_id"))
        if number is not None and 0 <= number < rows:
            found[key] = number
    if tokenizer.start_ids:
        found["bos_token_id"] = tokenizer.start_ids[0]
    return found


def _token_id(tokenizer: Tokenizer, named: Any, numbered: Any) -> int | None:
    """The id of a token that tokenizer_config.json names, else what config.json says.

    A name that the vocabulary lacks is passed over, as llama.cpp's converter does: no padding is better than no file.
    """
    text = named.get("content") if isinstance(named, Mapping) else named
    if isinstance(text, str) and text:
        with suppress(InputError):
            return tokenizer.token_id(text)
    return numbered if isinstance(numbered, int) and not isinstance(numbered, bool) else None
