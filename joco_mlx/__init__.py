"""Turn git history into a small private model that writes your commit messages.

The Python API is one function a stage, imported when it is first used:

    import joco_mlx

    run = joco_mlx.train_adapter(joco_mlx.TrainConfig(model="smollm2-135m", steps=60))
    files = joco_mlx.export_run(joco_mlx.FuseConfig(), joco_mlx.open_run(run.folder))

The functions have names of their own, because `joco_mlx.train` is the room where training lives.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_API = {
    "BenchConfig": ("config", "BenchConfig"),
    "BuildConfig": ("config", "BuildConfig"),
    "CurateConfig": ("config", "CurateConfig"),
    "ExtractConfig": ("config", "ExtractConfig"),
    "FuseConfig": ("config", "FuseConfig"),
    "JocoError": ("errors", "JocoError"),
    "PersonalConfig": ("config", "PersonalConfig"),
    "ServeConfig": ("config", "ServeConfig"),
    "SuggestConfig": ("config", "SuggestConfig"),
    "TrainConfig": ("config", "TrainConfig"),
    "adopt_adapter": ("adapters.adopt", "adopt"),
    "audit_dataset": ("dataset.audit", "audit"),
    "build_dataset": ("dataset.build", "build"),
    "compare_benchmarks": ("bench.compare", "compare"),
    "convert_adapter": ("adapters.convert", "convert"),
    "curate_dataset": ("dataset.curate", "curate"),
    "dataset_stats": ("dataset.stats", "stats"),
    "export_dataset": ("dataset.formats", "export"),
    "export_run": ("export", "export_run"),
    "extract_commits": ("dataset.extract", "extract_to_file"),
    "fuse_run": ("fuse", "fuse"),
    "import_records": ("dataset.formats", "import_records"),
    "open_run": ("models.runs", "open_run"),
    "run_benchmark": ("bench.run", "run"),
    "serve_model": ("serve.server", "serve"),
    "suggest_candidates": ("suggest.message", "candidates"),
    "suggest_message": ("suggest.message", "suggest"),
    "train_adapter": ("train.backends.dispatch", "train"),
    "validate_dataset": ("dataset.validate", "validate"),
    "verify_gguf": ("export", "verify_gguf"),
}

__all__ = ["__version__", *_API]  # noqa: PLE0604  (the names are the table's)


def __getattr__(name: str) -> Any:
    """Import the stage that owns `name`, so that `import joco_mlx` itself loads nothing heavy."""
    if name not in _API:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _API[name]
    return getattr(import_module(f"{__name__}.{module}"), attribute)


def __dir__() -> list[str]:
    """List the lazy names too."""
    return sorted(__all__)
