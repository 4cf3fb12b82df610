"""Proves that a model of Qwen2.5-Coder-1.5B's true shape becomes a GGUF in the time and memory that are promised.

Random weights under the real vocabulary, 4 bits in groups of 64, an adapter of rank 16 on every layer that changes them
by 1 %. Ours and the real `llama_model_quantize` of the fused float16 model export in turns, each in a process of its
own; then llama.cpp opens the file and has to give the tokenizer's tokens. Ends with 1 when a promise is broken.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from results import ROOT, record
from tokenizers import Tokenizer

sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests"), str(ROOT / "tests" / "gguf")]

from benchmark_gguf import MODES, QUANTISED, make_adapter, ours, ratio, take_turns  # noqa: E402  (found by the line above)
from judges.llama_oracle import Model  # type: ignore[import-not-found]  # noqa: E402  (found by the line above)
from mixed_text import mixed_strings  # type: ignore[import-not-found]  # noqa: E402  (found by the line above)
from models_fixture import (  # type: ignore[import-not-found]  # noqa: E402  (found by the line above)
    make_model,
    qwen_tokenizer,
    save_tokenizer,
)

from joco_mlx import artifacts  # noqa: E402  (the imports above come first)

SHAPE = {"layers": 28, "hidden": 1536, "intermediate": 8960, "heads": 12, "kv_heads": 2, "vocabulary": 151_936}
"""Qwen2.5-Coder-1.5B."""
DISK_BYTES = 7_000_000_000
TEXTS = 1_000
MOST_BYTES = 1_200_000_000
MOST_TIME = {"reference": 1.4, "seeded": 4.0, "balanced": 4.0}
"""Seconds for each second of llama.cpp's."""
Took = dict[str, list[dict[str, float]]]


def main() -> int:
    """Make the model, export it in turns, open it, write the section."""
    parser = argparse.ArgumentParser(prog="scripts/prove gguf_export", description=__doc__)
    parser.add_argument("--turns", type=int, default=2, help="how often each exports (default: %(default)s)")
    parser.add_argument("--layers", type=int, default=SHAPE["layers"], help="fewer for a trial, which records nothing")
    given = parser.parse_args()
    busy = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as scratch:
        artifacts.require_disk(Path(scratch), DISK_BYTES, "the model and its exports")
        base = prepared(Path(scratch), given.layers)
        took = take_turns(base, Path(scratch), given.turns)
        differ = differing_texts(Path(scratch) / "timed.gguf", base)
        size = (Path(scratch) / "timed.gguf").stat().st_size
    peak = max(run["peak"] for mode in MODES for run in took[mode])
    text = "\n".join(section(took, size, differ, busy))
    print(text)
    if given.layers == SHAPE["layers"]:
        record("gguf_export", text)
    fast = all(ratio(took, mode, "wall") <= most for mode, most in MOST_TIME.items())
    return 0 if fast and peak <= MOST_BYTES and not differ else 1


def prepared(folder: Path, layers: int) -> Path:
    """Make base, adapter and the fused float16 model in `folder`; return the base."""
    (folder / "tokenizer").mkdir()
    save_tokenizer(qwen_tokenizer(), folder / "tokenizer", "qwen2")
    shape = SHAPE | {"layers": layers}
    base: Path = make_model(folder / "base", quantised=QUANTISED, tokenizer=folder / "tokenizer", **shape)
    adapters = make_adapter(folder / "adapter-0.01", base, 0.01)
    ours(base, adapters, folder / "fused-0.01.gguf", "reference", "f16")
    return base


def differing_texts(file: Path, base: Path) -> int:
    """Return how many texts llama.cpp cuts into other tokens than the tokenizer; it also has to compute with them."""
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    texts = mixed_strings(TEXTS)
    with Model(file) as model:
        theirs = model.tokenize_all(texts)
        if not np.isfinite(model.logits(theirs[1][:8])).all():
            raise SystemExit(f"gguf_export: llama.cpp computes numbers that are not finite with {file}")
    encoded = tokenizer.encode_batch(texts, add_special_tokens=False)
    return sum(a.ids != b for a, b in zip(encoded, theirs, strict=True))


def section(took: Took, size: int, differ: int, busy: float) -> Iterator[str]:
    """Yield the lines of the section."""
    turns = len(took["llama.cpp"])
    yield "## A model of 1.5 billion weights to q4_k_m\n"
    yield "`scripts/prove gguf_export`: Qwen2.5-Coder-1.5B's shape with random weights and the real Qwen2 vocabulary, 4 bits"
    yield "in groups of 64, an adapter of rank 16 on all layers. Beside the real `llama_model_quantize` of the fused float16"
    yield f"model, in turns, least of {turns}, {os.cpu_count()} cores that had a load of {busy:.1f} before.\n"
    yield "| | wall | of llama.cpp's | CPU time | of llama.cpp's | peak memory |\n|---|---:|---:|---:|---:|---:|"
    for name, runs in took.items():
        wall, cpu = (min(run[what] for run in runs) for what in ("wall", "cpu"))
        of = (f"{ratio(took, name, what):.2f}" for what in ("wall", "cpu"))
        peak = max(run["peak"] for run in runs)
        yield f"| {name} | {wall:.1f} s | {next(of)} | {cpu:.1f} s | {next(of)} | {peak / 1e6:,.0f} MB |"
    limits = ", ".join(f"{most:g} times ({mode})" for mode, most in MOST_TIME.items())
    yield f"\nPromised: at most {MOST_BYTES / 1e9:g} GB, and {limits} the time of llama.cpp.\n"
    yield f"- the file: {size / 1e6:,.0f} MB"
    yield f"- texts that llama.cpp cuts into other tokens than the tokenizer, of {TEXTS:,}: **{differ}**"


if __name__ == "__main__":
    sys.exit(main())
