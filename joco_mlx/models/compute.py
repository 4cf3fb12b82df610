"""The one door to MLX: a fast BLAS is loaded before it, and everybody imports it from here.

MLX's Linux CPU wheel is linked to the reference BLAS. A BLAS loaded earlier with global symbols is found first (ELF
searches the global scope before a library's own dependencies), which makes float32 matmuls about 15 times faster.
On a Mac, and where CUDA does the work, nothing is loaded.
"""

import ctypes
import sys
import time
from typing import Literal

_CANDIDATES = ("libopenblas.so.0", "libmkl_rt.so.2", "libmkl_rt.so.3", "libblis.so.4")
FAST_BLAS_HINT = (
    "Float32 training on this CPU is about 15 times faster with OpenBLAS: sudo apt-get install libopenblas0-pthread"
)


def _load_fast_blas() -> str | None:
    """Load the first BLAS that is there with global symbols, and return its name.

    None when there is none, or when something has imported MLX before us: then its own BLAS is bound already.
    """
    if sys.platform != "linux" or "mlx.core" in sys.modules:
        return None
    for name in _CANDIDATES:
        try:
            ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
        except OSError:
            continue
        return name
    return None


fast_blas: str | None = _load_fast_blas()

import mlx.core as mx  # noqa: E402  (the BLAS above must be loaded first)
from mlx import nn, optimizers  # noqa: E402
from mlx import utils as trees  # noqa: E402

__all__ = ["FAST_BLAS_HINT", "device_kind", "fast_blas", "matmul_rate", "mx", "nn", "optimizers", "trees"]


def device_kind() -> Literal["metal", "cuda", "cpu"]:
    """Return which kind of device MLX computes on in this process."""
    if mx.default_device().type != mx.DeviceType.gpu:
        return "cpu"
    return "metal" if mx.metal.is_available() else "cuda"


def matmul_rate(size: int = 1_024, repeats: int = 3) -> float:
    """Return this machine's floating-point operations per second in a float32 matrix product, the best of `repeats`."""
    matrix = mx.ones((size, size))
    mx.eval(matrix)
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        mx.eval(matrix @ matrix)
        seconds.append(time.perf_counter() - began)
    return 2 * size**3 / min(seconds)
