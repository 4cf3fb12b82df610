"""What can be told to whoever makes files of a run, and a model in Ollama of those."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from joco_mlx.config.options import option

Quantization = Literal["q4_k_m", "q4_k_s", "q5_k_m", "q6_k", "q8_0", "f16"]
Mode = Literal["balanced", "seeded", "low-error", "reference"]
"""How weights become the blocks of a GGUF; docs/gguf.md says what each is for."""
OllamaForm = Literal["trained", "guide"]


@dataclass(frozen=True)
class FuseConfig:
    """What `fuse` writes from a run."""

    out: Path | None = option(None, "Folder to write; RUN/fused for weights, the current folder for a GGUF.")
    quantization: Quantization = option("q4_k_m", "Type mix of the GGUF: q4_k_m, q4_k_s, q5_k_m, q6_k, q8_0 or f16.")
    mode: Mode = option(
        "balanced",
        "How weights become blocks: balanced keeps what training changed, seeded is nearest to the weights, "
        "low-error knows nothing of the base, reference gives llama.cpp's bytes.",
    )
    merge_into: str | None = option(
        None,
        "Merge a GGUF's weights into this model in place of the 4-bit base: original, or a name or folder.",
        spelt="--from",
    )
    imatrix: Path | None = option(
        None, "Importance matrix, from gguf imatrix or llama.cpp: errors weigh by it, in every --mode."
    )
    force: bool = option(False, "Replace an output that exists.")


@dataclass(frozen=True)
class OllamaConfig:
    """How `ollama create` brings a model into a server."""

    url: str | None = option(None, "Address of the server; OLLAMA_HOST, else http://127.0.0.1:11434.")
    form: OllamaForm = option("trained", "Prompt and parameters: those of training, or the guide's.")
    force: bool = option(False, "Replace a model of that name.")
