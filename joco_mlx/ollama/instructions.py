"""A Modelfile, read: what its instructions ask of Ollama.

Decides which instructions a create request can carry. Grammar: Ollama's `parser/parser.go`. A Modelfile that joco-mlx
wrote may have been edited by hand, so what it says counts, not what we would write today.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from joco_mlx.errors import InputError

Parameter: TypeAlias = int | float | bool | str | list[str]

_KNOWN = ("FROM", "PARAMETER", "TEMPLATE", "SYSTEM", "LICENSE")
_LISTS = ("stop",)
_HINT = "Export it again: joco-mlx fuse --export-gguf --force"


@dataclass(frozen=True)
class Instructions:
    """What a Modelfile says."""

    weights: str
    """The file after FROM, relative to the Modelfile."""
    template: str
    system: str
    licence: str
    parameters: Mapping[str, Parameter]

    def request(self, name: str, digest: str) -> dict[str, object]:
        """Return the body of `POST /api/create` (Ollama's `api/types.go`, CreateRequest).

        Args:
            name: Of the model to make.
            digest: Of the blob with the weights, `sha256:` and 64 hexadecimal digits.
        """
        words = {"template": self.template, "system": self.system, "license": self.licence}
        return {
            "model": name,
            "files": {self.weights.removeprefix("./"): digest},
            **{key: value for key, value in words.items() if value},
            "parameters": dict(self.parameters),
            "stream": True,
        }


def read_modelfile(text: str, where: str) -> Instructions:
    """Read a Modelfile.

    Raises:
        InputError: It has no FROM, does not close a quote, or asks for what no create request of ours can carry.
    """
    words: dict[str, str] = {}
    parameters: dict[str, Parameter] = {}
    lines = iter(text.split("\n"))
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, _, value = line.strip().partition(" ")
        if name.upper() not in _KNOWN:
            raise InputError(
                f"{where} says {name!r}, which joco-mlx cannot pass on.", f"Use: ollama create NAME -f {where}"
            )
        if name.upper() == "PARAMETER":
            key, _, value = value.strip().partition(" ")
            _add(parameters, key, _unquoted(value, lines, where))
        else:
            words[name.upper()] = _unquoted(value, lines, where)
    if not words.get("FROM"):
        raise InputError(f"{where} has no FROM.", _HINT)
    return Instructions(
        words["FROM"], words.get("TEMPLATE", ""), words.get("SYSTEM", ""), words.get("LICENSE", ""), parameters
    )


def _add(parameters: dict[str, Parameter], key: str, value: str) -> None:
    if key in _LISTS:
        found = parameters.setdefault(key, [])
        if isinstance(found, list):
            found.append(value)
        return
    parameters[key] = _number(value)


def _number(value: str) -> Parameter:
    """Return the value as the API types it: a whole number, a number, a truth value, or text."""
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(value.lower(), value)


def _unquoted(value: str, lines: Iterator[str], where: str) -> str:
    """Return a value; one that begins with quotes goes on to the line at whose end the same quotes close."""
    value = value.strip()
    for quotes in ('"""', '"'):
        if not value.startswith(quotes):
            continue
        while len(value.rstrip()) < 2 * len(quotes) or not value.rstrip().endswith(quotes):
            following = next(lines, None)
            if following is None:
                raise InputError(f"{where} opens {quotes} and never closes it.", _HINT)
            value += "\n" + following
        return value.rstrip()[len(quotes) : -len(quotes)]
    return value
