"""Proves that our q4_k_m is nearer to a tuned model than llama.cpp's own quantisation of the fused model is.

A finished run on the embedded SmolLM2-135M, held-out records of a dataset. The truth is the adapter's own model: MLX in
float32, 4-bit base and adapter. Our files and that of the real `llama_model_quantize` of the fused float16 model answer
through llama.cpp; only the places of the answers are compared. Ends with 1 unless ours has the lower KL and the higher
share of equal first choices, both with a 95 % interval of the paired difference beside 0.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from results import ROOT, record

sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

from judges import llama_oracle  # type: ignore[import-not-found]  # noqa: E402  (found by the line above)

from joco_mlx.bench.heard import collect_imatrix, held_out, logits_of, passage  # noqa: E402  (the imports above come first)
from joco_mlx.bench.statistics import Estimate, bootstrap, mean_of  # noqa: E402  (the imports above come first)
from joco_mlx.config import Mode, Quantization  # noqa: E402  (the imports above come first)
from joco_mlx.gguf.card import Card  # noqa: E402  (the imports above come first)
from joco_mlx.gguf.export import export  # noqa: E402  (the imports above come first)
from joco_mlx.gguf.imatrix import read_imatrix  # noqa: E402  (the imports above come first)
from joco_mlx.gguf.nearness import Logits, Nearness, Passage, nearness  # noqa: E402  (the imports above come first)
from joco_mlx.merge import open_merged  # noqa: E402  (the imports above come first)
from joco_mlx.models.runs import Run, base_folder, open_run  # noqa: E402  (the imports above come first)
from joco_mlx.models.tokens import Tokenizer  # noqa: E402  (the imports above come first)
from joco_mlx.progress import Silent  # noqa: E402  (the imports above come first)
from joco_mlx.train.examples import Encoder  # noqa: E402  (the imports above come first)

PROMPTS = 100
TOKENS = 512
MODES: tuple[Mode, ...] = ("balanced", "seeded", "low-error")
THEIRS = "llama_model_quantize"
FUSED = "the fused float16"
WEIGHTED: dict[str, Mode] = {"balanced, --imatrix": "balanced", f"{THEIRS}, with the same matrix": "reference"}
RECORDS = 64
"""Training records that the importance matrix is collected on."""
Found = dict[str, Nearness]


def main() -> int:
    """Export, ask, compare, write the section."""
    given = arguments()
    run, data = open_run(given.run), Path(given.data)
    base = base_folder(run, progress=Silent())
    encoder = Encoder(Tokenizer.from_folder(base.path), base.template, given.tokens)
    passages = [passage(encoder.encode(item)) for item in held_out(data, encoder, given.prompts)]
    with tempfile.TemporaryDirectory() as scratch:
        files = exported(run, data, Path(scratch))
        wanted = remembered(logits_of(base, run.adapter), passages, Path(scratch))
        untuned = nearness(wanted, logits_of(base, None), passages)
        found = {name: ask(file, wanted, passages, given) for name, file in files.items()}
    text = "\n".join(section(found | {"the base without the tune": untuned}, run, passages))
    print(text)
    if len(passages) >= PROMPTS:
        record("gguf_smollm2", text)
    closer, surer = differences(found["balanced"], found[THEIRS])
    return 0 if closer.high < 0 and surer.low > 0 else 1


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="scripts/prove gguf_smollm2", description=__doc__)
    parser.add_argument("--run", required=True, help="finished run folder")
    parser.add_argument("--data", required=True, help="dataset whose held-out records are asked")
    parser.add_argument("--prompts", type=int, default=PROMPTS, help="fewer record nothing (default: %(default)s)")
    parser.add_argument("--tokens", type=int, default=TOKENS, help="longest prompt and answer (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="of llama.cpp; 1 where others use the cores too")
    return parser.parse_args()


def exported(run: Run, data: Path, folder: Path) -> dict[str, Path]:
    """Write every file that is asked: ours, with importance and without, the fused one, and llama.cpp's of it."""
    base = base_folder(run, progress=Silent())
    kinds: dict[str, tuple[Quantization, Mode]] = {mode: ("q4_k_m", mode) for mode in MODES}
    files = {}
    for name, (quantization, mode) in (kinds | {FUSED: ("f16", "reference")}).items():
        files[name] = folder / f"{quantization}-{mode}.gguf"
        source, card = open_merged(base.path, run.adapter), Card.of(base)
        export(source, base.path, files[name], quantization=quantization, card=card, mode=mode)
    matrix = read_imatrix(collect_imatrix(run, folder / "imatrix.gguf", data=data, most=RECORDS).path)
    for name, mode in WEIGHTED.items():
        files[name] = folder / f"{mode}-weighted.gguf"
        export(source, base.path, files[name], quantization="q4_k_m", card=card, mode=mode, imatrix=matrix)
    files[THEIRS] = folder / "theirs.gguf"
    llama_oracle.quantize(files[FUSED], files[THEIRS])
    return files


