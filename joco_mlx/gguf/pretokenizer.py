"""The name that llama.cpp knows a tokenizer's word splitting by: `tokenizer.ggml.pre`.

Decides it from the tokenizer's own definition, step by step, never from the model's name. llama.cpp has one hand-written
splitter for each name; a missing or wrong one makes it split words otherwise than in training, without an error. So an
unknown definition is refused. The splitters are in llama.cpp's `src/llama-vocab.cpp`, `llm_tokenizer_bpe`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from joco_mlx.errors import InputError

Step = tuple[str, ...]
Definition = tuple[tuple[Step, ...], bool]
"""The steps in their order, and whether a whole word of the vocabulary is taken without looking at its merges."""

_CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_DIGITS: Step = ("digits", "one by one")
_BYTES: Step = ("bytes",)
_GPT2_WORDS_AND_BYTES: Step = ("bytes", "gpt-2 words")

_KNOWN: Mapping[Definition, str] = {
    ((("split", f"{_CONTRACTIONS}|{_WORDS}|\\p{{N}}|{_REST}"), _BYTES), False): "qwen2",
    ((("split", f"{_CONTRACTIONS}|{_WORDS}|\\p{{N}}{{1,3}}|{_REST}"), _BYTES), True): "llama-bpe",
    ((_DIGITS, _GPT2_WORDS_AND_BYTES), False): "smollm",
    ((_GPT2_WORDS_AND_BYTES,), False): "gpt-2",
    (
        (
            ("split", "[\r\n]"),
            ("split", r"\s?\p{L}+"),
            ("split", r"\s?\p{P}+"),
            ("split", "[一-龥ࠀ-一가-퟿]+"),
            _DIGITS,
            _BYTES,
        ),
        False,
    ): "deepseek-coder",
}
KNOWN: tuple[str, ...] = tuple(sorted(_KNOWN.values()))


def pretokenizer_name(tokenizer: Mapping[str, Any], where: Path) -> str:
    """Return llama.cpp's name for the word splitting of a tokenizer.

    Args:
        tokenizer: The content of tokenizer.json.
        where: The file, for messages.

    Raises:
        InputError: It is none that llama.cpp splits alike, or it changes text before splitting.
    """
    _refuse_normalizer(tokenizer.get("normalizer"), where)
    steps = tuple(_step(step) for step in _flat(tokenizer.get("pre_tokenizer")))
    name = _KNOWN.get((steps, bool(tokenizer["model"].get("ignore_merges"))))
    if name is None:
        raise InputError(
            f"{where} splits words in a way that has no name here: {_told(steps)}.",
            f"Use a model whose tokenizer is one of: {', '.join(KNOWN)}; joco-mlx models lists tested ones.",
        )
    return name


def _refuse_normalizer(normalizer: Any, where: Path) -> None:
    """llama.cpp changes no text. NFC is let through: it touches only text that is not composed yet."""
    for step in _flat(normalizer, "normalizers"):
        if step.get("type") != "NFC":
            raise InputError(
                f"{where} changes text by {step.get('type')!r} before splitting it, which llama.cpp does not.",
                "Use a model with a byte-level tokenizer; joco-mlx models lists tested ones.",
            )


def _flat(node: Any, inner: str = "pretokenizers") -> list[Mapping[str, Any]]:
    """The steps of a possibly nested Sequence."""
    if not isinstance(node, Mapping):
        return []
    if node.get("type") != "Sequence":
        return [node]
    return [step for part in node.get(inner) or [] for step in _flat(part, inner)]


def _step(step: Mapping[str, Any]) -> Step:
    """What a step does, in one form for each thing that can be done; anything unusual stays recognisably unusual."""
    match step:
        case {"type": "Split", "pattern": {"Regex": str(pattern)}, "behavior": "Isolated", "invert": False}:
            return ("split", pattern)
        case {"type": "Digits", "individual_digits": True}:
            return _DIGITS
        case {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}:
            return _BYTES
        case {"type": "ByteLevel", "add_prefix_space": False}:
            return _GPT2_WORDS_AND_BYTES
    return ("other", str(dict(step)))


def _told(steps: tuple[Step, ...]) -> str:
    text = "; ".join(" ".join(step) for step in steps) or "no pre_tokenizer"
    return text if len(text) <= 200 else f"{text[:200]}..."
