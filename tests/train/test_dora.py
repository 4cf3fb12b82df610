"""DoRA: mlx-lm's gradients without the adapted matrix, its layout on disk, and its model when merged."""

import mlx_lm
import pytest
from corrected_reference import apart, arrays, gradients, our_loss, reference_loss
from mlx_lm.utils import load_model
from tiny_training import EXAMPLES, tiny

from joco_mlx.config import TrainConfig
from joco_mlx.models.compute import mx, nn, trees
from joco_mlx.train.batches import make_batch
from joco_mlx.train.mlx_lora import forward
from joco_mlx.train.mlx_lora.adapted import linear
from joco_mlx.train.mlx_lora.lora import adapter_tensors, add_adapters, save_adapters
from joco_mlx.train.mlx_lora.step import Step, answer_loss, make_optimizer

CONFIG = TrainConfig(rank=4, alpha=8.0, adapter="dora")
BASE = {"name": "tiny", "digest": "0" * 64}


@pytest.mark.parametrize(
    ("kind", "more"),
    [("qwen2", {}), ("llama", {}), ("llama", {"attention_bias": True, "mlp_bias": True})],
    ids=["qwen2", "llama", "llama-biased"],
)
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("bits", [None, 4], ids=["dense", "4-bit"])
def test_loss_and_gradients_are_mlx_lms_with_the_magnitudes(kind, more, tied, bits):
    model = tiny(kind, tied=tied, bits=bits, adapter="dora", **more)
    wanted = gradients(model, lambda model: reference_loss(model, EXAMPLES))
    assert sum(name.endswith(".m") for name in wanted[1]) == 3 * 7
    for form in ("none", "segments", "layer"):
        found = gradients(model, lambda model, form=form: our_loss(model, EXAMPLES, checkpointing=form))
        loss, difference = apart(found, wanted)
        assert loss < 1e-5
        assert difference < 1e-5


def test_the_magnitudes_gradients_alone_are_mlx_lms():
    """They are smaller than the factors', so they are also held to their own largest entry."""
    model = tiny(adapter="dora", bits=4)
    _, wanted = gradients(model, lambda model: reference_loss(model, EXAMPLES))
    _, found = gradients(model, lambda model: our_loss(model, EXAMPLES, checkpointing="segments"))
    names = [name for name in wanted if name.endswith(".m")]
    largest = max(float(mx.abs(wanted[name]).max()) for name in names)
    assert largest > 0
    assert max(float(mx.abs(found[name] - wanted[name]).max()) for name in names) < 1e-5 * largest


def test_a_trunk_apart_changes_nothing():
    model = tiny(adapter="dora", layers=1)
    batch, tokens = arrays(EXAMPLES)
    trunk = forward.trunk_output(model, batch[0])
    found = gradients(model, lambda model: answer_loss(model, *batch, trunk, checkpointing="segments") / tokens)
    loss, difference = apart(found, gradients(model, lambda model: reference_loss(model, EXAMPLES)))
    assert loss < 1e-5
    assert difference < 1e-5


@pytest.mark.parametrize("bits", [None, 4], ids=["dense", "4-bit"])
def test_one_layer_is_mlx_lms_in_bfloat16(bits):
    model = tiny(adapter="dora", bits=bits, dtype=mx.bfloat16, attention_bias=True, kind="llama")
    inputs = mx.random.normal((2, 5, 64)).astype(mx.bfloat16)
    for module in (model.layers[0].self_attn.q_proj, model.layers[2].mlp.gate_proj):
        ours, theirs = linear(module, inputs), module(inputs)
        assert ours.dtype == mx.bfloat16
        assert mx.allclose(ours.astype(mx.float32), theirs.astype(mx.float32), rtol=0.05, atol=0.05)


def test_training_starts_at_the_base_model(tiny_model):
    folder = tiny_model("qwen2", dtype="float32")
    model = load_model(folder)[0]
    add_adapters(model, CONFIG, BASE)
    ids = mx.arange(20)[None]
    logits = forward.answer_logits(model, ids, ids, checkpointing="none")
    assert mx.allclose(logits, load_model(folder)[0](ids), atol=1e-5)


def test_a_step_changes_the_magnitudes_and_nothing_of_the_base():
    model = tiny(adapter="dora")
    before = dict(trees.tree_flatten(model.parameters()))
    step = Step(model, make_optimizer(1e-2, 0, 10))
    step.add(make_batch(EXAMPLES))
    step.update()
    changed = {
        name.rsplit(".", 1)[1]
        for name, array in trees.tree_flatten(model.parameters())
        if not mx.array_equal(array, before[name])
    }
    assert changed == {"lora_a", "lora_b", "m"}


@pytest.mark.parametrize("quantised", [None, {"group_size": 32, "bits": 4}], ids=["dense", "4-bit"])
def test_mlx_lm_loads_what_is_saved_and_computes_the_same(tiny_model, tmp_path, quantised):
    folder = tiny_model("llama", dtype="float32", quantised=quantised)
    model = load_model(folder)[0]
    mx.random.seed(0)
    description = add_adapters(model, CONFIG, BASE)
    assert description["fine_tune_type"] == "dora"
    for number, (name, array) in enumerate(sorted(adapter_tensors(model).items())):
        noise = mx.random.normal(array.shape, key=mx.random.key(number)) * 0.05
        model.load_weights([(name, array + noise)], strict=False)
    save_adapters(model, description, tmp_path)
    theirs, _ = mlx_lm.load(str(folder), adapter_path=str(tmp_path))
    ids = mx.arange(30)[None]
    assert mx.array_equal(theirs(ids), model.eval()(ids))
    ours = forward.answer_logits(model, ids, ids, checkpointing="none")
    assert mx.allclose(ours, theirs(ids), atol=1e-4)
    assert not mx.allclose(ours, load_model(folder)[0](ids), atol=1e-2)


def test_no_tensor_of_the_base_becomes_trainable():
    names = [name for name, _ in trees.tree_flatten(tiny(adapter="dora").trainable_parameters())]
    assert {name.rsplit(".", 1)[1] for name in names} == {"lora_a", "lora_b", "m"}
    assert not any(isinstance(module, nn.Embedding) and module.trainable_parameters() for module in tiny().modules())
