"""The model that a person uses from now on, written into their own `config.toml`.

Decides that everything else in that file stays as it is, comments included: only a few lines of the table `[suggest]`
are replaced or added, and the file is read again before it is kept. A run and a folder are written by their whole path,
because the next command may be given somewhere else.
"""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from joco_mlx import artifacts
from joco_mlx.config import OLLAMA_MODEL, RUNS_FOLDER, SuggestConfig, user_file
from joco_mlx.errors import InputError
from joco_mlx.models import registry
from joco_mlx.models.folder import open_folder
from joco_mlx.models.runs import RUN_FILE, open_run
from joco_mlx.ollama.server import Server
from joco_mlx.suggest.choice import Choice, decide
from joco_mlx.suggest.engines import is_run
from joco_mlx.suggest.in_ollama import has_model

_TABLE = "suggest"
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+(@[\w./-]+)?")


def use(config: SuggestConfig) -> Choice:
    """Make `config.model` the model of every later `suggest`, `serve` and hook, and return what it means.

    Args:
        config: With a model, and an engine if the name could mean two things.

    Raises:
        InputError: Nothing has this name, or the user's file cannot be read.
        MachineError: The file cannot be written.
    """
    choice = decide(config)
    if choice.engine == "ollama":
        _require_in_ollama(choice, config)
        _write({"model": choice.model, "engine": choice.engine, "url": config.url})
        return choice
    choice = replace(choice, model=_lasting(choice.model))
    _write({"model": choice.model, "engine": choice.engine})
    return choice


def use_nothing() -> None:
    """Go back to the default order, and to the Ollama of this computer: an address that was chosen is forgotten too.

    Raises:
        InputError: The user's file cannot be read.
        MachineError: It cannot be written.
    """
    if user_file().is_file():
        _write({"model": None, "engine": None, "url": None})


def _require_in_ollama(choice: Choice, config: SuggestConfig) -> None:
    server = Server.at(config.url)
    server.require()
    if not has_model(choice.name, server):
        raise InputError(
            f"Ollama at {server.url} has no model {choice.name}.", f"Make it: joco-mlx ollama create {OLLAMA_MODEL}"
        )


def _lasting(model: str | None) -> str:
    """Return a name of a model in this process that means the same everywhere."""
    if model is None:
        return str(open_run().folder.resolve())
    if is_run(model):
        run = open_run(next(place for place in (Path(model), RUNS_FOLDER / model) if (place / RUN_FILE).is_file()))
        return str(run.adapter.parent.resolve())
    if registry.find(model) is not None:
        return model
    if Path(model).expanduser().exists():
        return str(open_folder(Path(model).expanduser()).path.resolve())
    if _HUB_NAME.fullmatch(model):
        return model
    raise InputError(
        f"There is no model named {model!r}, here or in a running Ollama.",
        f"Use one of: {', '.join(registry.nearest(model))}; a run; a folder; or a Hub name (ORG/NAME).",
    )


def _write(values: Mapping[str, str | None]) -> None:
    path = user_file().resolve()  # a link to it stays one
    try:
        text = path.read_text("utf-8") if path.is_file() else ""
        before = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise InputError(f"{path} cannot be read as TOML: {problem}.", f"Repair or remove {path}.") from problem
    changed = with_values(text, _TABLE, values)
    wanted = {**before, _TABLE: {**before.get(_TABLE, {}), **values}}
    wanted[_TABLE] = {name: value for name, value in wanted[_TABLE].items() if value is not None}
    if not _says(changed, wanted):
        raise InputError(
            f"{path} is written in a way that joco-mlx cannot change safely.",
            f"Set {' and '.join(values)} in its table [{_TABLE}] by hand.",
        )
    with artifacts.telling_disk_errors(path):
        mode = path.stat().st_mode & 0o777 if path.exists() else None
        artifacts.write_text(path, changed, mode=mode)


def _says(text: str, wanted: Mapping[str, object]) -> bool:
    try:
        return tomllib.loads(text) == wanted
    except tomllib.TOMLDecodeError:
        return False


def with_values(text: str, table: str, values: Mapping[str, str | None]) -> str:
    """Return a TOML text with other strings in one table; None takes an entry away. All other lines stay."""
    lines = text.splitlines()
    start = next((at for at, line in enumerate(lines) if re.fullmatch(rf"\s*\[{table}\]\s*(#.*)?", line)), None)
    if start is None:
        lines += [*([""] if lines else []), f"[{table}]"]
        start = len(lines) - 1
    end = next((at for at in range(start + 1, len(lines)) if lines[at].lstrip().startswith("[")), len(lines))
    kept = [line for line in lines[start + 1 : end] if not any(_sets(line, name) for name in values)]
    new = [f"{name} = {json.dumps(value)}" for name, value in values.items() if value is not None]
    return "\n".join([*lines[: start + 1], *new, *kept, *lines[end:]]) + "\n"


def _sets(line: str, name: str) -> bool:
    return re.match(rf"\s*[\"']?{name}[\"']?\s*=", line) is not None
