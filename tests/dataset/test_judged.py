"""The commits that were read by eye: enough of them, named but not copied, none in both sets, some read twice."""

import re
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "dataset" / "sources.toml"


def test_enough_commits_were_judged_and_none_is_in_both_sets() -> None:
    sets = _read("judged.toml")
    assert set(sets) == {"tuning", "held_out"}
    assert all(len(entries) >= 31 for entries in sets.values())
    commits = [commit for entries in sets.values() for _, commit, _, _ in entries]
    assert len(set(commits)) == len(commits) >= 62


def test_each_entry_names_a_pinned_repository_a_verdict_and_a_reason() -> None:
    known = {source["name"] for source in tomllib.loads(SOURCES.read_text("utf-8"))["source"]}
    for entries in _read("judged.toml").values():
        for repository, commit, verdict, reason in entries:
            assert repository in known
            assert re.fullmatch(r"[0-9a-f]{40}", commit)
            assert verdict in {"good", "bad"}
            assert len(reason.split()) >= 2


def test_what_was_judged_again_was_judged_before() -> None:
    before = {(name, commit) for entries in _read("judged.toml").values() for name, commit, _, _ in entries}
    again = _read("rejudged.toml")["again"]
    assert len({commit for _, commit, _ in again}) == len(again) == 100
    assert all((name, commit) in before and verdict in {"good", "bad"} for name, commit, verdict in again)


def _read(name: str) -> dict[str, list[list[str]]]:
    return tomllib.loads((HERE / name).read_text("utf-8"))