def remembered(logits: Logits, passages: Sequence[Passage], folder: Path) -> Logits:
    """Compute once what every file is compared with; it is kept on disk."""
    places = {tuple(item.ids): folder / f"{number}.npy" for number, item in enumerate(passages)}
    for item in passages:
        np.save(places[tuple(item.ids)], logits(item.ids, item.first))
    return lambda ids, _: np.load(places[tuple(ids)])


def ask(file: Path, wanted: Logits, passages: Sequence[Passage], given: argparse.Namespace) -> Nearness:
    """Let llama.cpp answer with `file`."""
    with llama_oracle.Model(file, context=given.tokens, threads=given.threads) as model:
        return nearness(wanted, model.logits, passages)


def differences(ours: Nearness, theirs: Nearness) -> tuple[Estimate, Estimate]:
    """Ours less theirs, of the same prompts: KL, and share of equal first choices."""
    closer, surer = ours.divergence - theirs.divergence, ours.agreement - theirs.agreement
    return tuple(bootstrap(mean_of(values), len(values), seed=0) for values in (closer, surer))  # type: ignore[return-value]


def section(found: Found, run: Run, passages: Sequence[Passage]) -> Iterator[str]:
    """Yield the lines of the section."""
    places = sum(len(item.ids) - item.first for item in passages)
    yield "## A tuned SmolLM2 through llama.cpp\n"
    yield f"`scripts/prove gguf_smollm2`: {run.config.model}, {run.document.get('steps_done', run.config.steps)} steps,"
    yield f"rank {run.config.rank}, learning rate {run.config.learning_rate:g}. {len(passages)} held-out commits, the"
    yield f"{places:,} places of their answers. Truth: MLX in float32, 4-bit base and adapter. Intervals: 95 %, bootstrap"
    yield "over prompts, paired with `llama_model_quantize` of the fused float16 model.\n"
    yield "| file | KL to the tuned model | less theirs | same first choice | less theirs |\n|---|---:|---:|---:|---:|"
    for name, figures in found.items():
        closer, surer = differences(figures, found[THEIRS])
        paired = name not in (THEIRS, FUSED)
        yield (
            f"| {name} | {figures.divergence.mean():.4f} | {interval(closer, '.4f') if paired else ''} | "
            f"{figures.agreement.mean():.1%} | {interval(surer, '.1%') if paired else ''} |"
        )
    yield "\n`balanced` is what `fuse --export-gguf` writes unless `--mode` says otherwise. The importance matrix"
    yield f"was collected on {RECORDS} training records."


def interval(found: Estimate, form: str) -> str:
    """Return a difference and its interval."""
    return f"{found.value:+{form}} ({found.low:+{form}} to {found.high:+{form}})"


if __name__ == "__main__":
    sys.exit(main())
