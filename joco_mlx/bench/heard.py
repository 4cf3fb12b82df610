"""A GGUF beside the model that it was made from: whether llama.cpp reads the same tokens and would write the same.

Decides which records are asked, and that the trained model is MLX's, base and adapter; and which ones that model reads
for an importance matrix. Leaves the figures to `gguf.nearness` and llama.cpp to `gguf.llama`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from joco_mlx import artifacts
from joco_mlx.artifacts import open_artifact
from joco_mlx.commit.record import Record, read_records
from joco_mlx.errors import InputError
from joco_mlx.gguf.activations import activation_squares
from joco_mlx.gguf.card import Card
from joco_mlx.gguf.imatrix import write_imatrix
from joco_mlx.gguf.llama import Llama, find_library
from joco_mlx.gguf.nearness import Logits, Passage, nearness
from joco_mlx.gguf.plan import make_plan
from joco_mlx.gguf.rounding import Floats
from joco_mlx.gguf.stream import cores
from joco_mlx.merge import open_weights
from joco_mlx.models.compute import mx
from joco_mlx.models.folder import ModelFolder, open_folder
from joco_mlx.models.load import load_model
from joco_mlx.models.runs import RUN_FILE, Run, base_folder, open_run
from joco_mlx.models.tokens import Tokenizer
from joco_mlx.progress import Progress, Silent, Task, task
from joco_mlx.train.batches import fixed_subset
from joco_mlx.train.data import find_dataset, read_splits
from joco_mlx.train.examples import Encoder, Example

Item = TypeVar("Item")
HEARD_TOKENS = 512
"""Longest prompt and answer that llama.cpp is asked; its logits of a longer one would fill the memory."""


@dataclass(frozen=True)
class Heard:
    """What llama.cpp says with a file, held against the model that was trained."""

    texts: int
    places: int
    """Where an answer goes on, in all texts together."""
    differing_texts: int
    """Prompts that llama.cpp cuts into other tokens than training did."""
    divergence: float
    """Mean over the texts of KL(trained || file), in nats."""
    agreement: float
    """Mean share of the places with the same first choice."""


def hear_gguf(
    file: Path,
    against: Path,
    *,
    data: Path | None = None,
    most: int = 16,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Heard:
    """Let llama.cpp answer real prompts with a GGUF, beside the model that it was made from.

    Args:
        file: A file that `verify_gguf` found sound: on a damaged one llama.cpp may end the process.
        against: Run or model folder.
        data: Dataset whose held-out records are asked; the one that training would take when None.
        most: Records to ask.
        threads: Of llama.cpp; all cores when None. Where others use them too, one is faster: its threads spin.
        progress: Who watches.

    Raises:
        InputError: Something cannot be read, or llama.cpp refuses the file.
        MachineError: llama.cpp's libraries are not at hand.
    """
    shown, library = progress or Silent(), find_library()
    base, adapter = origin(against, shown)
    encoder = Encoder(Tokenizer.from_folder(base.path), base.template, HEARD_TOKENS)
    examples = [encoder.encode(record) for record in held_out(find_dataset(data), encoder, most)]
    passages = list(map(passage, examples))
    with (
        Llama(file, context=HEARD_TOKENS, library=library, threads=threads or cores()) as llama,
        task(shown, f"Asking llama.cpp with {file.name}", len(examples), "prompts") as bar,
    ):
        texts = [encoder.tokenizer.decode(example.prompt, control=True) for example in examples]
        differing = sum(llama.tokens(text) != encoder.tokenizer.encode(text, control=True) for text in texts)
        found = nearness(logits_of(base, adapter), llama.logits, _told(passages, bar))
    places = sum(len(example.answer) for example in examples)
    return Heard(len(examples), places, differing, float(found.divergence.mean()), float(found.agreement.mean()))


@dataclass(frozen=True)
class Collected:
    """An importance matrix that was written."""

    path: Path
    tensors: int
    tokens: int
    """That the model read."""


def collect_imatrix(
    run: Run,
    out: Path,
    *,
    data: Path | None = None,
    most: int = 64,
    force: bool = False,
    progress: Progress | None = None,
) -> Collected:
    """Let a run's model read records that it was trained on, and write what its matrices meet.

    Args:
        run: A run with an adapter.
        out: Importance matrix to write, in llama.cpp's GGUF form.
        data: Dataset whose training records are read; the one that training would take when None.
        most: Records to read.
        force: Replace `out` when it exists.
        progress: Who watches.

    Raises:
        ConflictError: `out` exists.
        InputError: Something cannot be read.
        MachineError: `out` cannot be written; that is tried first.
    """
    shown = progress or Silent()
    artifacts.refuse_existing(out, force=force)
    artifacts.require_writable(out)
    base, folder = base_folder(run, progress=shown), find_dataset(data)
    encoder = Encoder(Tokenizer.from_folder(base.path), base.template, HEARD_TOKENS)
    records = [record for record in read_splits(folder).train if encoder.fits(record)]
    texts = [encoder.encode(records[place]).ids for place in fixed_subset(len(records), most, seed=0)]
    plan = make_plan(open_weights(base.path), base.path, "f16", Card.of(base))
    modules = {
        tensor.source.removesuffix(".weight"): tensor.name
        for tensor, _ in plan.tensors
        if tensor.name.startswith("blk.") and len(tensor.shape) == 2
    }
    with task(shown, "Reading", len(texts), "records") as bar:
        sums, tokens = activation_squares(load_model(base, adapter=run.adapter), _told(texts, bar), modules)
    write_imatrix(out, sums, tokens, chunks=len(texts), data=folder.resolve().name)
    return Collected(out, len(sums), max(tokens.values()))


def held_out(data: Path, encoder: Encoder, most: int) -> list[Record]:
    """Return at most `most` records of a dataset that no run is trained on: of test, else of validation.

    Raises:
        InputError: There are none that fit.
    """
    open_artifact(data, "dataset")
    for split in ("test", "validation"):
        path = data / f"{split}.jsonl"
        records = [record for record in read_records(path) if encoder.fits(record)] if path.is_file() else []
        if records:
            return [records[place] for place in fixed_subset(len(records), most, seed=0)]
    raise InputError(f"{data} has no records for test or validation.", "Name another dataset with --data.")


def passage(example: Example) -> Passage:
    """Return a record as what is compared: the places at which its answer goes on."""
    return Passage(example.ids[:-1], len(example.prompt) - 1)


def logits_of(base: ModelFolder, adapter: Path | None) -> Logits:
    """Return a trained model as a function: computed by MLX, in float32 on a CPU."""
    model = load_model(base, adapter=adapter)

    def logits(ids: Sequence[int], first: int) -> Floats:
        found = model(mx.array(list(ids))[None])[0, first:].astype(mx.float32)
        return np.array(found)

    return logits


def origin(against: Path, progress: Progress) -> tuple[ModelFolder, Path | None]:
    """The base and the adapter of a run, or a model folder without one."""
    if not (against / RUN_FILE).is_file():
        return open_folder(against), None
    run = open_run(against)
    return base_folder(run, progress=progress), run.adapter


def _told(items: Iterable[Item], bar: Task) -> Iterator[Item]:
    for item in items:
        yield item
        bar.advance()
