"""Adapters that the real PEFT wrote: equal logits in MLX, equal when fused, and the same bytes when they come back."""

from pathlib import Path
from typing import Any

import pytest
from models_fixture import make_model
from torch_fixture import difference, mlx_logits, note, peft, torch, torch_logits

from joco_mlx.adapters.convert import TENSORS, convert
from joco_mlx.errors import InputError
from joco_mlx.merge import open_merged
from joco_mlx.merge.tensorfile import read_header
from joco_mlx.models.folder import open_folder
from joco_mlx.models.load import load_model

SEVEN = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
KINDS = {
    "lora": {},
    "rslora": {"use_rslora": True},
    "dora": {"use_dora": True},
    "lora of the last layers": {"layers_to_transform": [1, 2]},
}
CLOSE = 1e-5


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("base") / "model", "qwen2", dtype="float32", layers=3)


def dense(base: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)


def adapted(base: Path, **kind: Any) -> Any:
    """A model of PEFT whose adapter changes something."""
    torch.manual_seed(1)
    config = peft.LoraConfig(r=6, lora_alpha=16, target_modules=SEVEN, task_type="CAUSAL_LM", **kind)
    model = peft.get_peft_model(dense(base), config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
            if "magnitude" in name:
                parameter.mul_(1 + 0.1 * torch.rand_like(parameter))
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_logits_and_fused_weights_are_equal_and_the_bytes_come_back(tmp_path: Path, base: Path, kind: str) -> None:
    model = adapted(base, **KINDS[kind])
    expected = torch_logits(model)
    model.save_pretrained(tmp_path / "peft")
    made = convert(tmp_path / "peft", tmp_path / "mlx")
    logits = difference(mlx_logits(load_model(open_folder(base), adapter=made.folder)), expected)
    fused = fused_difference(base, made.folder, model)
    back = convert(made.folder, tmp_path / "back").folder
    assert contents(back) == contents(tmp_path / "peft")
    again = difference(torch_logits(peft.PeftModel.from_pretrained(dense(base), back)), expected)
    note("peft", {"kind": kind, "logits": logits, "fused": fused, "back": again})
    assert max(logits, fused, again) < CLOSE


def fused_difference(base: Path, adapter: Path, model: Any) -> float:
    """Our merged weights beside PEFT's own merge."""
    merged = model.merge_and_unload().state_dict()
    ours = open_merged(base, adapter)
    return max(difference(ours.read(name), merged[name].numpy()) for name in ours.names())


def contents(adapter: Path) -> dict[str, tuple[str, bytes]]:
    entries = read_header(adapter / TENSORS["peft"])
    return {name: (entry.dtype, entry.rows().tobytes()) for name, entry in entries.items()}


def test_an_adapter_in_bfloat16_is_read_without_torch(tmp_path: Path, base: Path) -> None:
    model = adapted(base)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.bfloat16)
    model.save_pretrained(tmp_path / "peft")
    for parameter in model.parameters():
        parameter.data = parameter.data.float()
    made = convert(tmp_path / "peft", tmp_path / "mlx")
    assert {entry.dtype for entry in read_header(made.folder / TENSORS["mlx"]).values()} == {"BF16"}
    found = mlx_logits(load_model(open_folder(base), adapter=made.folder))
    assert difference(found, torch_logits(model)) < CLOSE


@pytest.mark.parametrize(
    ("feature", "options"),
    [
        ("rank_pattern", {"rank_pattern": {"q_proj": 2}}),
        ("alpha_pattern", {"alpha_pattern": {"q_proj": 2}}),
        ("modules_to_save", {"modules_to_save": ["lm_head"]}),
        ("bias", {"bias": "lora_only"}),
        ("lora_bias", {"lora_bias": True}),
        ("init_lora_weights", {"init_lora_weights": "olora"}),
        ("trainable_token_indices", {"trainable_token_indices": [3]}),
    ],
)
def test_what_the_real_peft_writes_of_other_features_is_refused(
    tmp_path: Path, base: Path, feature: str, options: dict[str, Any]
) -> None:
    config = peft.LoraConfig(r=4, target_modules=["q_proj"], task_type="CAUSAL_LM", **options)
    peft.get_peft_model(dense(base), config).save_pretrained(tmp_path / "peft")
    with pytest.raises(InputError, match=feature):
        convert(tmp_path / "peft", tmp_path / "mlx")
