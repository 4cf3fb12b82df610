"""The real llama.cpp on a GGUF, through its shared libraries: its tokens and its logits.

Decides where the libraries are and which of their functions are called (`llama.h`; parameter structs are handed back as
llama.cpp filled them, but for the three sizes that the context's begins with, so that fields which versions add do not
matter). Nothing here is needed to make a file: it is how one is judged by the program that will run it.
"""

import ctypes
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from joco_mlx.errors import InputError, MachineError
from joco_mlx.gguf.rounding import Floats

VARIABLE = "LLAMA_LIB_DIR"
_LIBRARIES = ("libggml-base", "libggml.", "libllama.")
_KEPT_LINES = 8
_LogCallback = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)


class _Parameters(ctypes.Structure):
    """Room for a parameter struct; the context's begins with three sizes."""

    _fields_ = [("words", ctypes.c_uint32 * 128)]


class _Batch(ctypes.Structure):
    """`struct llama_batch`."""

    _fields_ = [
        ("count", ctypes.c_int32),
        ("token", ctypes.POINTER(ctypes.c_int32)),
        ("embedding", ctypes.c_void_p),
        ("position", ctypes.POINTER(ctypes.c_int32)),
        ("sequences", ctypes.POINTER(ctypes.c_int32)),
        ("sequence", ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))),
        ("wanted", ctypes.POINTER(ctypes.c_int8)),
    ]


def find_library() -> Path:
    """Return the folder with llama.cpp's shared libraries that LLAMA_LIB_DIR names.

    Raises:
        MachineError: It names none.
    """
    named = os.environ.get(VARIABLE, "")
    folder = Path(named)
    if not named or not all(_files(folder, name) for name in _LIBRARIES):
        raise MachineError(
            f"{VARIABLE} is {named!r}, which is no folder with llama.cpp's shared libraries (libllama, libggml).",
            f"Install llama.cpp and name its folder of libraries: export {VARIABLE}=$(brew --prefix)/lib",
        )
    return folder


def _files(folder: Path, name: str) -> list[Path]:
    return [*sorted(folder.glob(f"{name}*so")), *sorted(folder.glob(f"{name}*dylib"))]


class Llama:
    """One GGUF opened by llama.cpp; use it in a `with` block."""

    def __init__(self, file: Path, *, context: int, library: Path, threads: int) -> None:
        """Open a file.

        Args:
            file: A sound GGUF: on a damaged one llama.cpp may end the process.
            context: Most tokens of one text.
            library: From `find_library`.
            threads: More than there are cores free, and they spin against each other.

        Raises:
            InputError: llama.cpp refuses it; the message has its reason.
        """
        self._said: list[str] = []
        self._most = context
        self._library = self._loaded(library)
        self._model = self._call("llama_model_load_from_file", ctypes.c_void_p, ctypes.c_char_p, _Parameters)(
            str(file).encode(), self._call("llama_model_default_params", _Parameters)()
        )
        if not self._model:
            raise InputError(
                f"llama.cpp refuses {file}: {self._reason()}", "Make it again: joco-mlx fuse --export-gguf"
            )
        parameters = self._call("llama_context_default_params", _Parameters)()
        parameters.words[0] = parameters.words[1] = parameters.words[2] = context
        self._context = self._call("llama_init_from_model", ctypes.c_void_p, ctypes.c_void_p, _Parameters)(
            self._model, parameters
        )
        if not self._context:
            raise MachineError(f"llama.cpp cannot run {file}: {self._reason()}", "Close other programs.")
        self._call("llama_set_n_threads", None, ctypes.c_void_p, *[ctypes.c_int32] * 2)(self._context, threads, threads)
        self._vocabulary = self._call("llama_model_get_vocab", ctypes.c_void_p, ctypes.c_void_p)(self._model)
        self._size = self._call("llama_vocab_n_tokens", ctypes.c_int32, ctypes.c_void_p)(self._vocabulary)

    def _loaded(self, folder: Path) -> ctypes.CDLL:
        base, ggml, llama = (ctypes.CDLL(str(_files(folder, name)[0]), ctypes.RTLD_GLOBAL) for name in _LIBRARIES)
        self._callback = _LogCallback(self._listen)
        base.ggml_log_set(self._callback, None)
        ggml.ggml_backend_load_all_from_path(str(folder).encode())
        llama.llama_log_set(self._callback, None)
        llama.llama_backend_init()
        return llama

    def _listen(self, _: int, text: bytes | None, __: int | None) -> None:
        self._said = [*self._said, (text or b"").decode("utf-8", "replace").strip()][-_KEPT_LINES:]

    def _reason(self) -> str:
        return " ".join(line for line in self._said if line)[:400] or "it gives no reason"

    def _call(self, name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
        function = getattr(self._library, name)
        function.restype, function.argtypes = result, list(arguments)
        return function  # type: ignore[no-any-return]

    def tokens(self, text: str) -> list[int]:
        """Return the ids of `text`; control strings become control tokens, nothing is put before them."""
        size, flag = ctypes.c_int32, ctypes.c_bool
        data = text.encode()
        out = (ctypes.c_int32 * (len(data) + 8))()
        run = self._call(
            "llama_tokenize", size, ctypes.c_void_p, ctypes.c_char_p, size, ctypes.c_void_p, size, flag, flag
        )
        count = run(self._vocabulary, data, len(data), out, len(out), False, True)
        return list(out[:count])

    def logits(self, tokens: Sequence[int], first: int = 0) -> Floats:
        """Return float32 [tokens - first, vocabulary]: the logits after each token from place `first` on.

        Raises:
            InputError: There are more tokens than the context holds, or llama.cpp cannot compute with them.
        """
        if len(tokens) > self._most:  # llama.cpp would end the process
            raise InputError(f"A text has {len(tokens)} tokens, but {self._most} fit.", "Give shorter texts.")
        memory = self._call("llama_get_memory", ctypes.c_void_p, ctypes.c_void_p)(self._context)
        self._call("llama_memory_clear", None, ctypes.c_void_p, ctypes.c_bool)(memory, True)
        size = ctypes.c_int32
        batch = self._call("llama_batch_init", _Batch, size, size, size)(len(tokens), 0, 1)
        batch.count = len(tokens)
        for place, token in enumerate(tokens):
            batch.token[place], batch.position[place], batch.sequences[place] = token, place, 1
            batch.sequence[place][0], batch.wanted[place] = 0, place >= first
        code = self._call("llama_decode", size, ctypes.c_void_p, _Batch)(self._context, batch)
        if code:
            raise InputError(f"llama.cpp fails with code {code} on {len(tokens)} tokens: {self._reason()}")
        read = self._call("llama_get_logits_ith", ctypes.POINTER(ctypes.c_float), ctypes.c_void_p, size)
        found = np.stack(
            [np.ctypeslib.as_array(read(self._context, place), (self._size,)) for place in range(first, len(tokens))]
        )
        self._call("llama_batch_free", None, _Batch)(batch)
        return found

    def __enter__(self) -> "Llama":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call("llama_free", None, ctypes.c_void_p)(self._context)
        self._call("llama_model_free", None, ctypes.c_void_p)(self._model)
