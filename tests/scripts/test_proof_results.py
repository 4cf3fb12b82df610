"""Proofs share one page of results and one way to find repositories."""

import subprocess
from pathlib import Path

import pytest
from conftest import Repository
from proof_modules import load

ROOT = Path(__file__).parents[2]


def test_a_section_is_added_and_replaced_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = load("results", monkeypatch)
    page = tmp_path / "results.md"
    results.record("one", "## One\n\n1\n", page)
    results.record("two", "## Two\n\n2", page)
    results.record("one", "## One\n\n3", page)
    assert page.read_text() == (
        results.OPENING + "\n<!-- one -->\n## One\n\n3\n<!-- /one -->\n\n<!-- two -->\n## Two\n\n2\n<!-- /two -->\n"
    )


def test_half_a_section_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "results.md"
    page.write_text("# Results\n\n<!-- one -->\n")
    with pytest.raises(ValueError, match=r"only one of the markers <!-- one -->"):
        load("results", monkeypatch).record("one", "1", page)
    assert page.read_text() == "# Results\n\n<!-- one -->\n"


def test_finds_bare_and_plain_repositories(
    tmp_path: Path, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrors = load("mirrors", monkeypatch)
    root = tmp_path / "mirrors"
    for folder in ("plain", "bare.git", "owner+name/repo"):
        repository.git("init", "--quiet", *(["--bare"] if folder != "plain" else []), str(root / folder))
    (root / "no repository").mkdir()
    monkeypatch.setenv("JOCO_MIRRORS", str(root))
    assert [mirror.name for mirror in mirrors.mirrors()] == ["bare", "owner/name", "plain"]


@pytest.mark.parametrize("value", ["", "absent"])
def test_says_what_to_do_without_repositories(value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOCO_MIRRORS", value and str(tmp_path / value))
    with pytest.raises(SystemExit, match="git clone --bare"):
        load("mirrors", monkeypatch).mirrors()


def test_prove_lists_its_proofs_and_refuses_others() -> None:
    listed = subprocess.run([ROOT / "scripts" / "prove"], capture_output=True, text=True, check=True)
    assert "\n  commitlint: our verdicts equal" in listed.stdout
    assert "results" not in listed.stdout
    unknown = subprocess.run([ROOT / "scripts" / "prove", "nothing"], capture_output=True, text=True, check=False)
    assert unknown.returncode == 2
    assert "no proof named nothing" in unknown.stderr
