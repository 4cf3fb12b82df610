"""Loss and gradients are those of mlx-lm with its mask corrected, whatever is left out of the computation."""

import gc
import io
from typing import get_args

import pytest
from corrected_reference import compared, our_loss, reference_loss
from tiny_training import EXAMPLES, example, tiny

from joco_mlx.models.compute import mx, nn, trees
from joco_mlx.models.memory import Checkpointing
from joco_mlx.train.batches import make_batch
from joco_mlx.train.mlx_lora import forward
from joco_mlx.train.mlx_lora import step as step_module
from joco_mlx.train.mlx_lora.lora import adapter_tensors
from joco_mlx.train.mlx_lora.step import Step, make_optimizer, rate_at

FORMS = get_args(Checkpointing)


def assert_equals_the_reference(model, checkpointing):
    """Loss and gradients are those of the corrected reference."""
    loss, gradients = compared(
        model,
        lambda model: our_loss(model, EXAMPLES, checkpointing=checkpointing),
        lambda model: reference_loss(model, EXAMPLES),
    )
    assert loss < 1e-5
    assert gradients < 1e-5


@pytest.mark.parametrize("kind", ["qwen2", "llama"])
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("bits", [None, 4], ids=["dense", "4-bit"])
@pytest.mark.parametrize("device", ["cpu", "metal"])
@pytest.mark.parametrize("checkpointing", FORMS)
def test_loss_and_gradients_equal_the_corrected_reference(monkeypatch, kind, tied, bits, device, checkpointing):
    monkeypatch.setattr(forward, "device_kind", lambda: device)
    assert_equals_the_reference(tiny(kind, tied=tied, bits=bits), checkpointing)


def quantised_matmuls(model, checkpointing):
    """How many quantised matmuls one step executes: those that loss and gradients reach in the graph."""
    loss, gradients = nn.value_and_grad(model, lambda model: our_loss(model, EXAMPLES, checkpointing=checkpointing))(
        model
    )
    graph = io.StringIO()
    mx.export_to_dot(graph, loss, *(array for _, array in trees.tree_flatten(gradients)))
    return graph.getvalue().count('"QuantizedMatmul"')


@pytest.mark.parametrize("kind", ["qwen2", "llama"])
def test_segments_execute_no_base_matmul_twice(kind):
    model = tiny(kind, bits=4)
    kept = quantised_matmuls(model, "none")
    assert quantised_matmuls(model, "segments") == kept
    assert quantised_matmuls(model, "layer") > kept + 7


def test_attention_that_keeps_its_scores_is_run_once_more_without_a_base_matmul(monkeypatch):
    model = tiny(bits=4)
    whole = quantised_matmuls(model, "layer")
    monkeypatch.setattr(forward, "device_kind", lambda: "metal")
    assert quantised_matmuls(model, "layer") == whole


def test_scores_do_not_lie_beside_the_mlp(monkeypatch):
    """Scores of 4 heads at 768 positions are 9.4 MB; what the MLP keeps is about as much."""
    monkeypatch.setattr(forward, "device_kind", lambda: "metal")
    model, long = tiny(hidden_size=32, intermediate_size=1_024), [example(768, 9, 1)]

    def peak():
        mx.eval(model.parameters())
        gc.collect()
        mx.clear_cache()
        mx.reset_peak_memory()
        before = mx.get_active_memory()
        mx.eval(nn.value_and_grad(model, lambda model: our_loss(model, long, checkpointing="layer"))(model))
        return mx.get_peak_memory() - before

    sparing = peak()
    monkeypatch.setattr(forward, "_keeps_scores", lambda hidden: False)
    assert sparing < 0.85 * peak()


def test_the_model_keeps_its_own_adapters():
    """A checkpointed function puts its arguments into the model; after it the model holds what it held before."""
    model = tiny()
    before = adapter_tensors(model)
    for form in FORMS:
        our_loss(model, EXAMPLES, checkpointing=form)
        assert all(array is before[name] for name, array in adapter_tensors(model).items())


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
@pytest.mark.parametrize("checkpointing", FORMS)
def test_variants_of_the_architectures(kind, more, checkpointing):
    assert_equals_the_reference(tiny(kind, **more), checkpointing)


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


def stepped(batches, **options):
    """Adapters after one step over `batches`, and what the step measured."""
    model = tiny(**options)
    step = Step(model, make_optimizer(1e-2, 0, 10))
    for batch in batches:
        step.add(make_batch(batch))
    return adapter_tensors(model), step.update()


def test_accumulation_equals_one_big_batch():
    apart, in_parts = stepped([[EXAMPLES[0]], [EXAMPLES[1]]])
    together, at_once = stepped([EXAMPLES])
    assert in_parts.tokens == at_once.tokens == 44
    assert in_parts.loss == pytest.approx(at_once.loss, rel=1e-6)
    assert in_parts.gradient_norm == pytest.approx(at_once.gradient_norm, rel=1e-5)
    for name, array in together.items():
        assert mx.allclose(apart[name], array, atol=1e-5), name


def test_gradients_are_clipped_together(monkeypatch):
    """A first Adam step hides the gradient's size; its first moment does not."""
    monkeypatch.setattr(step_module, "MAXIMUM_GRADIENT_NORM", 0.01)
    model = tiny()
    step = Step(model, make_optimizer(1e-2, 0, 10))
    step.add(make_batch(EXAMPLES))
    measured = step.update()
    moments = [array / 0.1 for name, array in trees.tree_flatten(step.optimizer.state) if name.endswith(".m")]
    norm = float(mx.sqrt(sum((array**2).sum() for array in moments)))
    assert measured.gradient_norm > 0.05
    assert norm == pytest.approx(0.01, rel=1e-3)


def test_a_compiled_step_does_what_an_eager_one_does(monkeypatch):
    """On a GPU the step is compiled: over two updates of two shapes nothing may be held back or forgotten."""

    def two_steps():
        model = tiny(dropout=0.1, only=("o_proj",), num_hidden_layers=1)
        step = Step(model, make_optimizer(1e-2, 1, 10))
        measured = []
        for examples in ([EXAMPLES[0]], EXAMPLES):
            step.add(make_batch(examples))
            step.add(make_batch(examples))
            measured.append(step.update())
        return adapter_tensors(model), measured, mx.random.state[0].tolist()

    eager, seen, key = two_steps()
    monkeypatch.setattr(step_module, "device_kind", lambda: "metal")
    compiled, seen_compiled, key_compiled = two_steps()
    assert key_compiled == key
    for ours, theirs in zip(seen_compiled, seen, strict=True):
        assert ours.loss == pytest.approx(theirs.loss, rel=1e-5)
        assert ours.learning_rate == pytest.approx(theirs.learning_rate)
    for name, array in eager.items():
        assert mx.allclose(compiled[name], array, atol=1e-4), name


def test_the_learning_rate_rises_and_falls_linearly():
    rates = [float(rate_at(mx.array(float(step)), 1.0, 4, 10)) for step in range(10)]
    assert rates == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])


@pytest.mark.parametrize(("warmup", "steps"), [(0, 1), (5, 1), (5, 3)])
def test_short_runs_never_have_a_rate_of_zero(warmup, steps):
    assert all(float(rate_at(mx.array(float(step)), 1.0, warmup, steps)) > 0 for step in range(steps))
