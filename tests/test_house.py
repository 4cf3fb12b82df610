"""Rules of the house that no linter knows: what tracked files may say, and that the documents tell the truth."""

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from conftest import missing

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = ROOT / "pyproject.toml"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]

# Written apart, so that this file does not name them.
PACKAGE_HOSTS = [
    ".".join(name)
    for name in [
        *(("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"), ("yarnpkg", "com")),
        *(("crates", "io"), ("anaconda", "org"), ("rubygems", "org"), ("proxy", "golang", "org")),
        *(("deb", "debian", "org"), ("archive", "ubuntu", "com")),
    ]
]
LOADED_BY_OTHERS = {"bitsandbytes"}
"""What transformers imports when it is asked to quantise."""
HEAVY = {"mlx", "mlx_lm", "numpy", "sacrebleu", "sklearn", "torch", "transformers"}


def tracked_texts() -> list[tuple[str, str]]:
    """Path and text of every tracked file; bytes that are no UTF-8 are left out."""
    if not (ROOT / ".git").exists():
        missing("the git checkout", "clone the repository")
    names = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True).split("\0")
    paths = [(name, ROOT / name) for name in names if name]
    return [(name, path.read_text("utf-8", "ignore")) for name, path in paths if path.is_file()]


def test_no_tracked_file_names_a_package_host() -> None:
    named = [(path, host) for path, text in tracked_texts() for host in PACKAGE_HOSTS if host in text]
    assert named == []


def test_no_tracked_file_names_this_machine() -> None:
    places = {str(ROOT), str(Path.home())} - {"/"}
    pattern = re.compile("|".join(rf"(?<![\w.~-]){re.escape(place)}(?![\w.-])" for place in places))
    named = [(path, found.group()) for path, text in tracked_texts() if (found := pattern.search(text))]
    assert named == []


def test_the_environment_is_locked_in_requirements_files_only() -> None:
    names = [Path(path).name for path, _ in tracked_texts()]
    assert not {"uv.lock", "poetry.lock", "Pipfile.lock", "pdm.lock"} & set(names)


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt", "requirements-uv.txt"])
def test_every_locked_package_has_a_hash(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    assert "index-url" not in text
    entries = re.split(r"\n(?=\S)", text.strip())
    assert entries
    assert [entry for entry in entries if not re.match(r"[\w.-]+==\S+.*--hash=sha256:", entry, re.DOTALL)] == []


def dependencies() -> list[str]:
    """Names of every dependency that pyproject.toml declares, for running, building or checking."""
    document = tomllib.loads(PYPROJECT.read_text("utf-8"))
    declared = [*document["project"]["dependencies"]]
    for group in document["dependency-groups"].values():
        declared += [entry for entry in group if isinstance(entry, str)]
    return sorted({re.match(r"[\w.-]+", entry)[0].lower() for entry in declared})  # type: ignore[index]


@pytest.mark.parametrize("name", dependencies())
def test_every_dependency_has_its_paragraph(name: str) -> None:
    text = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
    paragraph = re.search(rf"^### {re.escape(name)}\n+(.+?)(?=\n#|\Z)", text, re.DOTALL | re.MULTILINE | re.IGNORECASE)
    assert paragraph, f"docs/dependencies.md has no paragraph on {name}"
    assert len(paragraph[1].split()) >= 15


def imports(source: str) -> set[str]:
    """Top-level names of the modules that a program imports, wherever in it."""
    nodes = list(ast.walk(ast.parse(source)))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return {name.partition(".")[0] for name in plain | {str(n.module) for n in nodes if isinstance(n, ast.ImportFrom)}}


def test_what_is_declared_is_what_is_imported() -> None:
    ours = [text for path, text in tracked_texts() if path.startswith("joco_mlx/") and path.endswith(".py")]
    modules = set().union(*map(imports, ours)) - set(sys.stdlib_module_names) - {"joco_mlx"}
    owners = {module: {_name(owner) for owner in found} for module, found in packages_distributions().items()}
    project = tomllib.loads(PYPROJECT.read_text("utf-8"))["project"]
    optional = [entry for entries in project.get("optional-dependencies", {}).values() for entry in entries]
    declared = {_name(entry) for entry in [*project["dependencies"], *optional]}
    found = {module: owners.get(module, {_name(module)}) for module in modules}  # torch is not in the gate
    assert sorted(module for module in modules if not found[module] & declared) == []
    assert declared - set().union(*found.values()) - LOADED_BY_OTHERS == set()


def _name(requirement: str) -> str:
    return re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-")  # type: ignore[index]


def test_every_ignored_rule_has_its_reason() -> None:
    ruff = PYPROJECT.read_text("utf-8").partition("[tool.ruff.lint]")[2].partition("[tool.mypy]")[0]
    lines = ruff.splitlines()
    ignored = [i for i, line in enumerate(lines) if re.match(r'  "[A-Z]+\d+",|"[^"]+" = \[', line)]
    assert len(ignored) > 10
    assert [lines[i] for i in ignored if not re.search(r"# \w+", lines[i]) and not lines[i - 1].startswith("# ")] == []


def test_every_noqa_has_its_reason() -> None:
    explained = re.compile(r"# noqa: [A-Z]+\d+(, [A-Z]+\d+)*  \(.{8,}\)$")
    unexplained = []
    for path, text in tracked_texts():
        above = ""
        for line in text.splitlines() if path.endswith(".py") and "test_house" not in path else []:
            if "# noqa" in line and not explained.search(line) and "# noqa" not in above:
                unexplained.append((path, line))
            above = line
    assert unexplained == []


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit(workflow: Path) -> None:
    text = workflow.read_text("utf-8")
    used = re.findall(r"uses:\s*(.+)$", text, re.MULTILINE)
    assert used
    assert [line for line in used if not re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)] == []
    assert re.search(r"^permissions:\n  contents: read$", text, re.MULTILINE)


