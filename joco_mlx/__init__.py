"""Turn git history into a small private model that writes your commit messages.

The Python API is one function a stage, imported when it is first used:

    import joco_mlx

    run = joco_mlx.train(joco_mlx.TrainConfig(model="smollm2-135m"))
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_API = {
    "CurateConfig": "config",
    "ExtractConfig": "config",
    "FuseConfig": "config",
    "JocoError": "errors",
    "SuggestConfig": "config",
    "TrainConfig": "config",
}

__all__ = ["__version__", *_API]  # noqa: PLE0604  (the names are the table's)


def __getattr__(name: str) -> Any:
    """Import the stage that owns `name`, so that `import joco_mlx` itself loads nothing heavy."""
    if name not in _API:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_API[name]}"), name)


def __dir__() -> list[str]:
    """List the lazy names too."""
    return sorted(__all__)
