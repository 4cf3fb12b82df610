"""What the tests with real torch share. They run in the environment of `scripts/prove linux`; elsewhere they skip."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

REASON = "needs torch, TRL and PEFT; scripts/prove linux makes an environment with them"
torch: Any = pytest.importorskip("torch", reason=REASON)
peft: Any = pytest.importorskip("peft", reason=REASON)
trl: Any = pytest.importorskip("trl", reason=REASON)

IDS = [[5, 9, 200, 33, 7, 81, 400, 12, 60, 61, 62, 350, 17]]
"""A text for a tiny model."""


def note(name: str, value: Any) -> None:
    """Keep a figure for docs/results.md, where the proof asks for figures."""
    file = os.environ.get("JOCO_FIGURES")
    if file:
        with Path(file).open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"name": name, "value": value}) + "\n")


def torch_logits(model: Any) -> Any:
    """Logits of IDS as a NumPy array."""
    model.eval()
    with torch.no_grad():
        return model(input_ids=torch.tensor(IDS, device=model.device)).logits.float().cpu().numpy()


def mlx_logits(model: Any) -> Any:
    """The same from MLX."""
    import numpy as np

    from joco_mlx.models.compute import mx

    return np.array(model(mx.array(IDS)).astype(mx.float32))


def difference(found: Any, expected: Any) -> float:
    """The largest difference as a share of the largest number."""
    import numpy as np

    return float(np.abs(found - expected).max() / np.abs(expected).max())
