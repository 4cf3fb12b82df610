"""The table of base models: where each comes from, how it is spoken to, under which licence.

Decides names, sources, pinned revisions, templates, end tokens and better training defaults. Every figure is written
down from the model's own page or config.json. A revision is pinned only where it could be verified; None means the
newest one, which a run records. Imports neither MLX nor NumPy: `joco-mlx models` and `--help` read it.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from joco_mlx.config import DEFAULT_MODEL
from joco_mlx.models.shape import Shape

_CHATML_END = "<|im_end|>"


@dataclass(frozen=True)
class BaseModel:
    """One base model that this tool knows by name."""

    name: str
    source: str
    """`hub:ORG/NAME` or `embedded`."""
    revision: str | None
    """Commit or ref of the Hub repository; None takes the newest."""
    original: str
    """Hub repository of the unquantised model: the base model that an exported GGUF names."""
    template: str
    """Name in `commit.prompt.TEMPLATES`."""
    end_token: str
    licence: str
    """SPDX identifier, or the licence's own name."""
    licence_url: str
    research_only: bool
    quality: str
    """The word of the original guide's table, or `pilot` for the embedded model."""
    shape: Shape
    download_bytes: int
    """Weights, configuration and tokenizer, rounded where the Hub shows rounded sizes."""
    note: str = ""
    training: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Better defaults for `TrainConfig`; they yield to every other source."""

    @property
    def repository(self) -> str | None:
        """`ORG/NAME` on the Hub, or None for the embedded model."""
        kind, _, name = self.source.partition(":")
        return name if kind == "hub" else None


_APACHE = "Apache-2.0"
_QWEN_RESEARCH = "Qwen Research License"
_DEEPSEEK = "DeepSeek License Agreement"
_QWEN_VOCABULARY = 151_936


def _qwen_shape(layers: int, hidden: int, intermediate: int, heads: int) -> Shape:
    return Shape(
        "qwen2", layers, hidden, intermediate, heads, kv_heads=2, vocabulary=_QWEN_VOCABULARY, tied=True,
        bits_per_weight=4.5,
    )  # fmt: skip


_QWEN_SHAPES = {
    "0.5B": _qwen_shape(24, 896, 4_864, 14),
    "1.5B": _qwen_shape(28, 1_536, 8_960, 12),
    "3B": _qwen_shape(36, 2_048, 11_008, 16),
}
_QWEN_BYTES = {"0.5B": 289_600_000, "1.5B": 880_170_000, "3B": 1_747_850_000}
_QWEN_QUALITY = {"0.5B": "Basic", "1.5B": "Good", "3B": "Better"}
_DEEPSEEK_SHAPE = Shape("llama", 24, 2_048, 5_504, 16, kv_heads=16, vocabulary=32_256, tied=False)


def _qwen(size: str, *, instruct: bool, revision: str | None) -> BaseModel:
    stem = f"Qwen2.5-Coder-{size}" + ("-Instruct" if instruct else "")
    research = size == "3B"
    return BaseModel(
        name=stem.lower(),
        source=f"hub:mlx-community/{stem}-4bit",
        revision=revision,
        original=f"Qwen/{stem}",
        template="chatml" if instruct else "alpaca",
        end_token=_CHATML_END if instruct else "<|endoftext|>",
        licence=_QWEN_RESEARCH if research else _APACHE,
        licence_url=f"https://huggingface.co/Qwen/{stem}/blob/main/LICENSE",
        research_only=research,
        quality=_QWEN_QUALITY[size],
        shape=_QWEN_SHAPES[size],
        download_bytes=_QWEN_BYTES[size],
        note="Research and evaluation only: the licence forbids commercial use." if research else "",
    )


def _deepseek(*, instruct: bool, revision: str) -> BaseModel:
    stem = "deepseek-coder-1.3b-" + ("instruct" if instruct else "base")
    return BaseModel(
        name="deepseek-coder-1.3b" + ("-instruct" if instruct else ""),
        source=f"hub:deepseek-ai/{stem}",
        revision=revision,
        original=f"deepseek-ai/{stem}",
        template="deepseek" if instruct else "alpaca",
        end_token="<|EOT|>" if instruct else "<｜end▁of▁sentence｜>",
        licence=_DEEPSEEK,
        licence_url=f"https://huggingface.co/deepseek-ai/{stem}/blob/main/LICENSE",
        research_only=False,
        quality="Good",
        shape=_DEEPSEEK_SHAPE,
        download_bytes=2_694_000_000,
        note="16-bit weights: the 4-bit conversions for MLX have a file layout that mlx-lm no longer reads.",
    )


MODELS: tuple[BaseModel, ...] = (
    BaseModel(
        name="smollm2-135m",
        source="embedded",
        revision=None,
        original="HuggingFaceTB/SmolLM2-135M-Instruct",
        template="chatml",
        end_token=_CHATML_END,
        licence=_APACHE,
        licence_url="https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct",
        research_only=False,
        quality="Pilot",
        shape=Shape("llama", 30, 576, 1_536, 9, kv_heads=3, vocabulary=49_152, tied=True, bits_per_weight=5.84),
        download_bytes=98_400_000,
        note="Needs no model hub; for trying the whole line in minutes.",
        # The best of four settings tried with one seed each on 40 held-out commits (20 of them of another repository);
        # one or two cases lie between most of them. About three minutes on two cores with a fast BLAS.
        training={
            "steps": 130,
            "grad_accumulation": 1,
            "max_seq_length": 448,
            "learning_rate": 1e-3,
            "warmup_steps": 10,
            "rank": 16,
            "alpha": 32.0,
            "layers": 16,
            "eval_every": 65,
        },
    ),
    _qwen("0.5B", instruct=True, revision="6b16732e5af5cd9bd600186ad59fa618867ef7a4"),
    _qwen("0.5B", instruct=False, revision=None),
    _qwen("1.5B", instruct=True, revision="b3252a2f97102b1fb1571fec2c9b27219a8536be"),
    _qwen("1.5B", instruct=False, revision=None),
    _qwen("3B", instruct=True, revision="3dd939c621c08e5753d5b89f35a2642cd83b98ca"),
    _qwen("3B", instruct=False, revision=None),
    _deepseek(instruct=True, revision="e063262dac8366fc1f28a4da0ff3c50ea66259ca"),
    # The main branch of the base model has pickled weights only; this is the Hub's own safetensors conversion of it.
    _deepseek(instruct=False, revision="refs/pr/3"),
)

ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "default": DEFAULT_MODEL,
        "embedded": "smollm2-135m",
        "smollm2-135m-instruct": "smollm2-135m",
        "deepseek-coder-1.3b-base": "deepseek-coder-1.3b",
    }
)


def find(name: str) -> BaseModel | None:
    """Return the entry with this name or alias, in any case, or None."""
    wanted = ALIASES.get(name.lower(), name.lower())
    return next((entry for entry in MODELS if entry.name == wanted), None)


def default() -> BaseModel:
    """Return the entry of the model that is taken when nobody names one."""
    return next(entry for entry in MODELS if entry.name == DEFAULT_MODEL)


def find_repository(repository: str) -> BaseModel | None:
    """Return the entry that comes from this Hub repository, or was converted from it, or None."""
    wanted = repository.lower()
    return next(
        (entry for entry in MODELS if wanted in ((entry.repository or "").lower(), entry.original.lower())), None
    )


def nearest(name: str, count: int = 3) -> tuple[str, ...]:
    """Return the names of the registry that look most like `name`, best first; all of them when none does."""
    names = [entry.name for entry in MODELS]
    return tuple(difflib.get_close_matches(name.lower(), names, n=count, cutoff=0.4)) or tuple(names)
