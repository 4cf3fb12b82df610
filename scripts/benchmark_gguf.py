"""Measures our GGUF export beside the real `llama_model_quantize`, on the same weights and in turns.

Every measured export runs in a process of its own, so that its peak memory is its own. Errors are those of the whole
file's matrices against base and adapter in float32. The last line printed is one JSON object.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType as Type
from safetensors.numpy import load_file, save_file

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

# The judges and the tiny models lie beside the tests.
from judges import llama_oracle  # type: ignore[import-not-found]  # noqa: E402  (the path comes first)
from models_fixture import make_model, save_adapter  # type: ignore[import-not-found]  # noqa: E402  (the path comes first)

from joco_mlx.config import Mode, Quantization  # noqa: E402  (the path comes first)
from joco_mlx.gguf.card import Card  # noqa: E402  (the path comes first)
from joco_mlx.gguf.container import GgufFile, open_gguf  # noqa: E402  (the path comes first)
from joco_mlx.gguf.encoders import decode  # noqa: E402  (the path comes first)
from joco_mlx.gguf.export import export  # noqa: E402  (the path comes first)
from joco_mlx.gguf.plan import make_plan  # noqa: E402  (the path comes first)
from joco_mlx.gguf.stream import write_gguf  # noqa: E402  (the path comes first)
from joco_mlx.merge import Weights, open_merged, open_weights  # noqa: E402  (the path comes first)
from joco_mlx.progress import Silent  # noqa: E402  (the path comes first)

CARD = Card("joco", "<|im_end|>")
DELTAS = ("0", "0.01", "0.03")
MODES: tuple[Mode, ...] = ("reference", "seeded", "balanced")
QUICK_SHAPE = {"layers": 3, "hidden": 768, "intermediate": 2048, "heads": 12, "kv_heads": 2}
SHAPE = {"layers": 4, "hidden": 1536, "intermediate": 8960, "heads": 12, "kv_heads": 2}
"""Layers of Qwen2.5-Coder-1.5B."""
QUANTISED = {"group_size": 64, "bits": 4}
RANK = 16


def make_adapter(folder: Path, base: Path, size: float) -> Path:
    """Write an adapter whose change of every matrix has `size` times the matrix's own magnitude."""
    save_adapter(folder, base, rank=RANK, scale=1.0)
    weights = open_weights(base)
    factors = load_file(folder / "adapters.safetensors")
    for name in [name for name in factors if name.endswith("lora_b")]:
        change = factors[name].T @ factors[name.replace("lora_b", "lora_a")].T
        whole = weights.read(name.replace("lora_b", "weight"))
        factors[name] *= np.float32(size * rms(whole) / rms(change))
    save_file(factors, folder / "adapters.safetensors")
    return folder


def rms(values: Any) -> float:
    """Root of the mean square."""
    return float(np.sqrt(np.square(values, dtype=np.float64).mean()))


def ours(base: Path, adapters: Path, out: Path, mode: Mode, quantization: Quantization = "q4_k_m") -> None:
    """Export base and adapter."""
    export(open_merged(base, adapters), base, out, quantization=quantization, card=CARD, mode=mode, force=True)


def theirs(source: Path, out: Path) -> None:
    """Run the real `llama_model_quantize` in this process."""
    folder = Path(os.environ.get("LLAMA_LIB_DIR") or llama_oracle.LIBRARY)
    server = llama_oracle.Server(folder)
    with measured():
        server.quantize(str(source), str(out), llama_oracle.Q4_K_M, os.cpu_count() or 1)


class measured:  # noqa: N801  (it is used like a function)
    """Print what a `with` block took, for the parent process."""

    def __enter__(self) -> None:
        self.wall, self.before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)

    def __exit__(self, *_: object) -> None:
        after = resource.getrusage(resource.RUSAGE_SELF)
        cpu = after.ru_utime + after.ru_stime - self.before.ru_utime - self.before.ru_stime
        print(json.dumps({"wall": time.monotonic() - self.wall, "cpu": cpu, "peak": peak_bytes()}))


def peak_bytes() -> int:
    """Most memory that this process held. Linux's rusage also counts what its parent held when it was started."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return 1024 * int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def in_child(*words: object) -> dict[str, float]:
    """Run one export in a process of its own; return its seconds of wall and CPU time, and its peak bytes."""
    command = [sys.executable, __file__, "--child", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"benchmark_gguf: {' '.join(map(str, words))} failed:\n{done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def matrices(file: GgufFile, source: Weights, base: Path) -> Iterator[tuple[Any, Any, str]]:
    """Decoded weights, trained weights and Hugging Face name of every quantised matrix."""
    for tensor, kind in make_plan(source, base, "f16", CARD).tensors:
        stored = file.tensors[tensor.name]
        if kind is not Type.F32:
            encoded = file.read(stored, 0, stored.nbytes)
            yield decode(stored.kind, encoded).reshape(stored.shape), source.read(tensor.source), tensor.source


def error(out: Path, base: Path, adapters: Path) -> tuple[float, float]:
    """RMSE in units of the weights, and the part of what training changed that is still there."""
    source = open_merged(base, adapters)
    squares, whole, kept, moved = 0.0, 0.0, 0.0, 0.0
    for found, wanted, name in matrices(open_gguf(out), source, base):
        difference = found - wanted
        squares += float(np.square(difference, dtype=np.float64).sum())
        whole += float(np.square(wanted, dtype=np.float64).sum())
        change = source.change(name)
        if change is not None:
            floats = change.floats()
            kept += float((difference * floats).sum(dtype=np.float64))
            moved += float(np.square(floats, dtype=np.float64).sum())
    return (squares / whole) ** 0.5, 1 + kept / moved if moved else 1.0


def byte_equal(folder: Path) -> bool:
    """Whether every tensor of a bf16 model has llama.cpp's bytes in reference mode."""
    base = make_model(folder / "bf16", "qwen2", hidden=256, intermediate=512, layers=8, kv_heads=2)
    plan = make_plan(open_weights(base), base, "f16", CARD)
    exact = replace(plan, tensors=tuple((tensor, Type.F32) for tensor, _ in plan.tensors))
    write_gguf(folder / "exact.gguf", exact, open_weights(base), mode="reference", threads=None, bar=Silent().start(""))
    llama_oracle.quantize(folder / "exact.gguf", folder / "theirs.gguf")
    export(open_weights(base), base, folder / "ours.gguf", quantization="q4_k_m", card=CARD, mode="reference")
    a, b = open_gguf(folder / "ours.gguf"), open_gguf(folder / "theirs.gguf")
    return set(a.tensors) == set(b.tensors) and all(
        np.array_equal(a.read(a.tensors[name], 0, stored.nbytes), b.read(stored, 0, stored.nbytes))
        for name, stored in b.tensors.items()
    )


