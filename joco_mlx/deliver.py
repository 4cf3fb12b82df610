"""Which GGUF and which Modelfile `ollama create` takes: a file, a run's export, or the newest of what is there.

Decides that a Modelfile beside a GGUF counts as it stands, that a run is exported into its own folder once for each
adapter that it has had, and that showing a Modelfile needs neither a server nor an export.
"""

from dataclasses import dataclass
from pathlib import Path

from joco_mlx import ollama
from joco_mlx.config import FuseConfig, OllamaConfig
from joco_mlx.errors import InputError
from joco_mlx.export import adapter_digest, export_run, modelfile_of
from joco_mlx.models.runs import Run, open_run
from joco_mlx.ollama.create import Created, create, require_room
from joco_mlx.ollama.instructions import read_modelfile
from joco_mlx.ollama.server import Server
from joco_mlx.progress import Progress

EXPORT_FOLDER = "ollama"
"""Below a run: what was exported of it for Ollama."""


@dataclass(frozen=True)
class Delivery:
    """What a server is to be given."""

    modelfile: str
    gguf: Path | None
    """None when the run was not exported yet, or has gone on since."""
    run: Run | None


def prepare(source: str | None, config: OllamaConfig) -> Delivery:
    """Find what `source` means: a GGUF, a run, or, when it is None, `./joco.gguf`, else the latest finished run.

    Raises:
        InputError: There is no such thing, or a GGUF has no Modelfile beside it.
    """
    here = Path(ollama.GGUF_NAME)
    if source is None and here.is_file() and (here.parent / ollama.MODELFILE).is_file():
        return _of_file(here, config)
    if source is not None and (Path(source).suffix == ".gguf" or Path(source).is_file()):
        return _of_file(Path(source), config)
    run = open_run(source)
    exported = run.folder / EXPORT_FOLDER
    if (exported / ollama.MODELFILE).is_file() and not _is_outdated(exported, run):  # the Modelfile is written last
        return Delivery(_of_file(exported / ollama.GGUF_NAME, config).modelfile, exported / ollama.GGUF_NAME, run)
    guide = ollama.render_guide_modelfile(ollama.GGUF_NAME, model=run.base.name)
    return Delivery(guide if config.form == "guide" else modelfile_of(run), None, run)


def deliver(name: str, source: str | None, config: OllamaConfig, *, progress: Progress) -> Created:
    """Bring a run or a GGUF into Ollama as the model `name`; a run that was not exported yet is exported first.

    Raises:
        JocoError: As `prepare`, `export_run` and `ollama.create` do.
    """
    found, server = prepare(source, config), Server.at(config.url)
    gguf = found.gguf
    if gguf is None and found.run is not None:
        require_room(name, server, force=config.force)  # before an export of minutes
        folder = found.run.folder / EXPORT_FOLDER
        gguf = export_run(FuseConfig(out=folder, force=True), found.run, progress=progress).gguf.path
    if gguf is None or not gguf.is_file():
        raise InputError(f"There is no GGUF at {gguf}.", "Make one: joco-mlx fuse --export-gguf")
    instructions = read_modelfile(found.modelfile, f"the Modelfile of {gguf}")
    progress.note(f"Bringing {gguf} to Ollama at {server.url}.")
    return create(name, gguf, instructions, server, force=config.force, progress=progress)


def _is_outdated(exported: Path, run: Run) -> bool:
    """Whether an export says that it was made of another adapter than the run has now."""
    merged = ollama.adapter_in((exported / ollama.MODELFILE).read_text("utf-8", "replace"))
    now = adapter_digest(run)
    return None not in (merged, now) and merged != now


def _of_file(gguf: Path, config: OllamaConfig) -> Delivery:
    if not gguf.is_file():
        raise InputError(f"There is no GGUF at {gguf}.", "Make one: joco-mlx fuse --export-gguf")
    if config.form == "guide":
        return Delivery(ollama.render_guide_modelfile(gguf.name, model=gguf.stem), gguf, None)
    beside = gguf.parent / ollama.MODELFILE
    if not beside.is_file():
        raise InputError(
            f"{gguf} has no {ollama.MODELFILE} beside it, so nobody knows the form it was trained in.",
            "Name the run that it was made of, or take the guide's form: --form guide",
        )
    text = beside.read_text("utf-8", "replace")
    if Path(read_modelfile(text, str(beside)).weights).name != gguf.name:
        raise InputError(f"{beside} is about another file than {gguf.name}.", "Name that one, or export again.")
    return Delivery(text, gguf, None)
