"""The tokenizer of a model folder: text to ids and back, on `tokenizers` alone.

Decides what counts as control: the tokens that `tokenizer.json` flags as special (llama.cpp calls them control tokens).
By default text is only text: `<|im_end|>` inside a diff gives the tokens of its characters, never the token that ends
a turn. `control=True` is for our own template text. Leaves the words of the prompt to `commit.prompt`.
"""

from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from tokenizers import Tokenizer as Fast

from joco_mlx.commit.prompt import Template
from joco_mlx.errors import InputError
from joco_mlx.models.json_file import read_object

TOKENIZER_FILE = "tokenizer.json"


class Tokenizer:
    """Text to token ids and back, as the model's own `tokenizer.json` says.

    Attributes:
        folder: Where it was read from.
        start_ids: What the tokenizer itself puts before a text (DeepSeek's begin-of-sentence; nothing for Qwen2.5).
    """

    def __init__(self, content: str, folder: Path) -> None:
        try:
            self._fast = Fast.from_str(content)
        except Exception as problem:  # the Rust library raises plain Exception
            raise InputError(
                f"{folder / TOKENIZER_FILE} is no tokenizer that the tokenizers library reads: {problem}.",
                "Take tokenizer.json from the base model again.",
            ) from problem
        self._fast.no_padding()
        self._fast.no_truncation()
        self._lock = Lock()
        self.folder = folder
        self.start_ids: list[int] = list(self._fast.encode("", add_special_tokens=True).ids)

    @classmethod
    def from_folder(cls, folder: Path) -> "Tokenizer":
        """Read `tokenizer.json` of a model folder.

        Raises:
            InputError: It is missing or unreadable.
        """
        path = folder / TOKENIZER_FILE
        try:
            return cls(path.read_text("utf-8"), folder)
        except (OSError, UnicodeDecodeError) as problem:
            raise InputError(
                f"{folder} has no readable {TOKENIZER_FILE}.",
                "Take tokenizer.json from the base model; vocab.json and merges.txt alone are not enough.",
            ) from problem

    def encode(self, text: str, *, control: bool = False) -> list[int]:
        """Return the ids of `text`, without `start_ids`.

        Args:
            text: Any text.
            control: Let control strings become their tokens. Only for text whose foreign parts went through
                `commit.prompt.neutralise`.
        """
        with self._lock:  # one Rust object serves both ways: a second one costs 0.4 s for Qwen's vocabulary
            self._fast.encode_special_tokens = not control
            return list(self._fast.encode(text, add_special_tokens=False).ids)

    def encode_prompt(self, prompt: str) -> list[int]:
        """Return the ids of a rendered prompt: `start_ids`, then the prompt with its control tokens."""
        return [*self.start_ids, *self.encode(prompt, control=True)]

    def count(self, text: str) -> int:
        """Return how many tokens `text` has as text."""
        return len(self.encode(text))

    def decode(self, ids: Sequence[int], *, control: bool = False) -> str:
        """Return the text of `ids`; control tokens are left out unless `control` is on."""
        return str(self._fast.decode(list(ids), skip_special_tokens=not control))

    def token_id(self, token: str) -> int:
        """Return the id of one token.

        Raises:
            InputError: The vocabulary does not have it.
        """
        found = self._fast.token_to_id(token)
        if found is None:
            raise InputError(
                f"The tokenizer in {self.folder} has no token {token!r}.",
                "Use a template that fits this model; joco-mlx models lists the models and their templates.",
            )
        return int(found)

    def end_id(self, template: Template) -> int:
        """Return the id of the token that ends an answer in `template`: a target in training, the stop afterwards."""
        return self.token_id(template.end_token)

    def control_tokens(self) -> dict[str, int]:
        """Return text -> id of every token that the tokenizer flags as special."""
        added = self._fast.get_added_tokens_decoder()
        return {token.content: number for number, token in added.items() if token.special}


def tokenizer_config(folder: Path) -> dict[str, Any]:
    """Return `tokenizer_config.json` of a model folder; empty when there is none.

    Raises:
        InputError: It is no JSON object.
    """
    path = folder / "tokenizer_config.json"
    return read_object(path) if path.is_file() else {}


def chat_template(folder: Path) -> str | None:
    """Return the Jinja chat template of a model folder, or None: `chat_template.jinja` wins over the configuration."""
    separate = folder / "chat_template.jinja"
    if separate.is_file():
        return separate.read_text("utf-8")
    found = tokenizer_config(folder).get("chat_template")
    if isinstance(found, list):
        found = next((item["template"] for item in found if item.get("name") == "default"), None)
    return found if isinstance(found, str) else None
