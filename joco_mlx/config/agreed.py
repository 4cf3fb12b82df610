"""Names, places and lengths that several stages agree on."""

from pathlib import Path

DEFAULT_MODEL = "qwen2.5-coder-1.5b-instruct"
QUICKSTART_MODEL = "smollm2-135m"
"""Needs no model hub."""
RUNS_FOLDER = Path("runs")
BENCH_FOLDER = RUNS_FOLDER / "bench"
LOCAL_DATASET = Path("dataset")
SHIPPED_DATASETS = (Path(__file__).parents[2] / "dataset",)
"""Where the dataset that ships lies in a checkout; `models.shipped` knows of the one in a wheel."""
ANSWER_TOKENS = 128
OLLAMA_MODEL = "joco"
"""The name under which Ollama is looked in when nobody says which model answers."""
