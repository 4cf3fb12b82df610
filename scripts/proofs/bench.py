"""Proves that a tuned model is better than its base and than every baseline, or says by how much it is not.

Asks all of them the same cases: baselines, the untuned base, the run free, held to the form and with the type decided
first, and the GGUF that the run exports, served by the real llama.cpp. A killed proof goes on with the case where it was. With fewer than 300 cases the
section is shown and not written.

    scripts/prove bench --run runs/mine --cases dataset/test.jsonl --train dataset
"""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from claims import Claim, claims
from results import ROOT, record

sys.path.insert(0, str(ROOT / "tests"))

from judges.llama_server import LlamaServer  # type: ignore[import-not-found]

from joco_mlx import artifacts
from joco_mlx.bench.calibrate import calibrate
from joco_mlx.bench.finished import Bench
from joco_mlx.bench.run import run
from joco_mlx.bench.summary import number, table
from joco_mlx.config import BenchConfig, FuseConfig
from joco_mlx.export import export_run
from joco_mlx.models.runs import RUN_FILE, Run, open_run
from joco_mlx.progress import Silent
from joco_mlx.suggest.type_prior import TypePrior

ENOUGH_CASES = 300
CALIBRATED = 600
"""Held-out records that the prior of types is fitted to."""
MAX_TOKENS = 48
"""No header is longer; an untuned model writes to any limit."""
DIGITS = 12
"""Of a SHA-256, in the names of what is made once and kept below --out."""
BASELINES = ("majority", "paths", "style", "tfidf", "neighbour")
COLUMNS = (
    "",
    "strictly valid",
    "type accuracy",
    "macro-F1",
    "joco score",
    "chrF",
    "ROUGE-L",
    "edit similarity",
    "s a case",
)


@dataclass(frozen=True)
class Asked:
    """One thing that is asked all cases."""

    name: str
    config: BenchConfig
    gguf: Path | None = None
    """What the server has to serve meanwhile."""


def main() -> int:
    """Ask everything, compare, and write the section."""
    parser = argparse.ArgumentParser(prog="scripts/prove bench", description=__doc__)
    parser.add_argument("--run", required=True, help="the tuned run")
    parser.add_argument("--cases", required=True, type=Path, help="held-out records")
    parser.add_argument("--train", required=True, type=Path, help="dataset that the run was trained on")
    parser.add_argument(
        "--calibrate",
        type=Path,
        help="held-out records for the prior of types, best of still other repositories (the validation split of --train)",
    )
    parser.add_argument("--max", type=int, help="ask only the first cases")
    parser.add_argument("--out", type=Path, default=Path("runs/prove-bench"), help="where runs lie (%(default)s)")
    parser.add_argument("--only", help='names of those to ask, separated by semicolons: "GGUF; tuned, constrained"')
    given = parser.parse_args()
    tuned = open_run(given.run)
    prior = fitted(tuned, given.train, given.calibrate or given.train / "validation.jsonl", given.out)
    wanted = [name.strip() for name in given.only.split(";")] if given.only else None
    benches = {
        asked.name: ask(asked, given.cases, given.out)
        for asked in everything(tuned, given.train, prior, given.max, given.out)
        if wanted is None or asked.name in wanted
    }
    found = claims(benches)
    text = report(benches, found, tuned, given.cases, TypePrior.read(prior))
    if min(bench.metrics["cases"] for bench in benches.values()) >= ENOUGH_CASES and wanted is None:
        record("bench", text)
    print(text)
    return 0 if all(claim.holds for claim in found) else 1


def everything(tuned: Run, train: Path, prior: Path, maximum: int | None, out: Path) -> list[Asked]:
    """Return what is asked, the quick first."""

    def config(model: str, **more: object) -> BenchConfig:
        return BenchConfig(model=model, train=train, max_cases=maximum, max_tokens=MAX_TOKENS, allow_leak=True, **more)  # type: ignore[arg-type]

    gguf = exported(tuned, out)
    return [
        *(Asked(f"baseline:{name}", config(f"baseline:{name}")) for name in BASELINES),
        Asked("tuned", config(str(tuned.folder))),
        Asked("tuned, constrained", config(str(tuned.folder), constrained=True)),
        Asked("tuned, type first", config(str(tuned.folder), type_prior=prior)),
        Asked("tuned, 3 types tried", config(str(tuned.folder), type_prior=prior, tried_types=3)),
        Asked("GGUF", config(f"gguf-{made_of(gguf)}", engine="openai", like=str(tuned.folder)), gguf),
        Asked("base", config(tuned.base.path, like=str(tuned.folder))),
        Asked("base, two-step", config(tuned.base.path, like=str(tuned.folder), prompt="two-step")),
        Asked("base, baseline-v1", config(tuned.base.path, like=str(tuned.folder), prompt="baseline-v1")),
    ]


