"""`joco-mlx fuse` and `joco-mlx gguf`: from a run to a model folder or to what Ollama takes."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from joco_mlx.cli import render
from joco_mlx.cli.settings import option, settings
from joco_mlx.config import FuseConfig
from joco_mlx.errors import UsageError, VerificationError

if TYPE_CHECKING:
    from joco_mlx.bench.heard import Heard
    from joco_mlx.export import OllamaFiles
    from joco_mlx.gguf.verify import Report
    from joco_mlx.progress import Progress

gguf_app = typer.Typer(help="Look at GGUF files and check them.", no_args_is_help=True, rich_markup_mode=None)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def fuse(
    run: Annotated[str | None, typer.Argument(help="Run folder; the latest finished one when not given.")] = None,
    out: Annotated[Path | None, option(FuseConfig, "out")] = None,
    export_gguf: Annotated[bool, typer.Option("--export-gguf", help="Write joco.gguf and its Modelfile.")] = False,
    quantization: Annotated[str | None, option(FuseConfig, "quantization")] = None,
    mode: Annotated[str | None, option(FuseConfig, "mode")] = None,
    merge_into: Annotated[str | None, option(FuseConfig, "merge_into")] = None,
    imatrix: Annotated[Path | None, option(FuseConfig, "imatrix")] = None,
    force: Annotated[bool | None, option(FuseConfig, "force", "--force")] = None,
    json: Json = False,
) -> None:
    """Merge a run's adapter into its base: a 16-bit model folder, or with --export-gguf what Ollama takes."""
    flags = {"out": out, "quantization": quantization, "mode": mode, "imatrix": imatrix, "force": force}
    config = settings(FuseConfig, "fuse", flags | {"merge_into": merge_into})
    if merge_into is not None and not export_gguf:
        raise UsageError("--from is for a GGUF alone.", "Add --export-gguf.")
    from joco_mlx.models.runs import open_run

    opened = open_run(run)
    with render.progress() as progress:
        if export_gguf:
            from joco_mlx.export import export_run

            made = export_run(config, opened, progress=progress)
        else:
            from joco_mlx.fuse import fuse as merge

            folder = merge(config, opened, progress=progress).folder
    if export_gguf:
        show_export(made, json=json)
        return
    if json:
        render.say_json({"folder": folder})
        return
    render.say(f"Finished: {folder}")


@gguf_app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="GGUF to check.")],
    against: Annotated[Path, typer.Option("--against", help="Run or model folder that it was made from.")],
    merge_into: Annotated[str | None, typer.Option("--from", help="What fuse was given as --from, if it was.")] = None,
    logits: Annotated[bool, typer.Option("--logits", help="Also ask llama.cpp's libraries in LLAMA_LIB_DIR.")] = False,
    data: Annotated[Path | None, typer.Option("--data", help="Dataset whose held-out records --logits asks.")] = None,
    prompts: Annotated[int, typer.Option("--prompts", min=1, help="How many records --logits asks.")] = 16,
    json: Json = False,
) -> None:
    """Check a GGUF tensor by tensor against the model that it was made from, with a decoder that is not ours.

    With --logits llama.cpp answers real prompts: its tokens, and how far it is from the model in what it writes next.
    """
    from joco_mlx.export import verify_gguf

    with render.progress() as progress:
        report = verify_gguf(file, against, merge_into=merge_into, progress=progress)
        heard = _hear(file, against, data, prompts, progress) if logits and not report.problems else None
    _tell(report, heard, json=json)
    report.require_sound()
    if heard and heard.differing_texts:
        raise VerificationError(f"llama.cpp cuts {heard.differing_texts} of {heard.texts} prompts into other tokens.")


def _hear(file: Path, against: Path, data: Path | None, prompts: int, progress: "Progress") -> "Heard":
    from joco_mlx.bench.heard import hear_gguf

    return hear_gguf(file, against, data=data, most=prompts, progress=progress)