def test_there_is_one_conftest() -> None:
    """Tests import from it by name, and Python would give them whichever was loaded first."""
    assert [path for path, _ in tracked_texts() if path.endswith("conftest.py")] == ["tests/conftest.py"]


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys; from joco_mlx.cli.main import main; sys.argv = ['joco-mlx', '--help']\n"
        "try: main()\n"
        "except SystemExit as end: print('exit', end.code or 0)\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    *shown, end, loaded = done.stdout.splitlines()
    assert end == "exit 0"
    assert any("Usage" in line for line in shown)
    assert HEAVY & set(loaded.split()) == set()


def commands() -> set[str]:
    """Every command that joco-mlx has, groups spelled out."""
    import click
    from typer.main import get_command

    from joco_mlx.cli.main import app

    def leaves(command: click.Command, words: tuple[str, ...]) -> set[str]:
        below = getattr(command, "commands", None)
        if below is None:
            return {" ".join(words)}
        return set().union(*(leaves(part, (*words, name)) for name, part in below.items()))

    return leaves(get_command(app), ())


def test_the_readme_lists_the_commands_that_exist() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert set(re.findall(r"^\| `joco-mlx ([a-z -]+)", readme, re.MULTILINE)) == commands()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    text = document.read_text("utf-8")
    targets = re.findall(r"\]\(([^)#\s]+)|(?:src|srcset)=\"([^\"]+)\"", text)
    local = [first or second for first, second in targets if "://" not in (first or second)]
    assert [target for target in local if not (document.parent / target).exists()] == []


def test_the_architecture_names_every_file() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    tree = text.partition("\n    joco_mlx/\n")[2].partition("\n## ")[0]
    files = [Path(path).name for path, _ in tracked_texts() if re.fullmatch(r"joco_mlx/.*\.py", path)]
    named, existing = Counter(re.findall(r"\b\w+\.py\b", tree)), Counter(name for name in files if name[0] != "_")
    assert existing - named == Counter(), "give these their words in docs/architecture.md"
    assert named - existing == Counter(), "these are gone"


def test_documents_name_files_that_exist() -> None:
    pattern = re.compile(r"`((?:scripts|tests|docs|joco_mlx|dataset)/[\w./-]+|\.ci/\w+)`")
    named = [(path.name, name) for path in DOCUMENTS for name in pattern.findall(path.read_text("utf-8"))]
    assert [(path, name) for path, name in named if not (ROOT / name).exists()] == []
