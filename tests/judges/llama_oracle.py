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
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

F16, Q8_0, Q4_K_S, Q4_K_M, Q5_K_M, Q6_K = 1, 7, 14, 15, 17, 18
"""llama.cpp's numbers of whole-file types (`enum llama_ftype` of llama.h)."""
_BUILD = "mac-arm64-metal" if sys.platform == "darwin" else "linux-x64"
LIBRARY = Path(__file__).parent / "node_modules" / "@node-llama-cpp" / _BUILD / "bins" / _BUILD


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


def quantize(
    source: Path,
    target: Path,
    ftype: int = Q4_K_M,
    threads: int = 2,
    *,
    imatrix: Mapping[str, np.ndarray] | None = None,
    library: Path | None = None,
) -> None:
    """Run the real `llama_model_quantize`, with an importance matrix (tensor -> columns) when one is given."""
    child = _Child(library)
    try:
        child.call("quantize", str(source), str(target), ftype, threads, dict(imatrix or {}))
    finally:
        child.close()


class Model:
    """A GGUF opened by the real llama.cpp; close it, or use it in a `with` block."""

    def __init__(
        self, path: Path, *, context: int = 512, threads: int | None = None, library: Path | None = None
    ) -> None:
        self._child = _Child(library)
        try:
            self._child.call("open", str(path), context, threads or min(4, os.cpu_count() or 1))
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

    def logits(self, tokens: Sequence[int], first: int = 0) -> np.ndarray:
        """Logits after each of `tokens` from place `first` on: (tokens - first, vocabulary), float32."""
        result: np.ndarray = self._child.call("logits", list(tokens), first)
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


class _Quantize(ctypes.Structure):
    """`struct llama_model_quantize_params` of llama.h; the same in llama.cpp v0.4.0 and v0.5.0."""

    _fields_ = [
        ("threads", ctypes.c_int32),
        ("ftype", ctypes.c_int),
        ("output_type", ctypes.c_int),
        ("embedding_type", ctypes.c_int),
        *((name, ctypes.c_bool) for name in ("requantize", "output", "copy", "pure", "split", "dry_run")),
        ("pointers", ctypes.c_void_p * 12),
    ]


class _Importance(ctypes.Structure):
    """`struct llama_model_imatrix_data` of llama.h; a list of them ends with one that has no name."""

    _fields_ = [("name", ctypes.c_char_p), ("data", ctypes.POINTER(ctypes.c_float)), ("size", ctypes.c_size_t)]


class _Parameters(ctypes.Structure):
    """Room for a parameter struct that is handed back as llama.cpp filled it; the context's begins with three sizes."""

    _fields_ = [("words", ctypes.c_uint32 * 128)]


class _Batch(ctypes.Structure):
    """`struct llama_batch` of llama.h."""

    _fields_ = [
        ("count", ctypes.c_int32),
        ("token", ctypes.POINTER(ctypes.c_int32)),
        ("embedding", ctypes.c_void_p),
        ("position", ctypes.POINTER(ctypes.c_int32)),
        ("sequences", ctypes.POINTER(ctypes.c_int32)),
        ("sequence", ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))),
        ("wanted", ctypes.POINTER(ctypes.c_int8)),
    ]


