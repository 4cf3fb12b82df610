"""Every default, once: one frozen dataclass per stage, and the rule which source of a value wins.

A value comes from the first of: a flag, `JOCO_MLX_NAME` in the environment, the file given by `--config` or
`.joco-mlx.toml` in the repository, the user's `config.toml`, the registry's better value for one model, the default
of the dataclass. Field metadata holds the one help text that the command line, the docs and the error messages show.
"""

from joco_mlx.config.agreed import (
    ANSWER_TOKENS,
    BENCH_FOLDER,
    DEFAULT_MODEL,
    LOCAL_DATASET,
    OLLAMA_MODEL,
    QUICKSTART_MODEL,
    RUNS_FOLDER,
    SHIPPED_DATASETS,
)
from joco_mlx.config.bench import BenchConfig, EngineName, OpinionConfig, PromptName
from joco_mlx.config.dataset import BuildConfig, CurateConfig, ExtractConfig, PersonalConfig, Profile
from joco_mlx.config.export import FuseConfig, Mode, OllamaConfig, OllamaForm, Quantization
from joco_mlx.config.known import ENVIRONMENT_PREFIX, TABLES
from joco_mlx.config.options import default_of, flag, flag_of, help_of
from joco_mlx.config.sources import REPOSITORY_FILE, read_file, resolve, user_file
from joco_mlx.config.suggest import ServeConfig, SuggestConfig, SuggestEngine
from joco_mlx.config.train import (
    SEVEN_PROJECTIONS,
    AdapterKind,
    Backend,
    QuantizeBase,
    Tracker,
    TrainConfig,
)

__all__ = [
    "ANSWER_TOKENS",
    "BENCH_FOLDER",
    "DEFAULT_MODEL",
    "ENVIRONMENT_PREFIX",
    "LOCAL_DATASET",
    "OLLAMA_MODEL",
    "QUICKSTART_MODEL",
    "REPOSITORY_FILE",
    "RUNS_FOLDER",
    "SEVEN_PROJECTIONS",
    "SHIPPED_DATASETS",
    "TABLES",
    "AdapterKind",
    "Backend",
    "BenchConfig",
    "BuildConfig",
    "CurateConfig",
    "EngineName",
    "ExtractConfig",
    "FuseConfig",
    "Mode",
    "OllamaConfig",
    "OllamaForm",
    "OpinionConfig",
    "PersonalConfig",
    "Profile",
    "PromptName",
    "Quantization",
    "QuantizeBase",
    "ServeConfig",
    "SuggestConfig",
    "SuggestEngine",
    "Tracker",
    "TrainConfig",
    "default_of",
    "flag",
    "flag_of",
    "help_of",
    "read_file",
    "resolve",
    "user_file",
]
