"""Running a part of the model so that its backward pass computes the part again in place of keeping its inner results.

Decides what `mx.checkpoint` is given: it has gradients only for its arguments, and refuses integers.
"""

from collections.abc import Callable, Sequence
from typing import Any

from joco_mlx.models.compute import mx

Run = Callable[..., Any]
"""How a part is run: its modules, a function, and the arrays that the function takes."""


def kept(_modules: Sequence[Any], call: Run, *inputs: Any) -> Any:
    """Run a part, all of whose results stay for the backward pass."""
    return call(*inputs)


def again(modules: Sequence[Any], call: Run, *inputs: Any) -> Any:
    """Run a part so that its inner results are computed again when its gradient is.

    Args:
        modules: Every module whose adapters `call` uses; they are passed in, so that they get gradients.
        call: The part. Integers that it needs are closed over.
        inputs: Arrays that may have gradients.
    """
    outer = [module.trainable_parameters() for module in modules]

    def put(parameters: Sequence[Any]) -> None:
        for module, own in zip(modules, parameters, strict=True):
            module.update(own)

    def inner(parameters: Sequence[Any], *values: Any) -> Any:
        put(parameters)
        result = call(*values)
        put(outer)
        return result

    return mx.checkpoint(inner)(outer, *inputs)
