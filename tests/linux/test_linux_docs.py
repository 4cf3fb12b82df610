"""The snippets of docs/linux.md: the plain Trainer runs, the one of Unsloth is held to the installed signatures."""

import ast
import os
import re
from pathlib import Path

import pytest
from rows_fixture import make_base, make_data
from test_keywords import named, parameters, unsloth_source
from torch_fixture import note, trl

from joco_mlx.adapters.adopt import adopt
from joco_mlx.config import FuseConfig, TrainConfig
from joco_mlx.export import export_run
from joco_mlx.models.runs import open_run
from joco_mlx.progress import Silent
from joco_mlx.train.backends import axolotl

PAGE = Path(__file__).parents[2] / "docs" / "linux.md"


def snippet(word: str) -> str:
    """The Python block that has a word in it."""
    found = [block for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if word in block]
    assert len(found) == 1
    return found[0]


def test_the_plain_trainer_runs_and_one_fuse_finishes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    base, data = make_base(tmp_path / "base"), make_data(tmp_path / "data", count=8)
    axolotl.write(TrainConfig(model=str(base), data=data, max_seq_length=320, rank=16), tmp_path / "job")
    program = snippet("DataCollatorForSeq2Seq")
    program = program.replace("Qwen/Qwen2.5-Coder-1.5B-Instruct", str(base)).replace("STEPS = 100", "STEPS = 2")
    exec(compile(program, str(PAGE), "exec"), {"__name__": "docs"})
    adopt(tmp_path / "job" / "outputs", out=tmp_path / "run")
    run = open_run(tmp_path / "run")
    assert (run.config.rank, run.config.max_seq_length, run.dataset.records) == (16, 320, 8)
    made = export_run(FuseConfig(out=tmp_path / "out", quantization="q8_0"), run, progress=Silent())
    assert os.path.getsize(made.gguf.path) > 0
    note("docs", {"snippet": "the plain Trainer, adopted and exported", "ran": True})


def keywords(program: str, function: str) -> set[str]:
    """Keywords of a call in a program."""
    calls = [node for node in ast.walk(ast.parse(program)) if isinstance(node, ast.Call)]
    found = [call for call in calls if ast.unparse(call.func).endswith(function)]
    assert found
    return {str(word.arg) for call in found for word in call.keywords}


def test_the_snippet_of_unsloth_names_what_there_is() -> None:
    program = snippet("FastLanguageModel")
    assert keywords(program, "SFTConfig") <= named(trl.SFTConfig.__init__)
    assert keywords(program, "SFTTrainer") <= named(trl.SFTTrainer.__init__)
    package = unsloth_source()
    if package is None:
        pytest.skip("needs Unsloth's source; scripts/prove linux unpacks its wheel")
    loading = parameters(package / "models" / "loader.py", "FastLanguageModel", "from_pretrained")
    adapting = parameters(package / "models" / "llama.py", "FastLlamaModel", "get_peft_model")
    assert keywords(program, "from_pretrained") <= loading
    assert keywords(program, "get_peft_model") <= adapting
