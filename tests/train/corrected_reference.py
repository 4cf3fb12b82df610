"""What our loss and gradients are compared with: mlx-lm's own forward pass and loss, its mask corrected."""

from joco_mlx.models.compute import mx, nn, trees
from joco_mlx.train.batches import make_batch
from joco_mlx.train.mlx_lora.step import answer_loss


def reference_loss(model, examples, logits_of=None):
    """mlx-lm's `tuner.trainer.default_loss` with `<` in place of its `<=`, which trains the first padding token.

    `logits_of` may stand in for the model: [batch, length] ids -> [batch, length, vocabulary].
    """
    length = max(len(item.ids) for item in examples)
    batch = mx.array([[*item.ids, *[0] * (length - len(item.ids))] for item in examples])
    lengths = mx.array([[len(item.prompt), len(item.ids)] for item in examples])
    logits, targets = (logits_of or model)(batch[:, :-1]), batch[:, 1:]
    steps = mx.arange(1, targets.shape[1] + 1)
    mask = mx.logical_and(steps >= lengths[:, 0:1], steps < lengths[:, 1:])
    return (nn.losses.cross_entropy(logits, targets) * mask).astype(mx.float32).sum() / mask.sum()


def arrays(examples):
    """What `answer_loss` takes after the model, and how many tokens are trained on."""
    batch = make_batch(examples)
    return [mx.array(part) for part in (batch.ids, batch.rows, batch.targets, batch.weights)], batch.tokens


def our_loss(model, examples, *, checkpointing="none"):
    """`answer_loss` per token."""
    batch, tokens = arrays(examples)
    return answer_loss(model, *batch, checkpointing=checkpointing) / tokens


def gradients(model, loss):
    """Return the value of `loss(model)` and name -> gradient; the model keeps its own adapters."""
    parameters = model.trainable_parameters()
    value, found = nn.value_and_grad(model, loss)(model)
    model.update(parameters)
    found = dict(trees.tree_flatten(found))
    mx.eval(value, found)
    return value.item(), found


def apart(ours, theirs):
    """Relative difference of two losses, and the largest of their gradients as a share of the largest entry."""
    (our_value, our_gradients), (value, wanted) = ours, theirs
    assert our_gradients.keys() == wanted.keys()
    largest = max(float(mx.abs(array).max()) for array in wanted.values())
    difference = max(float(mx.abs(our_gradients[name] - array).max()) for name, array in wanted.items())
    return abs(our_value / value - 1), difference / largest


def compared(model, ours, theirs):
    """Compare two losses of a model, and their gradients, as `apart` does."""
    return apart(gradients(model, ours), gradients(model, theirs))
