"""Proves that a few minutes of training teach SmolLM2-135M valid messages for repositories that it never saw.

Trains on real commits (--data DIR, a dataset of many repositories; else one is built of those below JOCO_MIRRORS), or
takes a finished run (--run DIR). Then the untuned and the tuned model answer the same test diffs, greedily and without a
grammar. Ends with 1 when less than 99 % of the tuned model's messages are strictly valid.
"""

import argparse
import json
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import MAX_TOKENS
from measured import run_stage
from mirrors import mirrors
from results import record

from joco_mlx.bench.run import run as run_bench
from joco_mlx.config import BenchConfig, BuildConfig
from joco_mlx.dataset.build import build
from joco_mlx.models.runs import Run, open_run
from joco_mlx.progress import Silent

MODEL = "smollm2-135m"
SETTINGS = {
    "steps": 1_050,
    "grad-accumulation": 2,
    "max-seq-length": 384,
    "learning-rate": 1e-3,
    "warmup-steps": 20,
    "rank": 16,
    "alpha": 32,
    "type-weight": 4,
    "save-every": 105,
    "eval-every": 105,
}
"""2,100 records: 50 minutes on one core of an EPYC with OpenBLAS, so that they fit 25 minutes on two."""
FIGURES = ("strict_validity", "type_accuracy", "macro_f1", "scope_exact", "joco_score")
WANTED_VALIDITY, WANTED_CASES = 0.99, 200


@dataclass(frozen=True)
class Trained:
    """A finished run and what its training took."""

    run: Run
    seconds: float
    """In training steps; validations, checkpoints and the reading of records not counted."""
    peak_bytes: int
    losses: tuple[float, float]
    """Over the validation records: at the first validation and the smallest."""


def main() -> int:
    """Train, ask both models, write the section."""
    parser = argparse.ArgumentParser(prog="scripts/prove train-smollm2", description=__doc__)
    parser.add_argument("--data", type=Path, help="dataset of many repositories (default: built of JOCO_MIRRORS)")
    parser.add_argument("--run", type=Path, help="finished run on that dataset (default: train one)")
    parser.add_argument("--cases", type=int, default=400, help="test diffs to answer, drawn with a fixed seed")
    parser.add_argument("--out", type=Path, default=Path("runs/prove-train-smollm2"), help="where everything is kept")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    data = given.data or built_dataset(given.out / "data")
    trained = look(open_run(given.run or train(data, given.out / "run")))
    cases = drawn_cases(data / "test.jsonl", given.cases, given.out / "cases.jsonl")
    answers = ask_both(trained.run, data, cases, given.out)
    text = "\n".join(section(trained, answers))
    record("train-smollm2", text)
    print(text)
    tuned = answers["tuned"]
    return 0 if tuned["strict_validity"]["value"] >= WANTED_VALIDITY and tuned["cases"] >= WANTED_CASES else 1


def built_dataset(folder: Path) -> Path:
    """Return a dataset of all repositories below JOCO_MIRRORS, built once."""
    if not (folder / "manifest.json").is_file():
        build(BuildConfig(), [str(mirror.folder) for mirror in mirrors()], folder, progress=Silent())
    return folder


def train(data: Path, out: Path) -> Path:
    """Train with SETTINGS through the command that a user gives, and return the run."""
    options = [text for name, value in SETTINGS.items() for text in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "joco_mlx", "train", "--model", MODEL, "--data", str(data), "--out", str(out)]
    stage = run_stage("train", [*command, *options], Path.cwd())
    if stage.exit_code:
        sys.exit(f"joco-mlx train ended with {stage.exit_code}.")
    return out


def look(run: Run) -> Trained:
    """Read what a finished run says of itself."""
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text("utf-8").splitlines()]
    steps = [line for line in lines if "loss" in line]
    validated = [line["val_loss"] for line in lines if "val_loss" in line]
    return Trained(run, steps[-1]["seconds"], steps[-1]["peak_bytes"], (validated[0], min(validated)))


def drawn_cases(split: Path, count: int, out: Path) -> Path:
    """Write `count` lines of `split`, drawn with a fixed seed, to `out`."""
    lines = split.read_bytes().splitlines(keepends=True)
    random.Random(7).shuffle(lines)  # noqa: S311  (a sample, no secret)
    out.write_bytes(b"".join(lines[:count]))
    return out


def ask_both(run: Run, data: Path, cases: Path, out: Path) -> dict[str, dict[str, Any]]:
    """Return the figures of the base model and of the run; settings and folders are those of `scripts/prove bench`."""
    shared: dict[str, Any] = {"train": data, "max_tokens": MAX_TOKENS, "allow_leak": True}
    asked = {
        "base": BenchConfig(model=run.base.path, like=str(run.folder), **shared),
        "tuned": BenchConfig(model=str(run.folder), **shared),
    }
    return {name: run_bench(config, cases, out / name).metrics for name, config in asked.items()}


def section(trained: Trained, answers: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of the section."""
    config, tuned = trained.run.config, answers["tuned"]
    records = config.steps * config.grad_accumulation * config.batch_size
    yield "## SmolLM2-135M on real commits\n"
    yield "`scripts/prove train-smollm2`: LoRA on real commits, then free greedy decoding on test diffs of repositories"
    yield "that are in no other split.\n"
    yield f"- {records:,} records read of {trained.run.dataset.records:,}, at most {config.max_seq_length} tokens,"
    yield f"  rank {config.rank}, learning rate {config.learning_rate:g}, the type's token weighs {config.type_weight:g}"
    yield f"- {trained.seconds / 60:.0f} minutes of training steps, {trained.peak_bytes / 1e9:.2f} GB at most"
    yield f"- validation loss per answer token {trained.losses[0]:.3f} at the first validation, {trained.losses[1]:.3f} at best"
    yield f"- cases: {tuned['cases']} of {', '.join(sorted(tuned['by_repository']))}\n"
    yield "| figure (95 % interval) | base | tuned |\n|---|---:|---:|"
    for name in FIGURES:
        yield f"| {name.replace('_', ' ')} | " + " | ".join(cell(item[name]) for item in answers.values()) + " |"
    for name in ("chrf", "rouge_l", "edit_similarity"):
        shown = " | ".join(cell(item["description"][name]) for item in answers.values())
        yield f"| description: {name.replace('_', ' ')} | {shown} |"


def cell(figure: dict[str, Any]) -> str:
    """Return a figure with its interval."""
    low, high = figure["interval"]
    return f"{figure['value']:.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    sys.exit(main())
