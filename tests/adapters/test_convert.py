"""PEFT's adapters to mlx-lm's layout and back: names, axes, scale, bytes, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from adapter_fixture import random_adapter
from models_fixture import make_model
from peft_fixture import HIDDEN, LAYERS, MODULES, peft_adapter
from typer.testing import CliRunner

from joco_mlx.adapters.convert import CONFIG, convert
from joco_mlx.cli.main import app
from joco_mlx.errors import ConflictError, InputError
from joco_mlx.merge.tensorfile import read_header
from joco_mlx.models.compute import mx
from joco_mlx.models.folder import open_folder
from joco_mlx.models.load import load_model


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("base") / "model", "qwen2", dtype="float32", layers=LAYERS)


def stored(file: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    return {name: (entry.dtype, entry.shape, entry.rows().tobytes()) for name, entry in read_header(file).items()}


def dense_change(adapter: Path, module: str, scale: float) -> np.ndarray:
    """What a PEFT adapter adds to a weight, by PEFT's own formula."""
    found = {name: entry.floats() for name, entry in read_header(adapter / "adapter_model.safetensors").items()}
    name = f"base_model.model.{module}"
    return scale * found[f"{name}.lora_B.weight"] @ found[f"{name}.lora_A.weight"]


@pytest.mark.parametrize(
    ("changes", "scale"),
    [
        pytest.param({}, 2.0, id="lora"),
        pytest.param({"use_rslora": True}, 4.0, id="rslora"),
        pytest.param({"lora_alpha": 5, "r": 4}, 1.25, id="alpha that is no multiple"),
    ],
)
def test_an_adapter_of_peft_changes_the_same_weights(
    tmp_path: Path, base: Path, changes: dict[str, Any], scale: float
) -> None:
    source = peft_adapter(tmp_path / "peft", **changes)
    made = convert(source, tmp_path / "mlx")
    assert (made.kind, made.scale, made.extent.layers) == ("lora", scale, (0, 1, 2))
    plain = {name: np.array(value) for name, value in weights_of(load_model(open_folder(base)))}
    adapted = load_model(open_folder(base), adapter=made.folder)
    for layer in range(LAYERS):
        for module in MODULES:
            name = f"model.layers.{layer}.{module}"
            lora = find(adapted, name)
            expected = plain[f"{name}.weight"] + dense_change(source, name, scale)
            assert np.abs(np.array(lora.fuse().weight) - expected).max() < 1e-5


def weights_of(model: Any) -> list[tuple[str, Any]]:
    from joco_mlx.models.compute import trees

    return trees.tree_flatten(model.parameters())


def find(model: Any, name: str) -> Any:
    for part in name.split("."):
        model = model[int(part)] if part.isdigit() else getattr(model, part)
    return model


