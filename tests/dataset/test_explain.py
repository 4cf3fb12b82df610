"""Why a commit is in a dataset: the same verdict as a build's, rule by rule, and the command that shows it."""

import json
from pathlib import Path

import pytest
from conftest import Repository
from typer.testing import CliRunner

from joco_mlx.cli.main import app
from joco_mlx.config import BuildConfig
from joco_mlx.dataset import explain as explain_module
from joco_mlx.dataset import quality
from joco_mlx.dataset.explain import explain, explain_commit
from joco_mlx.dataset.git_stream import Commit, read_commits
from joco_mlx.dataset.repository import open_repository
from joco_mlx.errors import InputError

STORE = "def keep(values):\n    cached = store(values)\n    return alive(cached)\n"


@pytest.fixture
def history(repository: Repository) -> Repository:
    repository.commit("chore: begin", {"README.md": "hello\n", "src/a.py": "begin\n"})
    repository.commit("fix(store): keep cached values alive (#12)", {"src/a.py": STORE, "CHANGELOG.md": "keep\n"})
    repository.commit("fix: improve things", {"src/a.py": STORE * 2})
    return repository


def test_a_good_commit_is_let_in(history: Repository) -> None:
    found = explain(history.folder, "HEAD~1", BuildConfig())
    assert (found.reason, found.meaning, found.score, found.minimum_score) == (None, "", 100, 80)
    assert found.header == "fix(store): keep cached values alive"
    assert [rule.name for rule in found.rules] == [name for name, _ in quality.RULES]
    assert sum(rule.points for rule in found.rules) == 100
    assert all(rule.meaning.endswith(".") for rule in found.rules)


@pytest.mark.parametrize(("revision", "reason"), [("HEAD", "low-score"), ("HEAD~2", "root")])
def test_a_rejected_one_names_its_gate(revision: str, reason: str, history: Repository) -> None:
    found = explain(history.folder, revision, BuildConfig())
    assert found.reason == reason
    assert found.meaning


def test_commits_read_at_once_are_judged_as_each_by_name(history: Repository) -> None:
    names = history.git("rev-list", "--max-parents=1", "HEAD").split()[:2]
    read = read_commits(open_repository(history.folder).git, names)
    together = [explain_commit(item, BuildConfig()) for item in read if isinstance(item, Commit)]
    assert together == [explain(history.folder, name, BuildConfig()) for name in names]


def test_a_merge_and_an_unknown_commit_are_told(history: Repository) -> None:
    history.git("checkout", "--quiet", "-b", "side", "HEAD~1")
    history.commit("fix: side", {"b.py": "b\n"})
    history.git("merge", "--quiet", "--no-edit", "main")
    with pytest.raises(InputError, match="is a merge"):
        explain(history.folder, "HEAD", BuildConfig())
    with pytest.raises(InputError, match="no commit 'nowhere'"):
        explain(history.folder, "nowhere", BuildConfig())


def test_what_a_terminal_would_obey_is_not_shown(history: Repository) -> None:
    history.commit("fix: keep \x1b[2J\x1b]0;pwned\x07 values", {"src/a.py": "kept\n"})
    done = CliRunner().invoke(app, ["dataset", "explain", str(history.folder), "HEAD"])
    assert done.exit_code == 0, done.output
    assert "keep \ufffd[2J\ufffd]0;pwned\ufffd values" in done.stdout
    assert "\x1b" not in done.stdout


def test_secrets_are_looked_for_in_what_the_gates_let_in(history: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    searched = []
    real = explain_module.scrub
    monkeypatch.setattr(
        explain_module, "scrub", lambda patch, text: (searched.append(len(patch)), real(patch, text))[1]
    )
    history.commit("fix(store): keep ada@company.com alive", {"src/a.py": "kept = 1\n" * 2_000})
    found = explain(history.folder, "HEAD", BuildConfig())
    assert (found.reason, found.header) == ("long-diff", "fix(store): keep user1@example.com alive")
    assert searched == [0]
    history.commit("fix(store): drop the key of the store", {"src/b.py": f"store_key = '{'AKIA' + 'Q' * 16}'\n" * 3})
    assert explain(history.folder, "HEAD", BuildConfig(minimum_score=0)).reason == "secret"
    assert len(searched) == 2


def test_a_commit_that_is_too_large_is_not_blamed_on_the_repository(history: Repository) -> None:
    history.commit("feat: add everything", {"data.txt": f"{'x' * 99}\n" * 10_100})
    with pytest.raises(InputError, match="bytes") as raised:
        explain(history.folder, "HEAD", BuildConfig())
    assert raised.value.hint == "A build skips it too; name another commit."


def test_the_command_prints_the_rules(history: Repository) -> None:
    done = CliRunner().invoke(app, ["dataset", "explain", str(history.folder), "HEAD"])
    assert done.exit_code == 0, done.output
    for name, _ in quality.RULES:
        assert name in done.output
    assert "It is left out: score too low (low-score). The threshold is 80." in done.output
    told = CliRunner().invoke(app, ["dataset", "explain", str(history.folder), "HEAD~1", "--json"])
    assert json.loads(told.stdout)["reason"] is None


def test_build_and_audit_are_commands(history: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["dataset", "build", str(history.folder), "--jobs", "1", "--out", "data", "--validation-share", "0"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "Next: joco-mlx dataset audit data" in done.stdout
    told = CliRunner().invoke(app, ["dataset", "audit", "data", "--json"])
    assert (told.exit_code, json.loads(told.stdout)["clean"]) == (0, True)
    assert "answers in diff share" in CliRunner().invoke(app, ["dataset", "audit", "data"]).stdout


def test_extract_tells_what_it_could_not_read(history: Repository, tmp_path: Path) -> None:
    blob = history.git("rev-parse", "HEAD:src/a.py")
    (history.folder / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    words = ["dataset", "extract", str(history.folder), "--out", str(tmp_path / "x.jsonl"), "--json"]
    told = json.loads(CliRunner().invoke(app, words).stdout)
    assert [item["hash"] for item in told["skipped"]] == [history.git("rev-parse", "HEAD")]
    assert (told["kept"], told["skipped"][0]["reason"]) == (1, "unreadable")
