"""A model of ours in this process: a run, a fused folder, or a base model.

Decides which dataset a model was trained on: what its run says, also for a fused model whose run is still there.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from joco_mlx import artifacts
from joco_mlx.bench.prompts import PROMPTS, Prompt
from joco_mlx.bench.subject import DIFF_MARK, Answerer, Question, Subject
from joco_mlx.commit.prompt import diff_budget, neutralise, render, user_text
from joco_mlx.config import RUNS_FOLDER, BenchConfig
from joco_mlx.errors import InputError
from joco_mlx.models.drafts import Draft
from joco_mlx.models.runs import RUN_FILE, Run, open_run
from joco_mlx.progress import Progress
from joco_mlx.suggest import type_first
from joco_mlx.suggest.engines import Chosen, MlxEngine, choose
from joco_mlx.suggest.grammar import Form
from joco_mlx.suggest.type_prior import TypePrior


def in_process(config: BenchConfig, *, progress: Progress) -> Subject:
    """Find what `config.model` means, without loading it.

    Raises:
        InputError: There is no such model, no finished run, or no file of a prior.
        MachineError: It must be fetched and cannot be.
    """
    prior = _prior(config.type_prior) if config.type_prior else None
    chosen = choose(config.model, progress=progress)
    run = _run_of(config.model, chosen)
    like = open_run(config.like) if config.like else None
    if like is not None:
        chosen = replace(chosen, max_seq_length=like.config.max_seq_length)
    adapter = artifacts.sha256(chosen.adapter / "adapters.safetensors") if chosen.adapter else None
    identity: dict[str, Any] = {
        "model": chosen.folder.name,
        "base": chosen.folder.digest,
        "adapter": adapter,
        "template": chosen.folder.template.name,
        "max_seq_length": chosen.max_seq_length,
    }
    if config.type_prior:
        identity["type_prior"] = artifacts.sha256(config.type_prior)
    seen = run or like
    train, digest = (config.train, None) if config.train or not seen else (Path(seen.dataset.path), seen.dataset.digest)
    return Subject(
        run.folder.name if run else chosen.folder.name,
        identity,
        PROMPTS[config.prompt].text if config.prompt in PROMPTS else render(chosen.folder.template, DIFF_MARK),
        train,
        digest,
        lambda: _answerer(MlxEngine(chosen, progress=progress), config, prior),
        fitted_on=frozenset(prior.cases) if prior else frozenset(),
        words_from=prior.words_from if prior else None,
        at_once=config.batch_size,
    )


def _prior(path: Path) -> TypePrior:
    if path.is_file():
        return TypePrior.read(path)
    wrong = f"{path} is a folder, not a file" if path.is_dir() else f"There is no file {path}"
    hint = "Make it on held-out records: joco-mlx bench calibrate --cases FILE --out FILE"
    raise InputError(f"{wrong} for --type-prior.", hint)


def _run_of(model: str | None, chosen: Chosen) -> Run | None:
    """Return the run that a name means, or that a fused model was made from; None when there is none here."""
    if model is None or any((place / model / RUN_FILE).is_file() for place in (Path(), RUNS_FOLDER)):
        return open_run(model)
    if not artifacts.is_finished(chosen.folder.path):
        return None
    made_from = artifacts.open_artifact(chosen.folder.path, "fused").manifest.parents.get("run")
    places = chain(chosen.folder.path.resolve().parents, sorted(RUNS_FOLDER.glob("*")))
    found = (place for place in places if (place / RUN_FILE).is_file() and artifacts.is_finished(place))
    return next((open_run(place) for place in found if artifacts.sha256(place / artifacts.MANIFEST) == made_from), None)


def _answerer(engine: MlxEngine, config: BenchConfig, prior: TypePrior | None) -> Answerer:
    foreign = PROMPTS.get(config.prompt)
    return _asking(engine, config, prior) if foreign is None else _with(foreign, engine, config)


def _with(foreign: Prompt, engine: MlxEngine, config: BenchConfig) -> Answerer:
    """Ask with a prompt that is not ours: user turns without a system turn."""
    template = engine.template

    def answer(questions: Sequence[Question]) -> list[str]:
        seeds = [question.seed for question in questions]

        def say(texts: Sequence[str], max_tokens: int) -> list[str]:
            prompts = [template.user_start + neutralise(text) + template.after for text in texts]
            drafts = engine.answers(
                prompts, form=None, temperature=config.temperature, max_tokens=max_tokens, seeds=seeds
            )
            return [draft.text for draft in drafts]

        return foreign.ask([question.record.input for question in questions], say, config.max_tokens)

    return answer


def _asking(engine: MlxEngine, config: BenchConfig, prior: TypePrior | None) -> Answerer:
    budget = diff_budget(engine.template, engine.max_seq_length, engine.count)
    form = Form() if config.constrained or prior else None

    def drafts(questions: Sequence[Question]) -> list[Draft]:
        texts = (user_text(question.record.input, budget, engine.count) for question in questions)
        prompts, seeds = [render(engine.template, text) for text in texts], [question.seed for question in questions]
        how: Any = {"temperature": config.temperature, "max_tokens": config.max_tokens, "seeds": seeds}
        if form is None or prior is None:
            return engine.answers(prompts, form=form, **how)
        diffs = [question.record.input for question in questions]
        return type_first.answers(engine, prompts, diffs, form=form, prior=prior, tried=config.tried_types, **how)

    def answer(questions: Sequence[Question]) -> list[str]:
        return [form.shortened(one.text, was_cut=one.was_cut) if form else one.text for one in drafts(questions)]

    return answer
