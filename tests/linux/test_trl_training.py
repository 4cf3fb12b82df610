"""TRL really trains, on a CPU: float32 and nf4, the run folder, the adapter, Ctrl-C and going on."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rows_fixture import make_base, make_data
from torch_fixture import difference, mlx_logits, note, peft, torch, torch_logits

from joco_mlx.config import FuseConfig, TrainConfig
from joco_mlx.errors import InputError, StoppedError, UsageError
from joco_mlx.export import export_run
from joco_mlx.models.folder import open_folder
from joco_mlx.models.load import load_model
from joco_mlx.models.runs import open_run
from joco_mlx.progress import Silent
from joco_mlx.train.backends import dispatch, torch_model, torch_run, torch_watch
from joco_mlx.train.live_run import METRICS
from joco_mlx.train.mlx_lora.step import rate_at

STEPS = 6
CLOSE = 1e-5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("trl")
    make_base(made / "model")
    make_data(made / "data", count=24, validation=4)
    return made


def config(folder: Path, out: str, **changes: Any) -> TrainConfig:
    settings: dict[str, Any] = {
        "model": str(folder / "model"), "data": folder / "data", "out": folder / out, "steps": STEPS, "rank": 4,
        "alpha": 8.0, "grad_accumulation": 2, "max_seq_length": 320, "learning_rate": 0.01, "warmup_steps": 2,
        "save_every": 2, "eval_every": 3, "backend": "trl",
    }  # fmt: skip
    return TrainConfig(**{**settings, **changes})


def losses(run: Path) -> list[float]:
    return [line["loss"] for line in lines(run) if "loss" in line]


def lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / METRICS).read_text().splitlines()]


@pytest.fixture(scope="module")
def unbroken(folder: Path) -> Path:
    return dispatch.train(config(folder, "unbroken", dropout=0.1)).folder


def test_it_learns_and_writes_the_run_folder_that_mlx_writes(folder: Path, unbroken: Path) -> None:
    by_mlx = dispatch.train(config(folder, "by-mlx", backend="mlx", samples=0)).folder
    ours = {path.relative_to(unbroken).parts[0] for path in unbroken.iterdir()}
    assert ours == {path.relative_to(by_mlx).parts[0] for path in by_mlx.iterdir()}
    assert losses(unbroken)[-1] < losses(unbroken)[0]
    for found, expected in zip(lines(unbroken), lines(by_mlx), strict=True):
        assert found.keys() == expected.keys()
        for name in ("step", "epoch", "tokens", "val_records"):
            assert found.get(name) == expected.get(name)
    run = open_run(unbroken)
    assert (run.is_finished, run.config.backend) == (True, "trl")
    assert run.document["versions"]["trl"]
    assert run.document["trained_in"] == {"device": "cpu", "precision": "float32", "quantization": None}


def test_the_learning_rate_is_that_of_mlx(unbroken: Path) -> None:
    from joco_mlx.models.compute import mx

    for line in lines(unbroken):
        if "loss" in line:
            expected = float(rate_at(mx.array(line["step"] - 1.0), 0.01, 2, STEPS).item())
            assert line["learning_rate"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("kind", ["lora", "rslora", "dora"])
@pytest.mark.parametrize("quantise", ["none", "nf4"])
def test_the_adapter_gives_the_same_logits_in_mlx(folder: Path, kind: str, quantise: str) -> None:
    name = f"{kind}-{quantise}"
    made = dispatch.train(config(folder, name, adapter=kind, quantize_base=quantise, eval_every=6, steps=3))
    run = open_run(made.folder)
    base = open_folder(folder / "model")
    model = dense(folder / "model")
    checkpoint = max((made.folder / "checkpoints").iterdir())
    expected = torch_logits(peft.PeftModel.from_pretrained(model, checkpoint))
    found = difference(mlx_logits(load_model(base, adapter=run.adapter)), expected)
    record = json.loads((run.adapter / "adapter_config.json").read_text())["base"]
    assert record["quantization"] == (None if quantise == "none" else {"quant_method": "nf4"})
    note("trained", {"kind": kind, "base": quantise, "logits": found, "loss": losses(made.folder)})
    assert found < CLOSE


def dense(path: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)


class Notes(Silent):
    """Keeps what is noted."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_one_fuse_finishes_it_and_says_what_nf4_means(folder: Path, tmp_path: Path) -> None:
    made = dispatch.train(config(folder, "fused", quantize_base="nf4", steps=2))
    notes = Notes()
    done = export_run(FuseConfig(out=tmp_path / "out", quantization="q8_0"), open_run(made.folder), progress=notes)
    assert done.modelfile.is_file()
    (told,) = [text for text in notes.notes if "nf4" in text]
    assert "moves its weights by 9." in told