def benchmark(shape: dict[str, int], turns: int, folder: Path) -> dict[str, Any]:
    """Measure everything on a random model of `shape`, print the table, and return the figures."""
    base = make_model(folder / "base", "qwen2", quantised=QUANTISED, **shape)
    errors: dict[str, dict[str, tuple[float, float]]] = {}
    for delta in DELTAS:
        adapters = make_adapter(folder / f"adapter-{delta}", base, float(delta))
        ours(base, adapters, folder / f"fused-{delta}.gguf", "reference", "f16")
        llama_oracle.quantize(folder / f"fused-{delta}.gguf", folder / "llama.gguf")
        errors[delta] = {"llama.cpp": error(folder / "llama.gguf", base, adapters)}
        for mode in MODES[1:]:
            ours(base, adapters, folder / f"{mode}.gguf", mode)
            errors[delta][mode] = error(folder / f"{mode}.gguf", base, adapters)
    took = take_turns(base, folder, turns)
    show(errors, took)
    return {
        "time_ratio_reference": ratio(took, "reference", "wall"),
        "time_ratio_seeded": ratio(took, "seeded", "wall"),
        "time_ratio_balanced": ratio(took, "balanced", "wall"),
        "cpu_ratio_reference": ratio(took, "reference", "cpu"),
        "cpu_ratio_seeded": ratio(took, "seeded", "cpu"),
        "cpu_ratio_balanced": ratio(took, "balanced", "cpu"),
        "byte_equal": byte_equal(folder),
        "error_ratio": {delta: round(found["seeded"][0] / found["llama.cpp"][0], 3) for delta, found in errors.items()},
        "error_ratio_balanced": {
            delta: round(found["balanced"][0] / found["llama.cpp"][0], 3) for delta, found in errors.items()
        },
        "change_kept": {name: round(found[1], 3) for name, found in errors["0.01"].items()},
        "size_ratio": round((folder / "seeded.gguf").stat().st_size / (folder / "llama.gguf").stat().st_size, 4),
        "peak_bytes": int(max(run["peak"] for run in took["balanced"])),
        "peak_bytes_llama_cpp": int(max(run["peak"] for run in took["llama.cpp"])),
    }


def take_turns(base: Path, folder: Path, turns: int) -> dict[str, list[dict[str, float]]]:
    """Let all exports of the model with the change of 1 % take turns."""
    runs: dict[str, Callable[[], dict[str, float]]] = {
        "llama.cpp": lambda: in_child("theirs", folder / "fused-0.01.gguf", folder / "timed.gguf")
    }
    for mode in MODES:
        words = ("ours", base, folder / "adapter-0.01", folder / "timed.gguf", mode)
        runs[mode] = lambda words=words: in_child(*words)  # type: ignore[misc]
    took: dict[str, list[dict[str, float]]] = {name: [] for name in runs}
    for _ in range(turns):
        for name, run in runs.items():
            took[name].append(run())
    return took


def ratio(took: dict[str, list[dict[str, float]]], name: str, what: str) -> float:
    """Least of ours over least of llama.cpp's: whatever else the machine did only adds."""
    return round(min(run[what] for run in took[name]) / min(run[what] for run in took["llama.cpp"]), 2)


def show(errors: dict[str, dict[str, tuple[float, float]]], took: dict[str, list[dict[str, float]]]) -> None:
    """Print the table."""
    print(f"{'':<12}{'wall s':>8}{'CPU s':>8}{'peak MB':>9}" + "".join(f"{f'error at {d}':>16}" for d in DELTAS))
    for name, runs in took.items():
        wall, cpu, peak = (min(run[what] for run in runs) for what in ("wall", "cpu", "peak"))
        same = "llama.cpp" if name == "reference" else name
        shown = "".join(f"{errors[d][same][0]:>16.4f}" for d in DELTAS)
        print(f"{name:<12}{wall:>8.2f}{cpu:>8.2f}{peak / 1e6:>9.0f}{shown}")
    print("of the change of 1 % is kept: " + ", ".join(f"{n} {e[1]:.0%}" for n, e in errors["0.01"].items()))


def main() -> int:
    """Measure as the command line says and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="end within a minute")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        what, *words = given.child
        if what == "theirs":
            theirs(Path(words[0]), Path(words[1]))
            return 0
        base, adapters, out, mode = words
        with measured():
            ours(Path(base), Path(adapters), Path(out), next(known for known in MODES if known == mode))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        shape, turns = (QUICK_SHAPE, 2) if given.quick else (SHAPE, 3)
        print(json.dumps(benchmark(shape, turns, Path(folder))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
