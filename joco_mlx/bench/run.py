"""A benchmark run, from a name and a file of cases to a folder with figures.

Decides the order: what is asked, whether it was trained on, where the run lies, then one case after the other. The folder
holds what decides the figures (`bench.json`, `prompt.txt`), every case and answer, and the figures; `timings.jsonl` alone depends
on the machine, and no manifest lists it. Run again, the same command goes on where it was, or finds that it is done.
"""

import contextlib
import dataclasses
import hashlib
import json
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO, cast

from joco_mlx import artifacts
from joco_mlx.bench import cases as asked
from joco_mlx.bench.answers import subject
from joco_mlx.bench.cases import Case
from joco_mlx.bench.finished import CASES, METRICS, Bench, open_bench
from joco_mlx.bench.leaks import Leaks, find_leaks, fitted_on
from joco_mlx.bench.live import LiveBench
from joco_mlx.bench.metrics import metrics
from joco_mlx.bench.results import RESULTS, Result, read_results
from joco_mlx.bench.scores import judge
from joco_mlx.bench.subject import Answerer, NoAnswerError, Question, Subject
from joco_mlx.bench.summary import summary
from joco_mlx.commit.record import Record, write_records
from joco_mlx.config import BENCH_FOLDER, BenchConfig
from joco_mlx.dataset.formats import read_any
from joco_mlx.errors import InputError, UsageError
from joco_mlx.progress import Progress, Silent, task

SUMMARY = "summary.md"
PROMPT = "prompt.txt"
_ID_DIGITS = 8
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9.]+")


def run(
    config: BenchConfig,
    cases: Path,
    out: Path | None = None,
    run_id: str | None = None,
    *,
    progress: Progress | None = None,
) -> Bench:
    """Ask a model every case and write down what came of it.

    Args:
        config: Which model, and how it is asked.
        cases: A file of records or of foreign cases.
        out: The run's folder; below `runs/bench` when None.
        run_id: The folder's name there; made of model, cases and settings when None, so that the same command goes on.
        progress: Who watches.

    Raises:
        UsageError: `run_id` is no name of a folder.
        InputError: The cases or the model cannot be read, or cases stand in the training data.
        ConflictError: The folder holds another run, or another process writes it.
        MachineError: The server cannot be reached, or the disk is full. What was answered is kept.
    """
    watched = progress or Silent()
    if run_id is not None and (Path(run_id).name != run_id or run_id in ("", "..")):
        raise UsageError(f"--run-id is {run_id!r}, but must be a name.", "Write elsewhere with --out FOLDER.")
    everything = asked.read_cases(cases, config.max_cases)
    chosen = subject(config, cases, progress=watched)
    kept, leaks = without_leaks(chosen, everything, config, watched)
    document = _document(config, chosen, kept, leaks)
    folder = out or BENCH_FOLDER / (run_id or _name(chosen, cases, document))
    with LiveBench.open(folder, document, kept) as live:
        if not live.finished:
            _ask_all(live, chosen, kept, config, watched)
            _conclude(folder, chosen, document, kept, config.seed)
    return open_bench(folder)


def without_leaks(
    chosen: Subject, cases: Sequence[Case], config: BenchConfig, progress: Progress
) -> tuple[list[Case], Leaks | None]:
    """Return the cases that a model was not trained on, and what was found of the others; None when nobody could look.

    Raises:
        InputError: Cases were trained on and nobody allowed for that, or all were.
    """
    leaks = _leaks(chosen, cases, config, progress)
    kept = [case for case in cases if leaks is None or case.key not in leaks.ways]
    if not kept:
        raise InputError(f"All {len(cases)} cases stand in the training data.", "Take other cases.")
    return kept, leaks


def _leaks(chosen: Subject, cases: Sequence[Case], config: BenchConfig, progress: Progress) -> Leaks | None:
    """Look for the cases in the training data and the prior's; None when nobody knows either."""
    fitted = fitted_on(chosen.fitted_on, cases)
    if chosen.train is None:
        if "baseline" not in chosen.identity:
            progress.note(
                f"What {chosen.name} was trained on is not known, so no case was looked for in it (--train DIR)."
            )
        found = Leaks(fitted, len(cases), checked=False) if fitted else None
    else:
        with task(progress, "Looking for leaks", len(cases), "cases") as shown:
            found = find_leaks(training_records(chosen), cases)
            shown.advance(len(cases))
        found = replace(found, ways={**fitted, **found.ways})
    if found is None or not found.ways:
        return found
    if not config.allow_leak:
        found.refuse(str(chosen.train) if chosen.train else "of the prior")
    progress.note(f"{len(found.ways)} of {len(cases)} cases were trained on and are left out.")
    return found