def fitted(tuned: Run, train: Path, cases: Path, out: Path) -> Path:
    """Return the run's prior of types, fitted once on held-out records; its name says to what and on what."""
    path = out / f"types-{made_of(*weights(tuned), train / 'train.jsonl', cases)}.json"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        config = BenchConfig(model=str(tuned.folder), train=train, max_cases=CALIBRATED, allow_leak=True)
        calibrate(config, cases, path, with_words=True)
    return path


def exported(tuned: Run, out: Path) -> Path:
    """Return the run's GGUF, made once; its folder's name says of which weights."""
    path = out / f"gguf-{made_of(*weights(tuned))}" / "joco.gguf"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        export_run(FuseConfig(out=path.parent), tuned)
    return path


def weights(tuned: Run) -> tuple[Path, Path]:
    """Return what a run's answers come from: its adapter, and what it says of its base and its settings."""
    return tuned.adapter / "adapters.safetensors", tuned.folder / RUN_FILE


def made_of(*files: Path) -> str:
    """Return a name for the contents of files."""
    return hashlib.sha256(" ".join(map(artifacts.sha256, files)).encode()).hexdigest()[:DIGITS]


def ask(asked: Asked, cases: Path, out: Path) -> Bench:
    """Ask one of them every case; a finished one is only opened."""
    folder = out / asked.name.replace(":", "-").replace(", ", "-")
    began = time.monotonic()
    with served(asked, folder) as url:
        bench = run(replace(asked.config, url=url), cases, folder, progress=Silent())
    print(
        f"{asked.name}: {bench.metrics['cases']} cases, {time.monotonic() - began:,.0f} s", file=sys.stderr, flush=True
    )
    return bench


@contextmanager
def served(asked: Asked, folder: Path) -> Iterator[str | None]:
    """Serve a GGUF while cases are left to ask, where a killed run was served: the address is part of what it is."""
    document = folder / "bench.json"
    url = json.loads(document.read_text("utf-8"))["model"].get("url") if document.is_file() else None
    if asked.gguf is None or (folder / "manifest.json").is_file():
        yield url
        return
    with LlamaServer(asked.gguf, port=urlsplit(url).port if url else 0) as server:
        yield server.url


def report(benches: Mapping[str, Bench], found: Sequence[Claim], tuned: Run, cases: Path, prior: TypePrior) -> str:
    """Return the section: what is not reached, what is, and all figures."""
    missed, held = ([claim.sentence for claim in found if claim.holds == wanted] for wanted in (False, True))
    first = next(iter(benches.values())).metrics
    parts = [
        "## A tuned model against its base and the baselines",
        f"`scripts/prove bench`: {first['cases']:,} cases of {len(first['by_repository'])} repositories ({cases.name}), none of them "
        f"in the training data ({first['leaks']['leaked'] if first['leaks']['checked'] else 0} were, and are left out). {tuned.base.name}, {tuned.dataset.records:,} "
        f"records, {tuned.config.steps:,} steps, {tuned.config.max_seq_length} tokens. Greedy, answers judged as written. "
        "Brackets hold 95 % intervals; differences are paired, case by case.",
        f'"Type first" goes by a prior that was fitted on {prior.records:,} other held-out records '
        f"(`bench calibrate --words`: scale {prior.scale:.2f} for the model, {prior.words_scale:.2f} for the words).",
        listed("Not reached", missed),
        listed("Reached", held),
        table(COLUMNS, [row(name, bench) for name, bench in benches.items()]),
    ]
    return "\n\n".join(part for part in parts if part)


def listed(title: str, sentences: Sequence[str]) -> str:
    """Return a list under a title; nothing for no sentence."""
    return "\n".join([f"**{title}**", "", *(f"- {sentence}" for sentence in sentences)]) if sentences else ""


def row(name: str, bench: Bench) -> tuple[str, ...]:
    """Return one line of the table."""
    metrics = bench.metrics
    words = metrics["description"]
    figures = [metrics[key] for key in ("strict_validity", "type_accuracy", "macro_f1", "joco_score")]
    figures += [words[key] for key in ("chrf", "rouge_l", "edit_similarity")]
    return (name, *map(bracketed, figures), f"{seconds_a_case(bench):.2f}")


def bracketed(figure: Mapping[str, Any]) -> str:
    """Return a figure with its interval."""
    low, high = map(number, figure["interval"])
    return f"{number(figure['value'])} ({low} to {high})"


def seconds_a_case(bench: Bench) -> float:
    """Return the mean over the cases."""
    lines = (bench.artifact.folder / "timings.jsonl").read_text("utf-8").splitlines()
    times = {entry["key"]: float(entry["wall_seconds"]) for entry in map(json.loads, lines)}
    return sum(times.values()) / max(1, len(times))


if __name__ == "__main__":
    sys.exit(main())