@pytest.mark.parametrize("dtype", [mx.float32, mx.float16, mx.bfloat16], ids=["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("changes", [{}, {"use_rslora": True}, {"use_dora": True}], ids=["lora", "rslora", "dora"])
def test_there_and_back_gives_the_same_bytes(tmp_path: Path, dtype: Any, changes: dict[str, Any]) -> None:
    source = peft_adapter(tmp_path / "peft", dtype=dtype, lora_dropout=0.1, **changes)
    there = convert(source, tmp_path / "mlx")
    back = convert(there.folder, tmp_path / "back")
    assert stored(back.folder / "adapter_model.safetensors") == stored(source / "adapter_model.safetensors")
    assert (back.kind, back.rank, back.scale, back.dropout) == (there.kind, 4, there.scale, 0.1)
    again = convert(back.folder, tmp_path / "again")
    for name in ("adapters.safetensors", CONFIG):
        assert (again.folder / name).read_bytes() == (there.folder / name).read_bytes()


@pytest.mark.parametrize("scale", [2.0, 1 / 3, 0.1, 4 / 3, 16 / 12**0.5])
@pytest.mark.parametrize("rank", [3, 7, 12, 48])
def test_the_scale_survives_any_rank_but_for_its_last_bit(tmp_path: Path, base: Path, scale: float, rank: int) -> None:
    keys = ["mlp.up_proj"]
    source = random_adapter(base, tmp_path / "mlx", rank=rank, scale=scale, layers=1, keys=keys)
    there = convert(source, tmp_path / "peft")
    assert convert(there.folder, tmp_path / "back").scale == pytest.approx(scale, rel=2e-16)


def test_adapters_of_the_last_layers_name_them_to_peft(tmp_path: Path, base: Path) -> None:
    source = random_adapter(base, tmp_path / "mlx", layers=2)
    made = convert(source, tmp_path / "peft")
    config = json.loads((made.folder / CONFIG).read_text())
    assert config["layers_to_transform"] == [1, 2]
    assert config["target_modules"] == [
        "down_proj", "gate_proj", "up_proj", "k_proj", "o_proj", "q_proj", "v_proj",
    ]  # fmt: skip
    assert json.loads((convert(made.folder, tmp_path / "back").folder / CONFIG).read_text())["num_layers"] == 2


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        pytest.param({"rank_pattern": {"q_proj": 2}}, "rank_pattern", id="rank by module"),
        pytest.param({"alpha_pattern": {"q_proj": 2}}, "alpha_pattern", id="alpha by module"),
        pytest.param({"modules_to_save": ["lm_head"]}, "modules_to_save", id="whole modules"),
        pytest.param({"bias": "lora_only"}, "bias 'lora_only'", id="biases"),
        pytest.param({"lora_bias": True}, "lora_bias", id="biases of the factors"),
        pytest.param({"fan_in_fan_out": True}, "fan_in_fan_out", id="transposed weights"),
        pytest.param({"layer_replication": [[0, 2]]}, "layer_replication", id="more layers"),
        pytest.param({"trainable_token_indices": [3]}, "trainable_token_indices", id="single embeddings"),
        pytest.param({"target_parameters": ["experts"]}, "target_parameters", id="parameters"),
        pytest.param({"init_lora_weights": "pissa"}, "init_lora_weights 'pissa'", id="a changed base"),
        pytest.param({"task_type": "SEQ_CLS"}, "task_type 'SEQ_CLS'", id="another task"),
        pytest.param({"use_qalora": True}, "use_qalora", id="pooled inputs"),
        pytest.param({"of_tomorrow": {"a": 1}}, "of_tomorrow", id="a feature of a later PEFT"),
        pytest.param({"peft_type": "LOHA"}, "type 'LOHA'", id="no LoRA"),
        pytest.param({"r": 0}, "r 0", id="rank of nothing"),
        pytest.param({"lora_alpha": "much"}, "lora_alpha 'much'", id="alpha that is no number"),
        pytest.param({"r": 3}, "rank 3", id="another rank than the tensors"),
    ],
)
def test_what_mlx_does_not_have_is_refused_by_name(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    source = peft_adapter(tmp_path / "peft")
    config = json.loads((source / CONFIG).read_text())
    (source / CONFIG).write_text(json.dumps(config | changes))
    with pytest.raises(InputError, match=named) as refused:
        convert(source, tmp_path / "mlx")
    assert refused.value.hint
    assert not (tmp_path / "mlx").exists()


def test_what_is_switched_off_is_not_refused(tmp_path: Path) -> None:
    off = {"rank_pattern": {}, "modules_to_save": None, "lora_bias": False, "of_tomorrow": None, "exclude_modules": "x"}
    assert convert(peft_adapter(tmp_path / "peft", **off), tmp_path / "mlx").rank == 4


def test_layers_with_gaps_are_refused(tmp_path: Path) -> None:
    source = peft_adapter(tmp_path / "peft")
    path = source / "adapter_model.safetensors"
    kept = {name: array for name, array in mx.load(str(path)).items() if "layers.1.self_attn.k_proj" not in name}
    mx.save_safetensors(str(path), kept)
    with pytest.raises(InputError, match=r"self_attn.q_proj in layer 1, but self_attn.k_proj, self_attn.q_proj in"):
        convert(source, tmp_path / "mlx")


def test_the_lowest_layers_are_not_taken_for_the_last(tmp_path: Path, base: Path) -> None:
    """mlx-lm's layout counts layers from the top; a base of three layers would get these two in the wrong place."""
    source = peft_adapter(tmp_path / "peft", layers=range(2), layers_to_transform=[0, 1])
    with pytest.raises(InputError, match="layers_to_transform from the first layer on"):
        convert(source, tmp_path / "mlx")
    middle = peft_adapter(tmp_path / "middle", layers=range(1, 2), layers_to_transform=1)
    made = convert(middle, tmp_path / "middle-mlx")  # of a model of two layers, for all that it says
    with pytest.raises(InputError, match="does not fit"):
        load_model(open_folder(base), adapter=made.folder)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("base_model.model.lm_head.lora_A.weight", "lm_head"),
        ("base_model.model.model.embed_tokens.lora_embedding_A", "lora_embedding_A"),
        ("base_model.model.model.layers.0.mlp.up_proj.lora_A.weight", "lora_b missing"),
    ],
)
def test_a_tensor_that_has_no_place_is_refused(tmp_path: Path, name: str, said: str) -> None:
    source = peft_adapter(tmp_path / "peft")
    path = source / "adapter_model.safetensors"
    mx.save_safetensors(str(path), {**mx.load(str(path)), name: mx.zeros((4, HIDDEN))})
    with pytest.raises(InputError, match=said):
        convert(source, tmp_path / "mlx")


def test_a_folder_without_an_adapter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no adapter"):
        convert(tmp_path, tmp_path / "out")


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    source = peft_adapter(tmp_path / "peft")
    convert(source, tmp_path / "mlx")
    with pytest.raises(ConflictError, match="exists already"):
        convert(source, tmp_path / "mlx")
    assert convert(source, tmp_path / "mlx", force=True).rank == 4


def test_the_command_converts_and_says_what_came_out(tmp_path: Path) -> None:
    peft_adapter(tmp_path / "peft", use_dora=True)
    words = ["adapters", "convert", str(tmp_path / "peft"), str(tmp_path / "mlx"), "--json"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["form"], told["kind"], told["rank"], told["layers"]) == ("mlx", "dora", 4, 3)
    assert (tmp_path / "mlx" / "adapters.safetensors").is_file()