def test_a_validation_loss_that_is_no_number_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_watch, "validation_loss", lambda *_: float("nan"))
    with pytest.raises(InputError, match="The validation loss became nan after step 3") as problem:
        dispatch.train(config(folder, "diverged"))
    assert "--learning-rate (it is 0.01)" in problem.value.hint
    assert all(line["step"] <= 3 and "val_loss" not in line for line in lines(folder / "diverged"))


@pytest.fixture
def stopping_after(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Make Ctrl-C come after some steps."""
    from contextlib import contextmanager

    def stop(steps: int) -> None:
        asked = iter([False] * steps + [True] * 100)

        @contextmanager
        def interrupted() -> Iterator[Any]:
            answers = [False]

            def stopped() -> bool:
                answers.append(answers[-1] or next(asked))
                return answers[-1]

            yield stopped

        monkeypatch.setattr(torch_run, "deferred_interrupts", interrupted)

    yield stop
    monkeypatch.undo()


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(
    folder: Path, unbroken: Path, stopping_after: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopping_after(2)
    with pytest.raises(StoppedError, match="after step 3 of 6"):
        dispatch.train(config(folder, "stopped", dropout=0.1))
    monkeypatch.undo()
    torch.manual_seed(999)
    made = dispatch.resume(folder / "stopped")
    assert losses(made.folder) == losses(unbroken)
    stored = [(path / "adapters" / "adapters.safetensors").read_bytes() for path in (made.folder, unbroken)]
    assert stored[0] == stored[1]


def test_a_checkpoint_that_is_not_whole_is_passed_over(folder: Path, unbroken: Path, stopping_after: Any) -> None:
    stopping_after(4)
    with pytest.raises(StoppedError):
        dispatch.train(config(folder, "cut", dropout=0.1))
    (folder / "cut" / "checkpoints" / "checkpoint-5" / "joco-mlx-position.json").unlink()
    stopping_after(99)
    made = dispatch.resume(folder / "cut")
    assert losses(made.folder) == losses(unbroken)


def test_a_base_of_mlx_is_read_from_its_codes(tmp_path: Path) -> None:
    from models_fixture import make_model

    path = make_model(tmp_path / "model", "qwen2", quantised={"group_size": 32, "bits": 4}, layers=2)
    made = torch_model.load(open_folder(path), TrainConfig(model=str(path), rank=4))
    assert made.quantization is None
    assert difference(torch_logits(made.model), mlx_logits(load_model(open_folder(path)))) < CLOSE
    with pytest.raises(UsageError, match="quantised by MLX already"):
        torch_model.load(open_folder(path), TrainConfig(quantize_base="nf4"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"target_modules": ("no_proj",)}, "--target-modules"),
        ({"layers": 9}, "--layers is 9"),
        ({"type_weight": 2.0}, "--type-weight is 2"),
    ],
)
def test_settings_that_cannot_be_are_refused(folder: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        dispatch.train(replace(config(folder, "refused"), **changes))
    assert not (folder / "refused").exists()
