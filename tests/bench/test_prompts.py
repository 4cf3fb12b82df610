"""The original tool's prompts: their words to the byte, their clean-up, and that each engine is asked with them."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from bench_records import record, write
from fake_server import Fake, fake_server, openai_says

from joco_mlx.bench import prompts
from joco_mlx.bench.cases import import_cases, read_cases
from joco_mlx.bench.prompts import PROMPTS, clean_description, clean_type, find
from joco_mlx.bench.run import run
from joco_mlx.config import BenchConfig
from joco_mlx.errors import ConflictError, InputError, UsageError

# Of the text blocks of CommitMessagePrompt.java and MultiStepCommitGenerator.java as Java reads them, with {diff} and
# {type} for what is put in.
DIGESTS = {
    "_BASELINE": "9377ef8384e5d15717a4619b1dd1408e95f3d1d5bde5e12ce15183ebbfc286d4",
    "_TYPE": "8bb372d41e74d0edc8c4021d9a4c05c9f18625a3b31d298848afcb7ac0923373",
    "_DESCRIPTION": "081dd79c73a40e9cf08effc80eeb1012d4993fc7882d5309763f488138308b90",
}


@pytest.mark.parametrize("name", DIGESTS)
def test_the_words_are_the_originals(name: str) -> None:
    assert hashlib.sha256(getattr(prompts, name).encode()).hexdigest() == DIGESTS[name]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [("Docs.", "docs"), ("It is a bug fix, not a feature", "feat"), ("FIX\n", "fix"), ("perf", "chore"), ("", "chore")],
)
def test_a_type_is_found_as_there(answer: str, kind: str) -> None:
    assert clean_type(answer) == kind


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ('"Add the parser."', "add the parser"),
        ("feat(core): Add it", "add it"),
        ("Fix the build", "the build"),
        ("x" * 61, "x" * 57 + "..."),
        ("x" * 60, "x" * 60),
        ("", ""),
    ],
)
def test_a_description_is_cleaned_as_there(answer: str, words: str) -> None:
    assert clean_description(answer) == words


def test_two_steps_tell_the_second_what_the_first_said() -> None:
    heard: list[tuple[str, int]] = []

    def say(texts: Sequence[str], max_tokens: int) -> list[str]:
        heard.extend((text, max_tokens) for text in texts)
        return ["docs" if "one word" in text else "Say more." for text in texts]

    diff = "a{type}b" + "+" * 3_000
    assert PROMPTS["two-step"].ask([diff, "short"], say, 99) == ["docs: say more"] * 2
    assert [tokens for _, tokens in heard] == [10, 10, 25, 25]
    assert "for this docs change" in heard[2][0]
    assert f"\n{diff[:2_000]}\n[...truncated...]\n" in heard[2][0]
    assert "\nshort\n" in heard[3][0]


def test_the_long_prompt_ends_with_the_diff() -> None:
    heard: list[str] = []

    def say(texts: Sequence[str], max_tokens: int) -> list[str]:
        heard.extend(texts)
        return ["fix: it"] * len(texts)

    assert PROMPTS["baseline-v1"].ask([" short ", "+" * 9_000], say, 48) == ["fix: it"] * 2
    assert heard[0].endswith("One line.\n\n\n\nDiff:\nshort")
    assert heard[1].endswith("+\n\n[... diff truncated for token efficiency ...]")
    assert heard[1].count("+") == 3_950


def test_a_prompt_is_found_by_name() -> None:
    assert find("trained").endswith("{diff}")
    assert find("two-step").startswith("Classify this git diff.")
    with pytest.raises(UsageError, match="no prompt 'v2'"):
        find("v2")
    with pytest.raises(UsageError, match="trained when answers are constrained"):
        BenchConfig(prompt="two-step", constrained=True)


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    return write(tmp_path / "cases.jsonl", [record(number) for number in range(3)])


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    with fake_server(monkeypatch) as made:
        yield made


def test_a_server_hears_one_user_turn_and_no_system(fake: Fake, cases: Path, tmp_path: Path) -> None:
    fake.reply = lambda body: (200, openai_says("fix: close it"))
    config = BenchConfig(model="x", engine="openai", url=f"{fake.url}/v1", prompt="baseline-v1")
    done = run(config, cases, tmp_path / "out")
    assert done.metrics["strict_validity"]["value"] == 1
    assert [[turn["role"] for turn in body["messages"]] for _, body in fake.asked] == [["user"]] * 3
    assert (tmp_path / "out" / "prompt.txt").read_text() == PROMPTS["baseline-v1"].text
    assert json.loads((tmp_path / "out" / "bench.json").read_text())["settings"]["prompt"] == "baseline-v1"


@pytest.mark.parametrize("name", ["baseline-v1", "two-step"])
def test_a_model_in_this_process_is_asked_with_it(
    name: str, cases: Path, tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    config = BenchConfig(model=str(tiny_model("qwen2")), prompt=name, max_tokens=4, max_cases=2)  # type: ignore[arg-type]
    done = run(config, cases, tmp_path / "out")
    assert (done.metrics["cases"], done.metrics["errors"]) == (2, 0)
    if name == "two-step":
        assert done.metrics["confusion"] != {}
        first = json.loads((tmp_path / "out" / "results.jsonl").read_text().splitlines()[0])
        assert first["scores"]["type"] in ("chore", "feat", "fix", "docs", "refactor", "test", "build", "ci", None)


def test_cases_of_the_original_harness_are_read(tmp_path: Path) -> None:
    diff = " a.md | 2 +-\n 1 file changed\n\ndiff --git a/a.md b/a.md\n--- a/a.md\n+++ b/a.md\n@@ -1 +1 @@\n-a\n+b\n"
    lines = [
        {"id": "angular-1", "diff": diff, "expectedMessage": "docs: say b"},
        {"diff": "", "expectedMessage": "fix: x"},
    ]
    (tmp_path / "old.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert import_cases(tmp_path / "old.jsonl", tmp_path / "new.jsonl") == (1, 1)
    (case,) = read_cases(tmp_path / "new.jsonl")
    assert (case.type, case.record.output) == ("docs", "docs: say b")
    assert case.record.input.startswith("diff --git")
    (tmp_path / "none.jsonl").write_text(json.dumps(lines[1]))
    with pytest.raises(InputError, match="has no case"):
        import_cases(tmp_path / "none.jsonl", tmp_path / "x.jsonl")


def test_cases_are_never_written_over_what_exists(tmp_path: Path) -> None:
    """Not over the file that they were read from, which `--out` is easily given by mistake."""
    case = {"diff": "diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n-a\n+b\n", "expectedMessage": "docs: say b"}
    old = tmp_path / "old.jsonl"
    old.write_text(json.dumps(case))
    with pytest.raises(ConflictError, match=r"old\.jsonl exists already"):
        import_cases(old, old)
    assert json.loads(old.read_text()) == case
    assert import_cases(old, old, force=True) == (1, 0)
    assert len(read_cases(old)) == 1