def _tell(report: "Report", heard: "Heard | None", *, json: bool) -> None:
    if json:
        render.say_json(_as_json(report) | ({"llama.cpp": asdict(heard)} if heard else {}))
        return
    _show_report(report)
    if heard:
        render.say(
            f"llama.cpp, on {heard.texts} prompts: {heard.differing_texts} with other tokens; KL to the trained model "
            f"{heard.divergence:.4f} nats, the same first choice at {heard.agreement:.1%} of {heard.places} places."
        )


@gguf_app.command()
def inspect(file: Annotated[Path, typer.Argument(help="GGUF to look into.")], json: Json = False) -> None:
    """Print what a GGUF holds: metadata, and name, type and shape of every tensor."""
    from joco_mlx.gguf.container import open_gguf

    found = open_gguf(file)
    rows = [(tensor.name, tensor.kind.name, list(tensor.shape), tensor.nbytes) for tensor in found.tensors.values()]
    if json:
        names = ("name", "type", "shape", "bytes")
        tensors = [dict(zip(names, row, strict=True)) for row in rows]
        render.say_json({"file": found.path, "bytes": found.nbytes, "metadata": found.metadata, "tensors": tensors})
        return
    render.table(("key", "value"), [(key, render.brief(value)) for key, value in found.metadata.items()])
    render.say()
    render.table(("tensor", "type", "shape", "bytes"), rows, right=("bytes",))


@gguf_app.command()
def imatrix(
    run: Annotated[str | None, typer.Argument(help="Run folder; the latest finished one when not given.")] = None,
    out: Annotated[Path, typer.Option("--out", help="File to write.")] = Path("imatrix.gguf"),
    data: Annotated[Path | None, typer.Option("--data", help="Dataset whose training records are read.")] = None,
    records: Annotated[int, typer.Option("--records", min=1, help="How many records are read.")] = 64,
    force: Annotated[bool, typer.Option("--force", help="Replace an output that exists.")] = False,
    json: Json = False,
) -> None:
    """Write an importance matrix: what the tuned model's matrices meet on commits, for fuse --imatrix or llama.cpp."""
    from joco_mlx.bench.heard import collect_imatrix
    from joco_mlx.models.runs import open_run

    with render.progress() as progress:
        made = collect_imatrix(open_run(run), out, data=data, most=records, force=force, progress=progress)
    if json:
        render.say_json(asdict(made))
        return
    render.say(f"Finished: {made.path}: {made.tensors} matrices on {made.tokens:,} tokens")
    render.say(f"Next: joco-mlx fuse --export-gguf --imatrix {made.path}")


def show_export(made: "OllamaFiles", *, json: bool) -> None:
    """Print what was written, how near it is to the model, and the next command."""
    if json:
        render.say_json({"gguf": made.gguf.path, "modelfile": made.modelfile, "verification": _as_json(made.report)})
        return
    _show_report(made.report)
    render.say(f"Finished: {made.gguf.path} and {made.modelfile}")
    render.say(f"Next: ollama create joco -f {made.modelfile}")


def _as_json(report: "Report") -> dict[str, Any]:
    tensors = [{"name": check.name, "type": check.kind.name, "error": check.error} for check in report.tensors]
    return {
        "file": report.path,
        "bytes": report.nbytes,
        "parameters": report.parameters,
        "types": report.types,
        "problems": report.problems,
        "tensors": tensors,
    }


def _show_report(report: "Report") -> None:
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(report.types.items()))
    render.say(f"{report.path}: {report.nbytes / 1e6:,.1f} MB, {report.parameters / 1e6:,.1f} M weights ({kinds})")
    for problem in report.problems:
        render.say(f"  {problem}")
    if report.worst and not report.problems:
        worst = f"{report.worst.error:.3f} in {report.worst.name} ({report.worst.kind.name})"
        render.say(
            f"Verified: {len(report.tensors)} tensors; the largest error, in units of the RMS of the weights, is {worst}."
        )
