"""The real ggml as a judge of encoders: `ggml_quantize_chunk` of libggml-python, through ctypes."""

import ctypes
from importlib import util
from pathlib import Path

import numpy as np


class Ggml:
    """ggml's reference encoders."""

    def __init__(self) -> None:
        found = util.find_spec("libggml")
        if found is None or found.origin is None:
            raise ImportError("libggml-python")
        folder = Path(found.origin).parent
        names = (*folder.rglob("libggml-base.so"), *folder.rglob("libggml-base.dylib"))
        self._encode = ctypes.CDLL(str(names[0])).ggml_quantize_chunk
        self._encode.restype = ctypes.c_size_t
        self._encode.argtypes = [ctypes.c_int, *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 3, ctypes.c_void_p]

    def encode(
        self, values: np.ndarray, kind: int, block_bytes: int, block: int, importance: np.ndarray | None = None
    ) -> np.ndarray:
        """Encode rows of whole blocks.

        Args:
            values: float32 [rows, columns].
            kind: Number of the type (`enum ggml_type`).
            block_bytes: Bytes of one block.
            block: Weights in one block.
            importance: float32 [columns], an importance matrix's line.

        Returns:
            uint8 [rows, bytes].
        """
        values = np.ascontiguousarray(values, np.float32)
        rows, columns = values.shape
        out = np.empty((rows, columns // block * block_bytes), np.uint8)
        weighed = None if importance is None else np.ascontiguousarray(importance, np.float32)
        pointer = None if weighed is None else weighed.ctypes.data
        written = self._encode(kind, values.ctypes.data, out.ctypes.data, 0, rows, columns, pointer)
        assert written == out.nbytes
        return out
