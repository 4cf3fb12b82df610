"""What a file says of itself: its name, licence and base model, under the `general.*` keys of ggml's `docs/gguf.md`."""

import re
from dataclasses import dataclass

from gguf import GGML_QUANT_VERSION
from gguf.utility import size_label

from joco_mlx.config import Quantization
from joco_mlx.gguf.container import Metadata
from joco_mlx.gguf.recipe import FILE_TYPES
from joco_mlx.models.folder import ModelFolder
from joco_mlx.models.tokens import chat_template

_SPDX = re.compile(r"[A-Za-z0-9.+-]+( (AND|OR|WITH) [A-Za-z0-9.+-]+)*")
_HUB = "https://huggingface.co/"


@dataclass(frozen=True)
class Card:
    """The words that travel inside a file, and the token that ends an answer."""

    name: str
    end_token: str
    """Text of the token at which llama.cpp stops: the one that training put behind each answer."""
    chat_template: str | None = None
    """Jinja text for programs that bring none of their own."""
    licence: str | None = None
    """SPDX expression, or a licence's own name."""
    licence_url: str | None = None
    base_model: str | None = None
    """`ORG/NAME` of the unquantised base."""

    @classmethod
    def of(cls, model: ModelFolder, name: str = "joco") -> "Card":
        """Return the card of a model made from `model`."""
        base = model.base
        return cls(
            name=name,
            end_token=model.template.end_token,
            chat_template=chat_template(model.path),
            licence=base.licence if base else None,
            licence_url=base.licence_url if base else None,
            base_model=base.original if base else None,
        )

    def metadata(self, quantization: Quantization, parameters: int) -> Metadata:
        """Return the `general.*` keys, but for the architecture's name.

        Args:
            quantization: The mix of types.
            parameters: Number of weights in the file.
        """
        found: Metadata = {
            "general.type": "model",
            "general.name": self.name,
            "general.size_label": size_label(parameters, parameters, 0, 0),
            "general.parameter_count": parameters,
            "general.file_type": FILE_TYPES[quantization],
            "general.quantization_version": int(GGML_QUANT_VERSION),
        }
        return found | self._licence() | self._base()

    def _licence(self) -> Metadata:
        """Hub's model cards write `other` and a name for licences that SPDX does not know."""
        if self.licence is None:
            return {}
        found: Metadata = {"general.license": self.licence}
        if not _SPDX.fullmatch(self.licence):
            found = {"general.license": "other", "general.license.name": self.licence}
        return found | ({"general.license.link": self.licence_url} if self.licence_url else {})

    def _base(self) -> Metadata:
        if self.base_model is None:
            return {}
        organization, _, name = self.base_model.rpartition("/")
        found: Metadata = {"general.base_model.count": 1, "general.base_model.0.name": name}
        if organization:
            found["general.base_model.0.organization"] = organization
            found["general.base_model.0.repo_url"] = f"{_HUB}{self.base_model}"
        return found
