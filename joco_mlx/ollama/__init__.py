"""What Ollama needs: the Modelfile, and the client that brings a GGUF into a server.

Leaves the prompt to `commit.prompt`, and which GGUF is meant to `deliver`.
"""

from joco_mlx.ollama.modelfile import (
    GGUF_NAME,
    MODELFILE,
    TEMPERATURE,
    adapter_in,
    default_modelfile,
    is_ours,
    licence_text,
    refuse_foreign_export,
    render_guide_modelfile,
    render_modelfile,
    write_modelfile,
)

__all__ = [
    "GGUF_NAME",
    "MODELFILE",
    "TEMPERATURE",
    "adapter_in",
    "default_modelfile",
    "is_ours",
    "licence_text",
    "refuse_foreign_export",
    "render_guide_modelfile",
    "render_modelfile",
    "write_modelfile",
]
