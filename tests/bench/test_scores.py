"""One answer at a time, by hand."""

from pathlib import Path

from bench_records import record, write

from joco_mlx.bench.cases import as_cases, digest, read_cases
from joco_mlx.bench.scores import judge

DIFF = "diff --git a/src/cache.py b/src/cache.py\n+    expire_entries(limit)\n"


def test_a_right_answer() -> None:
    found = judge("fix(cache): expire entries early", "fix(cache): expire entries early (#12)\n\nBody.", DIFF)
    assert found.valid
    assert found.exact
    assert found.type_right
    assert found.scope_right
    assert found.chars == 32
    assert found.copied == 2 / 3
    assert (found.edit_similarity, found.chrf, found.rouge_l, found.b_norm) == (1, 1, 1, 1)


def test_the_type_in_front_does_not_make_two_messages_alike() -> None:
    found = judge("fix(cache): abc", "fix(cache): xyz", DIFF)
    assert found.type_right
    assert (found.edit_similarity, found.chrf, found.rouge_l, found.b_norm) == (0, 0, 0, 0)


def test_an_answer_is_judged_as_it_was_written() -> None:
    found = judge("Here is a message:\nfix(cache): expire entries", "fix(cache): expire entries", DIFF)
    assert not found.valid
    assert found.type is None
    assert not found.type_right
    assert not found.scope_right
    assert found.edit_similarity < 0.5


def test_no_answer_fails_everything() -> None:
    found = judge("", "fix: expire entries", DIFF)
    assert not any(vars(found).values())


def test_no_scope_in_both_is_a_right_scope() -> None:
    assert judge("fix: a", "docs: b", DIFF).scope_right
    assert not judge("fix(cache): a", "fix: a", DIFF).scope_right


def test_a_case_keeps_its_name_in_any_file() -> None:
    first, second = record(1), record(2)
    names = [case.key for case in as_cases([first, second, first])]
    assert names[2] == f"{names[0]}-2"
    assert [case.key for case in as_cases([second, first])] == names[1::-1]
    assert digest(as_cases([first, second])) != digest(as_cases([second, first]))


def test_a_case_keeps_its_name_through_a_file(tmp_path: Path) -> None:
    """Also where half of a surrogate pair stands in it, which no file of ours can hold."""
    odd = record(1, "fix: mend \ud800")
    again = read_cases(write(tmp_path / "cases.jsonl", [odd, record(2)]))
    assert [case.key for case in as_cases([odd, record(2)])] == [case.key for case in again]
