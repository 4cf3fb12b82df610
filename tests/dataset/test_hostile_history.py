"""One repository that holds every trap at once, through a whole build: what is kept, and that no setting shifts a byte."""

import json
import os
import shutil
from pathlib import Path

import pytest
from conftest import Repository
from dataset_records import grow
from test_git_stream import HOSTILE_SETTINGS

from joco_mlx.commit.diff import parse_diff
from joco_mlx.commit.record import Record, read_records
from joco_mlx.config import BuildConfig
from joco_mlx.dataset.build import build
from joco_mlx.dataset.validate import validate

LOW = BuildConfig(minimum_score=0)
FAKE = "\n\ndiff --git a/fake b/fake\n--- a/fake\n+++ b/fake\n@@ -1 +1 @@\n-x\n+fake line\n"
MEGABYTES = 100


def lines(text: str) -> str:
    name, _, _ = text.partition(" ")
    return "".join(f"{text} # {name} of {number}\n" for number in range(4))


@pytest.fixture(scope="module")
def trapped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a commit for each trap between commits like any other."""
    made = Repository(tmp_path_factory.mktemp("trapped"))
    made.git("init", "--quiet", "--initial-branch=main")
    made.commit("chore: begin", {"README.md": "hello\n", "run.sh": "echo run\n", "gone.py": "gone = 1\n"})
    grow(made, 3, "prior")
    made.commit("fix(fake): close the header in bodies" + FAKE, {"src/body.py": lines("closed = header")})
    made.git("config", "i18n.commitEncoding", "ISO-8859-1")
    made.write("src/umlaut.py", lines("größe = 'maß'").encode("latin-1"))
    made.git("add", "--all")
    message = "fix(umlaut): measure größe in umlaut".encode("latin-1")
    made.git("commit", "--quiet", "--file=-", stdin=message)
    made.git("config", "--unset", "i18n.commitEncoding")
    made.commit("feat(quoted): add quoted paths", {'src/a\tquoted "path".py': lines("quoted = paths")})
    made.commit("feat(huge): add a huge line", {"huge.json": b"x" * (MEGABYTES << 20)})
    made.commit("fix(zero): add zero bytes", {"src/zero.py": ""})
    (made.folder / "run.sh").chmod(0o755)
    made.commit("fix(mode): let run be executed")
    for number in (1, 2):
        made.git("update-index", "--add", "--cacheinfo", f"160000,{number:040x},module")
        made.git("commit", "--quiet", "-m", f"fix(module): move module {number} on")
    missing = made.commit("fix(gone): lose an object of gone", {"gone.py": "lost = 'for ever'\n" * 4})
    grow(made, 3, "later")
    blob = made.git("rev-parse", f"{missing}:gone.py")
    (made.folder / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    return made.folder


@pytest.fixture(scope="module")
def built(trapped: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built") / "data"
    build(LOW, [str(trapped)], out, jobs=1)
    return out


@pytest.fixture(scope="module")
def records(built: Path) -> dict[str, Record]:
    validate(built)
    kept = [one for name in ("train", "validation") for one in read_records(built / f"{name}.jsonl")]
    return {one.metadata.scope or "": one for one in kept}


def test_what_cannot_be_a_record_is_counted_under_its_cause(built: Path, records: dict[str, Record]) -> None:
    funnel = json.loads((built / "stats.json").read_text())["funnel"]
    rejected = funnel["rejected"]
    assert (rejected["root"], rejected["no-line"], rejected["submodule"]) == (1, 2, 2)
    assert set(rejected) == {"root", "no-line", "submodule"}
    assert funnel["read"] == funnel["kept"] + sum(rejected.values())
    assert sorted(item["reason"] for item in funnel["skipped"]) == ["too-large", "unreadable"]
    assert {"huge", "gone", "zero", "mode", "module"}.isdisjoint(records)


def test_a_header_in_a_body_is_no_file(records: dict[str, Record]) -> None:
    assert [change.path for change in parse_diff(records["fake"].input)] == ["src/body.py"]
    assert "fake line" not in records["fake"].input


def test_latin_1_is_read_as_what_it_says(records: dict[str, Record]) -> None:
    assert records["umlaut"].output == "fix(umlaut): measure größe in umlaut"
    assert "+größe = 'maß' # größe of 0\n" in records["umlaut"].input


def test_a_quoted_path_is_one_path(records: dict[str, Record]) -> None:
    assert [change.path for change in parse_diff(records["quoted"].input)] == ['src/a\tquoted "path".py']


def test_no_setting_graft_replacement_or_attribute_shifts_a_byte(
    trapped: Path, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shifted = Repository(tmp_path / "trapped")
    shutil.copytree(trapped, shifted.folder)
    head, before = shifted.git("rev-parse", "HEAD"), shifted.git("rev-parse", "HEAD~2")
    user = tmp_path / "config"
    for file in (user, shifted.folder / ".git" / "config"):
        for name, value in HOSTILE_SETTINGS.items():
            shifted.git("config", "--file", str(file), name, value)
    info = shifted.folder / ".git" / "info"
    info.mkdir(exist_ok=True)
    (info / "attributes").write_text("* diff=shout\n")
    (info / "grafts").write_text(f"{head} {before}\n")
    shifted.git("replace", before, shifted.git("commit-tree", f"{before}^{{tree}}", "-m", "fix: forged"))
    (shifted.folder / ".gitattributes").write_text("*.py -diff\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(user))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", os.devnull)
    name = shutil.move(shifted.folder, tmp_path / trapped.name)
    build(LOW, [str(name)], tmp_path / "data", jobs=1)
    again, first = (
        {file.name: file.read_bytes() for file in folder.iterdir()} for folder in (tmp_path / "data", built)
    )
    assert again == first
