"""Which tables a settings file may have and which variables count, so that a misspelt one is refused.

Decides which name was probably meant. Leaves what a setting may be to its stage, and a table's values to `sources`.
"""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from joco_mlx.config.bench import BenchConfig, OpinionConfig
from joco_mlx.config.dataset import BuildConfig, CurateConfig, ExtractConfig, PersonalConfig
from joco_mlx.config.export import FuseConfig, OllamaConfig
from joco_mlx.config.suggest import ServeConfig, SuggestConfig
from joco_mlx.config.train import TrainConfig
from joco_mlx.errors import InputError, UsageError

ENVIRONMENT_PREFIX = "JOCO_MLX_"
TABLES: dict[str, Any] = {
    "extract": ExtractConfig,
    "curate": CurateConfig,
    "build": BuildConfig,
    "personal": PersonalConfig,
    "train": TrainConfig,
    "fuse": FuseConfig,
    "ollama": OllamaConfig,
    "suggest": SuggestConfig,
    "serve": ServeConfig,
    "bench": BenchConfig,
    "judge": OpinionConfig,
}
"""Table of a file -> the config that it is read into."""
_NO_SETTINGS = ("API_KEY", "CACHE", "DEBUG", "HOOK", "IN_HOOK")
"""Variables that no config has: a server's key, a place, a traceback, and two for the hook."""


def refuse_unknown_tables(path: Path, document: Mapping[str, Any]) -> None:
    """Raise InputError when a settings file has a table that no stage reads, or a setting above every table."""
    for name, value in document.items():
        if name in TABLES:
            continue
        if isinstance(value, dict):
            tables = ", ".join(f"[{table}]" for table in TABLES)
            hint = meant(name, TABLES, "Write [{}].") or f"Use one of: {tables}."
            raise InputError(f"{path} has the table {name!r}, which no command reads.", hint)
        raise InputError(f"{path} sets {name!r} above every table, where no command reads it.", _where(name))


def refuse_unknown_variables(environment: Mapping[str, str]) -> None:
    """Raise UsageError when a variable has our prefix and a name that nothing reads."""
    known = {name.upper() for name in _settings()} | {*_NO_SETTINGS}
    for variable in sorted(environment):
        name = variable.removeprefix(ENVIRONMENT_PREFIX)
        if name != variable and name not in known:
            hint = meant(name, known, f"Write {ENVIRONMENT_PREFIX}{{}}, or take it away: ") + f"unset {variable}"
            raise UsageError(f"The variable {variable} is set, but joco-mlx knows no such name.", hint)


def meant(name: str, known: Iterable[str], sentence: str) -> str:
    """Return `sentence` with the nearest of the known names in its braces, or nothing when none is near."""
    near = difflib.get_close_matches(name, sorted(known), n=1)
    return sentence.format(near[0]) if near else ""


def _where(name: str) -> str:
    """Return what to do with a setting that is in no table."""
    right = name if name in _settings() else meant(name, _settings(), "{}")
    owners = [f"[{table}]" for table, config in TABLES.items() if right in config.__dataclass_fields__]
    if not owners:
        return "Write every setting below its table, such as [train]."
    return f"Write {right} below its table: {' or '.join(owners)}."


def _settings() -> set[str]:
    return {name for config in TABLES.values() for name in config.__dataclass_fields__}