class Server:
    """The libraries, and at most one open model."""

    def __init__(self, folder: Path) -> None:
        for name in ("libggml-base", "libggml.", "libllama."):
            found = sorted(folder.glob(f"{name}*so")) + sorted(folder.glob(f"{name}*dylib"))
            library = ctypes.CDLL(str(found[0]), ctypes.RTLD_GLOBAL)
            if name == "libggml.":
                library.ggml_backend_load_all_from_path(str(folder).encode())
        self._library = library
        self._call("llama_backend_init", None)()

    def _call(self, name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
        function = getattr(self._library, name)
        function.restype, function.argtypes = result, list(arguments)
        return function  # type: ignore[no-any-return]

    def quantize(
        self, source: str, target: str, ftype: int, threads: int, imatrix: Mapping[str, np.ndarray] | None = None
    ) -> None:
        parameters = self._call("llama_model_quantize_default_params", _Quantize)()
        parameters.ftype, parameters.threads = ftype, threads
        kept = {name: np.ascontiguousarray(values, np.float32) for name, values in (imatrix or {}).items()}
        lines = (_Importance * (len(kept) + 1))()
        for line, (name, values) in zip(lines, kept.items(), strict=False):
            line.name, line.size = name.encode(), values.size
            line.data = values.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        if kept:
            parameters.pointers[0] = ctypes.addressof(lines)
        run = self._call("llama_model_quantize", ctypes.c_uint32, *[ctypes.c_char_p] * 2, ctypes.c_void_p)
        if run(source.encode(), target.encode(), ctypes.byref(parameters)):
            raise LlamaError(f"llama_model_quantize refused {source}")

    def open(self, path: str, context: int, threads: int) -> None:
        load = self._call("llama_model_load_from_file", ctypes.c_void_p, ctypes.c_char_p, _Parameters)
        self._model = load(path.encode(), self._call("llama_model_default_params", _Parameters)())
        if not self._model:
            raise LlamaError(f"llama.cpp cannot load {path}")
        parameters = self._call("llama_context_default_params", _Parameters)()
        parameters.words[0] = parameters.words[1] = parameters.words[2] = context
        start = self._call("llama_init_from_model", ctypes.c_void_p, ctypes.c_void_p, _Parameters)
        self._context = start(self._model, parameters)
        if not self._context:
            raise LlamaError(f"llama.cpp cannot run {path}")
        # More threads than there are cores free, and they spin against each other.
        self._call("llama_set_n_threads", None, ctypes.c_void_p, *[ctypes.c_int32] * 2)(self._context, threads, threads)
        self._vocabulary = self._call("llama_model_get_vocab", ctypes.c_void_p, ctypes.c_void_p)(self._model)
        self._size = self._call("llama_vocab_n_tokens", ctypes.c_int32, ctypes.c_void_p)(self._vocabulary)

    def tokenize(self, texts: list[str], special: bool, start: bool) -> list[list[int]]:
        size, flag = ctypes.c_int32, ctypes.c_bool
        run = self._call(
            "llama_tokenize", size, ctypes.c_void_p, ctypes.c_char_p, size, ctypes.c_void_p, size, flag, flag
        )
        result = []
        for text in texts:
            data = text.encode()
            out = (ctypes.c_int32 * (len(data) + 8))()
            count = run(self._vocabulary, data, len(data), out, len(out), start, special)
            result.append(list(out[:count]))
        return result

    def logits(self, tokens: list[int], first: int) -> np.ndarray:
        self._forget()
        return np.stack(list(self._decode(tokens, 0, range(first, len(tokens)))))

    def complete(self, tokens: list[int], limit: int) -> list[int]:
        self._forget()
        done: list[int] = []
        fresh, position = tokens, 0
        while len(done) < limit:
            (scores,) = self._decode(fresh, position, [len(fresh) - 1])
            position += len(fresh)
            fresh = [int(scores.argmax())]
            if self.is_end(fresh[0]):
                break
            done += fresh
        return done

    def _forget(self) -> None:
        memory = self._call("llama_get_memory", ctypes.c_void_p, ctypes.c_void_p)(self._context)
        self._call("llama_memory_clear", None, ctypes.c_void_p, ctypes.c_bool)(memory, True)

    def _decode(self, tokens: list[int], position: int, wanted: Sequence[int]) -> Iterator[np.ndarray]:
        size = ctypes.c_int32
        batch = self._call("llama_batch_init", _Batch, size, size, size)(len(tokens), 0, 1)
        batch.count = len(tokens)
        for i, token in enumerate(tokens):
            batch.token[i], batch.position[i], batch.sequences[i] = token, position + i, 1
            batch.sequence[i][0], batch.wanted[i] = 0, i in wanted
        code = self._call("llama_decode", size, ctypes.c_void_p, _Batch)(self._context, batch)
        if code:
            raise LlamaError(f"llama_decode returned {code}")
        read = self._call("llama_get_logits_ith", ctypes.POINTER(ctypes.c_float), ctypes.c_void_p, size)
        for i in wanted:
            yield np.ctypeslib.as_array(read(self._context, i), (self._size,)).copy()
        self._call("llama_batch_free", None, _Batch)(batch)

    def is_end(self, token: int) -> bool:
        run = self._call("llama_vocab_is_eog", ctypes.c_bool, ctypes.c_void_p, ctypes.c_int32)
        return bool(run(self._vocabulary, token))

    def metadata(self, key: str) -> str | None:
        size = ctypes.c_size_t
        out = ctypes.create_string_buffer(1 << 16)
        run = self._call(
            "llama_model_meta_val_str", ctypes.c_int32, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, size
        )
        return out.value.decode() if run(self._model, key.encode(), out, len(out)) >= 0 else None


def _serve(folder: Path) -> None:
    """Answer calls from standard input until it ends; only answers may reach standard output."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    server = Server(folder)
    while True:
        try:
            name, arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer: tuple[str, Any] = ("", getattr(server, name)(*arguments))
        except LlamaError as problem:
            answer = (str(problem), None)
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
