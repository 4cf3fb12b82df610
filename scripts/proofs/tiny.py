"""A tiny random model with the real Qwen2 vocabulary: whatever it says in form comes from a grammar."""

import importlib
import sys
from pathlib import Path

from results import ROOT


def tiny_model(folder: Path) -> Path:
    """Make the model below `folder`, as the tests do, and return its folder."""
    sys.path.insert(0, str(ROOT / "tests"))
    fixture = importlib.import_module("models_fixture")
    (folder / "tokenizer").mkdir()
    fixture.save_tokenizer(fixture.qwen_tokenizer(), folder / "tokenizer", "qwen2")
    return Path(fixture.make_model(folder / "tiny", "qwen2", tokenizer=folder / "tokenizer", dtype="float32"))
