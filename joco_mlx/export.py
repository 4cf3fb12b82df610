"""From a run to what Ollama takes: `joco.gguf`, checked, and the Modelfile beside it.

Decides the order: everything that could refuse is asked before the long work, and the Modelfile, which points at the
GGUF, is written last. Leaves the file to `gguf`, the merging to `merge`, the words to `ollama`.
"""

from dataclasses import dataclass
from pathlib import Path

from joco_mlx import artifacts, ollama
from joco_mlx.adapters.other_base import warnings
from joco_mlx.config import FuseConfig
from joco_mlx.errors import InputError, UsageError
from joco_mlx.gguf.card import Card
from joco_mlx.gguf.export import Exported
from joco_mlx.gguf.export import export as write_gguf
from joco_mlx.gguf.imatrix import read_imatrix
from joco_mlx.gguf.verify import Report, verify
from joco_mlx.merge import open_merged
from joco_mlx.merge.lora import TENSORS
from joco_mlx.models import hub, registry
from joco_mlx.models.folder import ModelFolder
from joco_mlx.models.runs import ADAPTERS, RUN_FILE, Run, base_folder, open_run
from joco_mlx.progress import Progress, Silent


@dataclass(frozen=True)
class OllamaFiles:
    """What `ollama create NAME -f Modelfile` needs."""

    gguf: Exported
    modelfile: Path
    report: Report


def export_run(config: FuseConfig, run: Run, *, progress: Progress | None = None) -> OllamaFiles:
    """Merge a run's adapter into its base straight into a GGUF, verify it, and write the Modelfile.

    Args:
        config: Folder to write into (the current one when not given), type mix, whether outputs may be replaced.
        run: A run with an adapter.
        progress: Who watches.

    Raises:
        ConflictError: An output exists that nobody said may be replaced.
        InputError: The base is gone or another one, or the adapter does not fit it.
        MachineError: The disk is too small.
        VerificationError: What was written is not what the model says; the GGUF is removed again.
    """
    shown = progress or Silent()
    folder = config.out or Path()
    ollama.refuse_foreign_export(folder, force=config.force)
    base = base_folder(run, progress=shown)
    for warning in warnings(run.adapter, base):
        shown.note(warning)
    weights = open_merged(_merged_into(config.merge_into, base, shown), run.adapter)
    card = Card.of(base)
    matrix = read_imatrix(config.imatrix) if config.imatrix else None
    out = folder / ollama.GGUF_NAME
    made = write_gguf(
        weights,
        base.path,
        out,
        quantization=config.quantization,
        mode=config.mode,
        imatrix=matrix,
        card=card,
        force=config.force,
        progress=shown,
    )
    report = verify(out, base.path, source=weights, card=card, progress=shown)
    if report.problems:
        out.unlink()
    report.require_sound()
    return OllamaFiles(made, ollama.write_modelfile(folder, modelfile_of(run)), report)


def _merged_into(name: str | None, base: ModelFolder, progress: Progress) -> Path:
    """Where the weights come from that the adapter is added to."""
    if name is None:
        return base.path
    if name == "original":
        if base.base is None:
            raise InputError(
                f"The 16-bit original of {base.name} is not known.", "Name it, or give its folder: --from NAME"
            )
        name = base.base.original
    return hub.locate(name, progress=progress).path


def verify_gguf(
    file: Path, against: Path, *, merge_into: str | None = None, progress: Progress | None = None
) -> Report:
    """Compare a GGUF with the run or the model folder that it was made from.

    Args:
        file: The GGUF.
        against: A run or a model folder.
        merge_into: What the run's adapter was merged into, where that was not its base: see `FuseConfig.merge_into`.
        progress: Who watches.

    Raises:
        InputError: One of them cannot be read.
        UsageError: `merge_into` is given with a model folder, which has no adapter.
        VerificationError: The file is cut short or damaged, so that nothing in it can be compared.
    """
    shown = progress or Silent()
    if not against.is_dir():
        raise InputError(f"There is no folder {against}.", "Give the run or the model folder that it was made from.")
    if not (against / RUN_FILE).is_file():
        if merge_into is not None:
            raise UsageError(
                f"--from is for a run, but {against} is none.", "Give the run with --against, or leave --from out."
            )
        return verify(file, against, progress=shown)
    run = open_run(against)
    base = base_folder(run, progress=shown)
    weights = open_merged(_merged_into(merge_into, base, shown), run.adapter)
    return verify(file, base.path, source=weights, card=Card.of(base), progress=shown)


def modelfile_of(run: Run) -> str:
    """Return the Modelfile of a run's export; needs neither the base model nor a GGUF."""
    entry, name = registry.find(run.base.name), run.base.name
    licence = ollama.licence_text(entry) if entry else f"See the licence of the base model {name}."
    return ollama.render_modelfile(
        ollama.GGUF_NAME,
        run.template,
        num_ctx=run.config.max_seq_length,
        licence=licence,
        model=name,
        adapter=adapter_digest(run),
    )


def adapter_digest(run: Run) -> str | None:
    """Return the SHA-256 of a run's adapter, which changes when the run goes on; None where it has none yet."""
    file = run.folder / ADAPTERS / TENSORS
    return artifacts.sha256(file) if file.is_file() else None
