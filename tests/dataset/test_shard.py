"""One shard of a real repository: which steps a commit takes, and what is counted where."""

import dataclasses
import json
from collections.abc import Mapping

import pytest
from conftest import Repository

from joco_mlx.commit.record import decode_line
from joco_mlx.config import BuildConfig, ExtractConfig
from joco_mlx.dataset.changelogs import without_changelogs
from joco_mlx.dataset.repository import list_history, open_repository
from joco_mlx.dataset.shard import Shard, ShardResult, read_shard

GOOD = "fix(store): keep cached values alive"
STORE = "def keep(values):\n    cached = store(values)\n    return alive(cached)\n"


def shard_of(repository: Repository, **settings: object) -> Shard:
    source = open_repository(repository.folder, "tool")
    history = list_history(source, ExtractConfig())
    return Shard("tool", source.git_dir, history.hashes, history.roots, BuildConfig(**settings))  # type: ignore[arg-type]


def counts(repository: Repository, **settings: object) -> dict[str, int]:
    head = read_shard(shard_of(repository, **settings)).split(b"\n", 1)[0]
    return dict(ShardResult.from_head(head).funnel.rejected)


CASES: list[tuple[str, str, Mapping[str, str | bytes], dict[str, str]]] = [
    ("bot", GOOD, {"src/a.py": STORE}, {"GIT_AUTHOR_NAME": "renovate[bot]"}),
    ("not-conventional", "keep cached values", {"src/a.py": STORE}, {}),
    ("type", "store: keep cached values alive", {"src/a.py": STORE}, {}),
    ("revert", "revert: keep cached values alive", {"src/a.py": STORE}, {}),
    ("revert", "fix: revert cached values", {"src/a.py": STORE}, {}),
    ("release", "chore(release): 1.2.3", {"src/a.py": STORE}, {}),
    ("release", "chore: release v2", {"src/a.py": STORE}, {}),
    ("dependency", "build(deps): keep cached values alive", {"src/a.py": STORE}, {}),
    ("dependency", "chore: bump store from 1.2 to 1.3", {"src/a.py": STORE}, {}),
    ("ellipsis", "fix(store): keep cached values alive and...", {"src/a.py": STORE}, {}),
    ("ellipsis", "fix(store): keep cached values alive and\u2026", {"src/a.py": STORE}, {}),
    ("long-subject", f"fix(store): keep cached values alive {'x' * 60}", {"src/a.py": STORE}, {}),
    ("trailing-period", f"{GOOD}.", {"src/a.py": STORE}, {}),
    ("invalid", "fix(store): Keep Cached Values", {"src/a.py": STORE}, {}),
    ("short-diff", GOOD, {}, {}),
    ("long-diff", GOOD, {"src/a.py": STORE * 200}, {}),
    ("noise-only", GOOD, {"yarn.lock": STORE, "dist/a.js": STORE}, {}),
    ("noise-only", GOOD, {"logo.png": b"\0\1\2"}, {}),
    ("no-line", GOOD, {"src/empty_cached_values_that_are_kept_alive.py": ""}, {}),
    ("answer-in-diff", GOOD, {"src/a.py": f"# keep cached values alive\n{STORE}"}, {}),
    ("low-score", "fix: fix typo", {"src/a.py": STORE}, {}),
    ("secret", GOOD, {"src/a.py": f"{STORE}password = 'kX9#vQ2$mL7pR4tZ'\nAWS = 'AKIA2OGYBAH6STMMNXNN'\n"}, {}),
]


@pytest.mark.parametrize(("reason", "message", "files", "env"), CASES, ids=[f"{c[0]}-{n}" for n, c in enumerate(CASES)])
def test_each_reason_has_its_code(
    reason: str, message: str, files: Mapping[str, str | bytes], env: dict[str, str], repository: Repository
) -> None:
    repository.commit("chore: begin", {"README.md": "hello\n", "src/a.py": "begin\n"})
    repository.commit(message, files, **env)
    assert counts(repository) == {"root": 1, reason: 1}


def test_a_submodule_is_no_change_that_can_be_read(repository: Repository) -> None:
    repository.commit("chore: begin", {"README.md": "hello\n"})
    for number in (1, 2):
        repository.git("update-index", "--add", "--cacheinfo", f"160000,{number:040x},store")
        repository.git("commit", "--quiet", "-m", f"fix(store): keep cached value {number} alive")
    assert counts(repository)["submodule"] == 2


@pytest.mark.parametrize(
    "message",
    ["fix(store): 修复缓存问题", "fix(store): añade los valores de la caché", "fix(store): werte für die Ablage"],
)
def test_other_languages_are_left_out_on_request(message: str, repository: Repository) -> None:
    repository.commit("chore: begin", {"README.md": "hello\n"})
    repository.commit(message, {"src/a.py": STORE})
    assert counts(repository, english_only=True)["not-english"] == 1
    assert "not-english" not in counts(repository)


def test_a_changelog_is_dropped_and_addresses_are_masked(repository: Repository) -> None:
    repository.commit("chore: begin", {"README.md": "hello\n", "src/a.py": "begin\n"})
    files = {"src/a.py": f"{STORE}# ask ada@lovelace.org\n", ".changeset/x.md": "keep cached values alive\n"}
    repository.commit(f"{GOOD} (#12)", files)
    head, line = read_shard(shard_of(repository)).rstrip(b"\n").split(b"\n")
    record = decode_line(line, "result")
    assert (record.output, record.metadata.repository) == (GOOD, "tool")
    assert "changeset" not in record.input
    assert "+# ask user1@example.com" in record.input
    assert ShardResult.from_head(head).masked == {"e-mail": 1}
    assert b"lovelace" not in line


def test_equal_shards_give_equal_bytes_and_other_settings_another_key(repository: Repository) -> None:
    repository.commit("chore: begin", {"README.md": "hello\n"})
    repository.commit(GOOD, {"src/a.py": STORE})
    first, second = shard_of(repository), shard_of(repository)
    assert (first.key, read_shard(first)) == (second.key, read_shard(second))
    other = dataclasses.replace(first, config=BuildConfig(minimum_score=70))
    later = dataclasses.replace(first, config=BuildConfig(validation_share=0.2))
    assert other.key != first.key == later.key


def test_commits_that_cannot_be_read_are_named(repository: Repository) -> None:
    repository.commit("chore: begin", {"README.md": "hello\n"})
    name = repository.commit(GOOD, {"src/a.py": STORE})
    blob = repository.git("rev-parse", "HEAD:src/a.py")
    (repository.folder / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    head = read_shard(shard_of(repository)).split(b"\n", 1)[0]
    found = ShardResult.from_head(head).funnel
    assert [(item.hash, item.reason) for item in found.skipped] == [(name, "unreadable")]
    assert json.loads(head)[1] == {}


def test_only_changelogs_are_dropped() -> None:
    parts = [
        f"diff --git a/{name} b/{name}\nindex 1..2 100644\n--- a/{name}\n+++ b/{name}\n@@ -1 +1 @@\n-diff\n+diff --git\n"
        for name in ("a.py", "CHANGELOG.md", "src/history.py", ".changeset/b.md", "z.py")
    ]
    assert without_changelogs("".join(parts)) == parts[0] + parts[2] + parts[4]
    assert without_changelogs(parts[0]) == parts[0]
    assert without_changelogs("") == ""
