"""The runner of documents, and what can be checked of commands in documents without running them."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from proof_modules import load
from typer.main import get_command

from joco_mlx.cli.main import app

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
GENERATED = {"commands.md", "results.md"}


@pytest.fixture
def proof(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts" / "proofs"))
    return load("docs", monkeypatch)


PAGE = """\
# Page

<!-- prepare
name=world
-->

```sh
echo "hello $name" > said
```

<!-- not run: needs a Mac -->
```sh
exit 9
```

```text
false
```

```sh
cat said
{last}
```
"""


def test_blocks_run_in_one_session_and_others_are_counted(proof: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.format(last="true"))
    found = proof.follow(page, tmp_path, proof.home(tmp_path))
    assert (found.run, found.left_out, found.failed_at) == (2, ["needs a Mac"], None)
    assert (tmp_path / "said").read_text() == "hello world\n"
    assert "| page.md | 2 | needs a Mac |" in proof.report([found])


def test_a_command_that_fails_is_named_by_its_block(proof: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.format(last="false\ntouch never"))
    found = proof.follow(page, tmp_path, proof.home(tmp_path))
    assert found.failed_at == PAGE.split("\n").index("cat said") + 1
    assert not (tmp_path / "never").exists()
    assert "failed at line" in proof.report([found])


@pytest.mark.parametrize(
    ("first", "last"),
    [
        pytest.param("cat >/dev/null", "false", id="a-command-reads-all-it-is-given"),
        pytest.param("exit 0", "true", id="ended-before-the-next-block"),
        pytest.param("true", "exit 0\nfalse", id="ended-within-the-last-block"),
        pytest.param("cat <<END", "true", id="the-rest-taken-as-text"),
    ],
)
def test_a_session_that_leaves_commands_out_has_failed(
    proof: ModuleType, tmp_path: Path, first: str, last: str
) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Page\n\n```sh\n{first}\n```\n\n```sh\n{last}\n```\n")
    found = proof.follow(page, tmp_path, proof.home(tmp_path))
    assert found.failed_at is not None
    assert "failed at line" in proof.report([found])


def test_a_line_that_does_not_end_hides_no_block(proof: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.format(last="printf unended"))
    assert proof.follow(page, tmp_path, proof.home(tmp_path)).failed_at is None


def told(path: Path) -> Iterator[tuple[int, str]]:
    """Every command line of a document: in a fenced or an indented block, or between backticks."""
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if re.match(r"(    )?(?:\w+=\S+ )?joco-mlx ", line):
            yield number, line.strip()
        for inline in re.findall(r"`(joco-mlx [^`]+)`", line):
            yield number, inline


COMMANDS = [
    pytest.param(line, id=f"{path.name}:{number}:{line[9:39]}")
    for path in DOCUMENTS
    if path.name not in GENERATED
    for number, line in told(path)
]


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_in_a_document_exists_with_its_options(line: str) -> None:
    try:
        words = shlex.split(line.partition(" #")[0].partition(" | ")[0])
    except ValueError:  # a command that goes on in the next line
        words = line.split()
    words = words[words.index("joco-mlx") + 1 :]
    command = get_command(app)
    while words and words[0] in (below := getattr(command, "commands", {})):
        command = below[words.pop(0)]
    assert not getattr(command, "commands", {}) or not words or words[0].startswith("-"), line
    known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)} | {"--help", "-h"}
    assert [word for word in words if word.startswith("-") and word.partition("=")[0] not in known | {"-"}] == []


def test_blocks_that_are_left_out_say_why(proof: ModuleType) -> None:
    for path in DOCUMENTS:
        for block in proof.blocks(path.read_text("utf-8")):
            assert block.why_not is None or len(block.why_not.split()) >= 3, (path.name, block.line)