def training_file(chosen: Subject) -> Path:
    """Return the records' file of a known dataset.

    Raises:
        InputError: It is not there any more, was changed, or is another one, also than the prior's words are of.
    """
    train = chosen.train
    file = train / "train.jsonl" if train is not None and train.is_dir() else train
    if file is None or not file.is_file():
        raise InputError(
            f"The dataset that {chosen.name} was trained on is not at {train} any more.", "Name it: --train DIR"
        )
    if (
        chosen.train_digest
        and artifacts.open_artifact(file.parent, "dataset", checked=True).digest != chosen.train_digest
    ):
        raise InputError(
            f"The dataset at {train} is not the one that {chosen.name} was trained on any more.",
            "Name that one, or this one if you know that it holds all of it: --train DIR",
        )
    if chosen.words_from and artifacts.sha256(file) != chosen.words_from:
        raise InputError(
            f"The prior of types knows words of other records than {file}.",
            "Name the dataset that it learned from with --train DIR, or fit it again: joco-mlx bench calibrate --words",
        )
    return file


def training_records(chosen: Subject) -> tuple[Record, ...]:
    """Return the records that something of a known dataset was trained on; raises what `training_file` does."""
    return read_any(training_file(chosen))[0]


def _document(config: BenchConfig, chosen: Subject, cases: Sequence[Case], leaks: Leaks | None) -> dict[str, Any]:
    """Return what decides every answer and figure: what `bench.json` holds, without times and places."""
    settings = dataclasses.asdict(config)
    for place in ("model", "url", "train", "timeout_seconds", "max_cases", "allow_leak", "like", "type_prior"):
        del settings[place]
    return {
        "name": chosen.name,
        "model": dict(chosen.identity),
        "settings": settings,
        "prompt_sha256": hashlib.sha256(chosen.prompt.encode()).hexdigest() if chosen.prompt else None,
        "cases": {"count": len(cases), "sha256": asked.digest(cases)},
        "leaks": leaks.to_json() if leaks else {"checked": False},
        "versions": artifacts.versions() | _judges(),
    }


def _judges() -> dict[str, str]:
    """Return the versions of the packages that decide scores and learned baselines; absent ones are left out."""
    found = {}
    for package in ("sacrebleu", "scikit-learn"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def _name(chosen: Subject, cases: Path, document: dict[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:_ID_DIGITS]
    return "-".join(_NOT_IN_A_NAME.sub("-", part).strip("-") for part in (chosen.name, cases.stem, digest))


def _ask_all(live: LiveBench, chosen: Subject, cases: Sequence[Case], config: BenchConfig, progress: Progress) -> None:
    """Ask what is not done yet, in the groups that an undisturbed run asks: a group that was cut is asked again."""
    if live.done == len(cases):
        return
    answerer = chosen.open()
    with task(progress, f"Asking {chosen.name}", len(cases), "cases") as shown:
        shown.advance(live.done)
        for start in range(live.done - live.done % chosen.at_once, len(cases), chosen.at_once):
            group = cases[start : start + chosen.at_once]
            began = time.monotonic()
            results = _ask(answerer, group, config.seed)
            seconds = (time.monotonic() - began) / len(group)
            for result in results[live.done - start :]:
                live.write(result, seconds)
                shown.advance(1, valid=f"{live.valid}/{live.done}")


def _ask(answerer: Answerer, cases: Sequence[Case], seed: int) -> list[Result]:
    answers = answerer([Question(case.record, _seed_of(case, seed)) for case in cases])
    return [_judged(case, answer) for case, answer in zip(cases, answers, strict=True)]


def _judged(case: Case, given: str | NoAnswerError) -> Result:
    answer, error = (given, None) if isinstance(given, str) else ("", str(given))
    return Result.of(case, answer, error, judge(answer, case.record.output, case.record.input))


def _seed_of(case: Case, seed: int) -> int:
    """Return the seed of a case's answer: the same wherever the run was interrupted; 31 bits, as servers take it."""
    return int.from_bytes(hashlib.sha256(f"{seed} {case.key}".encode()).digest()[:4], "big") >> 1


def _conclude(folder: Path, chosen: Subject, document: dict[str, Any], cases: Sequence[Case], seed: int) -> None:
    results = read_results(folder)
    figures = {**metrics(results, seed=seed), "leaks": document["leaks"]}
    with artifacts.whole_file(folder / CASES) as file:
        write_records(cast(BinaryIO, file), [case.record for case in cases])
    artifacts.write_text(folder / PROMPT, chosen.prompt)
    artifacts.write_json(folder / METRICS, figures)
    artifacts.write_text(folder / SUMMARY, summary(chosen.name, figures, results))
    files = [folder / name for name in (LiveBench.DOCUMENT, RESULTS, CASES, METRICS, SUMMARY, PROMPT)]
    artifacts.seal(folder, "bench", config=document, parents={}, files=files)
