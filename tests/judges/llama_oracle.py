"""The real llama.cpp as a judge: quantise, tokenise, logits, through its shared libraries and ctypes.

The libraries live in a child process. llama.cpp ends the process on many kinds of bad input, and its ggml would meet
another ggml (libggml-python's) under the same global names; in a child neither reaches the tests.

    quantize(source, target, ftype=15)
    with Model(path) as model:
        model.logits(model.tokenize("feat: add"))
"""

import contextlib
import ctypes
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

F16, Q8_0, Q4_K_M = 1, 7, 15
"""llama.cpp's numbers of whole-file types (`enum llama_ftype` of llama.h)."""
LIBRARY = Path(__file__).parent / "node_modules" / "@node-llama-cpp" / "linux-x64" / "bins" / "linux-x64"


class LlamaError(Exception):
    """llama.cpp refused, or its process died; the text holds the end of its log."""


class _Child:
    """A process that holds the libraries and answers pickled calls."""

    def __init__(self, library: Path | None) -> None:
        folder = library or Path(os.environ.get("LLAMA_LIB_DIR") or LIBRARY)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (closed by `close`)
        command = [sys.executable, __file__, str(folder)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log)

    def call(self, name: str, *arguments: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            pickle.dump((name, arguments), self._process.stdin)
            self._process.stdin.flush()
            problem, value = pickle.load(self._process.stdout)
        except (EOFError, BrokenPipeError):
            code = self._process.wait()
            raise LlamaError(f"llama.cpp died in {name} (exit code {code}):\n{self.log()[-4000:]}") from None
        if problem:
            raise LlamaError(f"{problem}\n{self.log()[-4000:]}")
        return value

    def log(self) -> str:
        self._log.seek(0)
        return self._log.read().decode("utf-8", "replace")

    def close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self._process.wait()
        self._log.close()


def quantize(source: Path, target: Path, ftype: int = Q4_K_M, threads: int = 2, *, library: Path | None = None) -> None:
    """Run the real `llama_model_quantize`."""
    child = _Child(library)
    try:
        child.call("quantize", str(source), str(target), ftype, threads)
    finally:
        child.close()


class Model:
    """A GGUF opened by the real llama.cpp; close it, or use it in a `with` block."""

    def __init__(self, path: Path, *, context: int = 512, library: Path | None = None) -> None:
        self._child = _Child(library)
        try:
            self._child.call("open", str(path), context)
        except LlamaError:
            self.close()
            raise

    def tokenize(self, text: str, special: bool = True, start: bool = False) -> list[int]:
        """Token ids of `text`.

        Args:
            text: What to tokenise.
            special: Control strings become control tokens; False leaves them text.
            start: Add the start token when the file asks for one.
        """
        return self.tokenize_all([text], special, start)[0]

    def tokenize_all(self, texts: Sequence[str], special: bool = True, start: bool = False) -> list[list[int]]:
        """`tokenize` for many texts in one call."""
        result: list[list[int]] = self._child.call("tokenize", list(texts), special, start)
        return result

    def logits(self, tokens: Sequence[int]) -> np.ndarray:
        """Logits after each of `tokens`: (tokens, vocabulary), float32."""
        result: np.ndarray = self._child.call("logits", list(tokens))
        return result

    def complete(self, tokens: Sequence[int], limit: int = 64) -> list[int]:
        """The likeliest continuation, up to the token that llama.cpp takes for the end (left out)."""
        result: list[int] = self._child.call("complete", list(tokens), limit)
        return result

    def is_end(self, token: int) -> bool:
        """Whether llama.cpp stops at `token`."""
        return bool(self._child.call("is_end", token))

    def metadata(self, key: str) -> str | None:
        """A value of the file's metadata as text; None when it is missing."""
        result: str | None = self._child.call("metadata", key)
        return result

    def log(self) -> str:
        """Everything that llama.cpp said so far."""
        return self._child.log()

    def close(self) -> None:
        """End the child process."""
        self._child.close()

    def __enter__(self) -> "Model":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
