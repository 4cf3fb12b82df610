"""Settings that make other tools ask our model in Ollama.

Decides what each tool is told, and which files are written: only those of tools whose file is plain `key=value` or JSON
and where every other entry can stay exactly as it is. For the rest the commands are shown.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from joco_mlx import artifacts
from joco_mlx.errors import InputError, UsageError
from joco_mlx.ollama.server import DEFAULT_PORT


@dataclass(frozen=True)
class Connection:
    """One tool's settings."""

    text: str
    """What a person types, or puts into the tool's file."""
    file: Path | None = None
    """The tool's own file below the home folder, when it can be written."""
    values: Mapping[str, str] = field(default_factory=dict)
    start: str = ""
    """How the tool is started then."""
    note: str = ""
    """What a person has to know."""


_OCO_TOKENS = 1_000_000
"""Above its limit opencommit cuts a diff and joins the answers; ours fits the whole diff by itself."""

_MILLISECONDS = 120_000
"""aicommits gives up after 15 seconds, in which a model on a slow machine may only just be loaded."""

_JSON_ALONE = "aicommit2 reads JSON alone: it works with joco-mlx serve, not with the model in Ollama."
_ONE_PORT = f"lumen asks port {DEFAULT_PORT} alone, whatever the address: joco-mlx serve --port {DEFAULT_PORT}"

TOOLS = ("opencommit", "aicommits", "aicommit2", "czg", "lumen", "lazygit")


def connection(tool: str, model: str, url: str) -> Connection:
    """Return the settings of `tool` for `model` in the Ollama server at `url`.

    Raises:
        UsageError: The tool is not known.
    """
    openai = {"OPENAI_API_KEY": "ollama", "OPENAI_BASE_URL": f"{url}/v1", "OPENAI_MODEL": model, "type": "conventional"}
    openai["timeout"] = str(_MILLISECONDS)
    oco = {"OCO_AI_PROVIDER": "ollama", "OCO_MODEL": model, "OCO_API_URL": url}
    oco |= {"OCO_GITPUSH": "false", "OCO_ONE_LINE_COMMIT": "true", "OCO_TOKENS_MAX_INPUT": str(_OCO_TOKENS)}
    czrc = {"openAIToken": "ollama", "apiEndpoint": f"{url}/v1", "apiModel": model}
    lumen = {"provider": "ollama", "model": model}
    made = {
        "opencommit": Connection(f"oco config set {_words(oco)}", Path(".opencommit"), oco, "oco"),
        "aicommits": Connection(f"aicommits config set {_words(openai)}", Path(".aicommits"), openai, "aicommits"),
        "aicommit2": Connection(
            f"aicommit2 config set OLLAMA.model={model} OLLAMA.host={url} OLLAMA.numCtx=8192",
            start="aicommit2",
            note=_JSON_ALONE,
        ),
        "czg": Connection(
            f"czg --api-key=ollama --api-endpoint={url}/v1 --api-model={model}",
            Path(".config") / ".czrc",
            czrc,
            "czg ai",
        ),
        "lumen": Connection(
            f"LUMEN_AI_PROVIDER=ollama LUMEN_AI_MODEL={model} lumen draft",
            Path(".config") / "lumen" / "lumen.config.json",
            lumen,
            "lumen draft",
            "" if url.endswith(f":{DEFAULT_PORT}") else _ONE_PORT,
        ),
        "lazygit": Connection(_LAZYGIT),
    }
    if tool not in made:
        raise UsageError(f"{tool!r} is no tool that joco-mlx knows.", f"Use one of: {', '.join(TOOLS)}.")
    return made[tool]


def apply(found: Connection, home: Path) -> Path:
    """Write the settings into the tool's file below `home`, every other entry left as it is, and return its path.

    Raises:
        UsageError: The tool has no file that may be written.
        InputError: The file is not in the form that the tool writes.
    """
    if found.file is None:
        raise UsageError(
            "This tool's settings are not written by joco-mlx.", "Run or copy what is printed without --apply."
        )
    path = (home / found.file).resolve()
    try:
        text = path.read_text("utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as problem:
        raise InputError(f"{path} cannot be read: {problem}.", "Repair it, or set the values by hand.") from None
    changed = (
        _json(text, found.values, path)
        if path.suffix == ".json" or path.name == ".czrc"
        else _pairs(text, found.values)
    )
    if changed != text:
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
        artifacts.write_text(path, changed, mode=mode)
    return path


def _pairs(text: str, values: Mapping[str, str]) -> str:
    lines = text.splitlines()
    for key, value in values.items():
        places = [at for at, line in enumerate(lines) if line.partition("=")[0].strip() == key]
        if places:
            lines[places[-1]] = f"{key}={value}"
            continue
        section = next((at for at, line in enumerate(lines) if line.startswith("[")), len(lines))
        lines.insert(section, f"{key}={value}")
    return "\n".join(lines) + "\n"


def _json(text: str, values: Mapping[str, str], path: Path) -> str:
    try:
        document = json.loads(text or "{}")
    except ValueError as problem:
        raise InputError(f"{path} is no JSON: {problem}.", "Repair it, or set the values by hand.") from None
    if not isinstance(document, dict):
        raise InputError(f"{path} is no JSON object.", "Repair it, or set the values by hand.")
    return json.dumps({**document, **values}, indent=2, ensure_ascii=False) + "\n"


def _words(values: Mapping[str, str]) -> str:
    return " ".join(f"{key}={value}" for key, value in values.items())


_LAZYGIT = """\
# In lazygit's config.yml (lazygit --print-config-dir says where):
customCommands:
  - key: "<c-j>"
    context: files
    description: Commit with a suggested message
    command: joco-mlx suggest --commit --edit
    output: terminal"""
