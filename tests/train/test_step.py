"""Loss and gradients are those of mlx-lm with its mask corrected, whatever is left out of the computation."""

import pytest
from mlx_lm.models import llama
from tiny_training import EXAMPLES, SHAPE, tiny

from joco_mlx.errors import InputError
from joco_mlx.models.compute import mx, nn, trees
from joco_mlx.train.batches import make_batch
from joco_mlx.train.mlx_lora import forward
from joco_mlx.train.mlx_lora.step import answer_loss


def reference_loss(model, examples):
    """mlx-lm's `tuner.trainer.default_loss` with `<` in place of its `<=`, which trains the first padding token."""
    length = max(len(item.ids) for item in examples)
    batch = mx.array([[*item.ids, *[0] * (length - len(item.ids))] for item in examples])
    lengths = mx.array([[len(item.prompt), len(item.ids)] for item in examples])
    logits, targets = model(batch[:, :-1]), batch[:, 1:]
    steps = mx.arange(1, targets.shape[1] + 1)
    mask = mx.logical_and(steps >= lengths[:, 0:1], steps < lengths[:, 1:])
    return (nn.losses.cross_entropy(logits, targets) * mask).astype(mx.float32).sum() / mask.sum()


def our_loss(model, examples, *, checkpointing=False):
    batch = make_batch(examples)
    arrays = map(mx.array, (batch.ids, batch.rows, batch.targets, batch.weights))
    return answer_loss(model, *arrays, checkpointing=checkpointing) / batch.tokens


def compared(model, ours, theirs):
    """Relative difference of the losses, and the largest of the gradients as a share of the largest entry."""
    parameters = model.trainable_parameters()
    our_value, our_gradient = nn.value_and_grad(model, ours)(model)
    model.update(parameters)  # checkpointing leaves traced arrays behind
    value, gradient = nn.value_and_grad(model, theirs)(model)
    pairs = dict(trees.tree_flatten(our_gradient)), dict(trees.tree_flatten(gradient))
    assert pairs[0].keys() == pairs[1].keys()
    largest = max(float(mx.abs(array).max()) for array in pairs[1].values())
    apart = max(float(mx.abs(pairs[0][name] - array).max()) for name, array in pairs[1].items())
    return abs(our_value.item() / value.item() - 1), apart / largest


@pytest.mark.parametrize("kind", ["qwen2", "llama"])
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("bits", [None, 4], ids=["dense", "4-bit"])
@pytest.mark.parametrize("device", ["cpu", "metal"])
@pytest.mark.parametrize("checkpointing", [False, True], ids=["kept", "checkpointed"])
def test_loss_and_gradients_equal_the_corrected_reference(monkeypatch, kind, tied, bits, device, checkpointing):
    monkeypatch.setattr(forward, "device_kind", lambda: device)
    model = tiny(kind, tied=tied, bits=bits)
    loss, gradients = compared(
        model,
        lambda model: our_loss(model, EXAMPLES, checkpointing=checkpointing),
        lambda model: reference_loss(model, EXAMPLES),
    )
    assert loss < 1e-5
    assert gradients < 1e-5


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("llama", {"attention_bias": True, "mlp_bias": True}),
        ("llama", {"rope_scaling": {"type": "linear", "factor": 4.0}}),
        ("llama", {"rope_traditional": True}),
        ("qwen2", {"layers": 1}),
    ],
    ids=["biased", "linear-rope", "traditional-rope", "top-layer-only"],
)
def test_variants_of_the_architectures(kind, more):
    model = tiny(kind, **more)
    loss, gradients = compared(
        model, lambda model: our_loss(model, EXAMPLES), lambda model: reference_loss(model, EXAMPLES)
    )
    assert loss < 1e-5
    assert gradients < 1e-5


def test_the_stock_mask_of_mlx_lm_is_another_loss():
    """What is corrected matters: with `<=` the first padding token counts."""
    from mlx_lm.tuner.trainer import default_loss

    model, first = tiny(), EXAMPLES[0]
    padded = mx.array([[*first.ids, 0, 0]])
    stock, tokens = default_loss(model, padded, mx.array([[len(first.prompt), len(first.ids)]]))
    assert tokens.item() == len(first.answer) + 1
    assert abs(stock.item() / our_loss(model, [first]).item() - 1) > 1e-3


def test_padding_does_not_change_the_loss():
    model = tiny()
    alone = [our_loss(model, [item]).item() * len(item.answer) for item in EXAMPLES]
    together = our_loss(model, EXAMPLES).item() * sum(len(item.answer) for item in EXAMPLES)
    assert together == pytest.approx(sum(alone), rel=1e-6)


def test_adapters_work_in_the_activations_dtype_and_learn_in_float32():
    model = tiny(dtype=mx.bfloat16)
    loss, gradient = nn.value_and_grad(model, lambda model: our_loss(model, EXAMPLES))(model)
    assert loss.dtype == mx.float32
    assert {array.dtype for _, array in trees.tree_flatten(gradient)} == {mx.float32}
    assert loss.item() == pytest.approx(reference_loss(model, EXAMPLES).item(), rel=2e-2)


@pytest.mark.parametrize("module", [llama], ids=["llama"])
def test_sliding_windows_are_refused(module):
    arguments = module.ModelArgs(
        model_type="llama", layer_types=["full_attention", "full_attention", "sliding_attention"], sliding_window=8,
        **SHAPE,
    )  # fmt: skip
    with pytest.raises(InputError, match="llama with sliding-window attention"):
        forward.check_supported(module.Model(arguments))
