"""A repository's own rules: read from JSON and YAML, never from a program."""

import json

import pytest
from conftest import Repository

from joco_mlx.errors import InputError
from joco_mlx.suggest.conventions import conventions
from joco_mlx.suggest.grammar import Form

RULES = {
    "type-enum": [2, "always", ["feat", "fix", "deps"]],
    "scope-enum": [1, "always", ["api", "ui"]],
    "scope-empty": [2, "never"],
    "header-max-length": [2, "always", 50],
    "subject-max-length": [0, "always", 5],
}
WANTED = Form(types=("feat", "fix", "deps"), scopes=("api", "ui"), needs_scope=True, header_chars=50)
YAML = "rules:\n" + "".join(f"  {name}: {json.dumps(rule)}\n" for name, rule in RULES.items())
FILES = {
    ".commitlintrc.json": json.dumps({"rules": RULES}),
    ".commitlintrc": YAML,
    ".commitlintrc.yml": YAML,
    "package.json": json.dumps({"name": "x", "commitlint": {"rules": RULES}}),
}


@pytest.mark.parametrize("name", FILES)
def test_rules_become_the_form(repository: Repository, name: str) -> None:
    repository.write(name, FILES[name])
    assert conventions(repository.folder).form == WANTED


def test_json_may_be_indented_by_tabs_and_begin_with_a_mark(repository: Repository) -> None:
    repository.write("package.json", "\ufeff" + json.dumps({"name": "no commitlint here"}))
    repository.write(".commitlintrc", "\ufeff" + json.dumps({"rules": RULES}, indent="\t"))
    assert conventions(repository.folder).form == WANTED


def test_a_program_is_never_run(repository: Repository) -> None:
    repository.write("commitlint.config.js", "require('fs').writeFileSync('ran', '')")
    repository.write(".commitlintrc.yaml", "rules: !!python/object/apply:os.mkdir [ran]\n")
    with pytest.raises(InputError, match="cannot be read"):
        conventions(repository.folder)
    (repository.folder / ".commitlintrc.yaml").unlink()
    found = conventions(repository.folder)
    assert found.form == Form()
    assert "commitlint.config.js is a program" in found.notes[0]
    assert not (repository.folder / "ran").exists()


def test_recent_scopes_are_counted(repository: Repository) -> None:
    for header in ("feat(core): a", "fix(core): b", "docs(api)!: c", "wip", "chore: d"):
        repository.commit(header)
    assert conventions(repository.folder).recent_scopes == {"core": 2, "api": 1}


@pytest.mark.parametrize("rule", [[2, "always", 5], [2, "always", -1], ["x"], 7])
def test_rules_that_are_none_or_leave_nothing(repository: Repository, rule: object) -> None:
    repository.write(".commitlintrc.json", json.dumps({"rules": {"header-max-length": rule}}))
    if rule == [2, "always", 5]:
        with pytest.raises(InputError, match="too short for any"):
            conventions(repository.folder)
    else:
        assert conventions(repository.folder).form == Form()
