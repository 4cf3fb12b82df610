"""What a repository asks of its messages: its commitlint configuration, and the scopes that it has used lately.

Decides which configurations are read: JSON and YAML, never one that is a program. Files and rules are commitlint's
(https://commitlint.js.org/reference/configuration.html, .../reference/rules.html); a rule that our form cannot promise
is left to commitlint itself.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from joco_mlx import process
from joco_mlx.commit.grammar import TYPES
from joco_mlx.commit.message import parse
from joco_mlx.errors import InputError
from joco_mlx.suggest.grammar import Form

FILES = (
    "package.json",
    "package.yaml",
    ".commitlintrc",
    ".commitlintrc.json",
    ".commitlintrc.yaml",
    ".commitlintrc.yml",
)
"""In commitlint's order; the first that says something counts."""
PROGRAMS = tuple(
    f"{stem}.{ending}"
    for stem in (".commitlintrc", "commitlint.config")
    for ending in ("js", "cjs", "mjs", "ts", "cts", "mts")
)
COMMITS = 300
_LARGEST_BYTES = 4 << 20


@dataclass(frozen=True)
class Conventions:
    """The form that a repository wants, and what it has written."""

    form: Form = field(default_factory=Form)
    recent_scopes: Mapping[str, int] = field(default_factory=dict)
    """Scope -> how often it stands in the last commits."""
    notes: tuple[str, ...] = ()


def conventions(repository: Path) -> Conventions:
    """Read the conventions of the repository that `repository` lies in; a folder outside of any has none.

    Raises:
        InputError: A configuration cannot be read, or allows no message at all.
    """
    done = process.run(["git", "-C", repository, "rev-parse", "--show-toplevel"])
    if done.code != 0:
        return Conventions()
    top = Path(done.stdout.decode("utf-8", "surrogateescape").removesuffix("\n"))
    ignored = next((name for name in PROGRAMS if (top / name).is_file()), None)
    path, rules = _rules(top)
    notes: tuple[str, ...] = ()
    if path is None and ignored:
        notes = (f"{ignored} is a program, which is not run: its rules are not known to joco-mlx.",)
    return Conventions(_form(rules, path) if path else Form(), _recent_scopes(top), notes)


def _recent_scopes(top: Path) -> Counter[str]:
    done = process.run(["git", "-C", top, "log", f"--max-count={COMMITS}", "--no-merges", "--format=%s", "--"])
    found = (parse(line) for line in done.stdout.decode("utf-8", "replace").splitlines())
    return Counter(message.scope for message in found if message and message.scope)


def _rules(top: Path) -> tuple[Path | None, Mapping[str, Any]]:
    for name in FILES:
        path = top / name
        if not path.is_file():
            continue
        document = _document(path)
        if name.startswith("package."):
            document = document.get("commitlint") if isinstance(document, dict) else None
        if isinstance(document, dict):
            rules = document.get("rules")
            return path, rules if isinstance(rules, dict) else {}
    return None, {}


def _document(path: Path) -> Any:
    """Return a configuration's plain values."""
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST_BYTES).decode("utf-8-sig")
        return json.loads(text) if path.suffix == ".json" else _json_or_yaml(text)
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as problem:
        first_line = str(problem).partition("\n")[0]
        raise InputError(
            f"{path} cannot be read: {first_line}.", f"Repair it: npx commitlint --config {path}"
        ) from None


def _json_or_yaml(text: str) -> Any:
    """Return what a text says that may be either, as `.commitlintrc`: YAML has no tabs in an indent, JSON does."""
    try:
        return json.loads(text)
    except ValueError:
        return yaml.safe_load(text)


def _form(rules: Mapping[str, Any], path: Path) -> Form:
    form = Form()
    types = tuple(word for word in _words(rules, "type-enum") if word in TYPES or word.isidentifier())
    form = replace(form, types=types or form.types, scopes=_words(rules, "scope-enum"))
    empty = _rule(rules, "scope-empty")
    form = replace(form, needs_scope=empty == ("never", None), forbids_scope=empty == ("always", None))
    longest = _number(rules, "header-max-length")
    if longest is not None and longest < max(map(len, form.types)) + len(": a"):
        raise InputError(
            f"{path} allows headers of at most {longest} characters, which is too short for any.", "Repair it."
        )
    form = replace(form, header_chars=min(form.header_chars, longest or form.header_chars))
    return replace(form, subject_chars=_number(rules, "subject-max-length"))


def _rule(rules: Mapping[str, Any], name: str) -> tuple[str, Any] | None:
    """Return the condition and the value of a rule; None when it is off or malformed."""
    found = rules.get(name)
    if not isinstance(found, list) or not found or found[0] not in (1, 2):
        return None
    return (str(found[1]) if len(found) > 1 else "always", found[2] if len(found) > 2 else None)


def _words(rules: Mapping[str, Any], name: str) -> tuple[str, ...]:
    rule = _rule(rules, name)
    if rule is None or rule[0] != "always" or not isinstance(rule[1], list):
        return ()
    return tuple(word for word in rule[1] if isinstance(word, str) and word.isascii() and word.isprintable() and word)


def _number(rules: Mapping[str, Any], name: str) -> int | None:
    rule = _rule(rules, name)
    is_number = rule is not None and rule[0] == "always" and isinstance(rule[1], int) and rule[1] > 0
    return int(rule[1]) if rule and is_number else None
