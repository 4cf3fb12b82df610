"""Where a message and its diff disagree, rule by rule."""

import pytest

from joco_mlx.dataset import contradictions
from joco_mlx.dataset.candidate import Candidate
from joco_mlx.dataset.wording import FAULT


def candidate(header: str, *lines: str, path: str = "src/a.py", new: bool = False) -> Candidate:
    begin = "new file mode 100644\nindex 0000000..2222222\n--- /dev/null" if new else f"index 1..2 100644\n--- a/{path}"
    body = "\n".join(lines or ("+keep(user_key)",))
    return Candidate(header, f"diff --git a/{path} b/{path}\n{begin}\n+++ b/{path}\n@@ -1 +1,2 @@\n context\n{body}\n")


@pytest.mark.parametrize(
    ("header", "penalty"),
    [
        ("feat: fix the keys", FAULT),
        ("feat: fix the missing keys", 0),
        ("fix(docs): keep keys", FAULT),
        ("fix: add support for keys", FAULT),
        ("fix: keep dev dependency of pages", FAULT),
        ("docs: add key support", FAULT),
        ("chore: keep keys", FAULT),
        ("chore: remove keys", 0),
        ("fix: keep keys", 0),
    ],
)
def test_type(header: str, penalty: int) -> None:
    assert contradictions.type_penalty(candidate(header)) == penalty


def test_a_fix_of_new_files_alone_is_none() -> None:
    assert contradictions.type_penalty(candidate("fix: keep keys", new=True)) == FAULT


@pytest.mark.parametrize(
    ("description", "lines", "penalty"),
    [
        ("add keys", ("+a",), 0),
        ("add keys", ("-a",), FAULT),
        ("remove keys", ("+a",), FAULT),
        ("remove keys", ("-a", "+b"), 0),
        ("remove duplicate keys", ("-a", "+b"), FAULT),
    ],
)
def test_direction(description: str, lines: tuple[str, ...], penalty: int) -> None:
    assert contradictions.direction_penalty(candidate(f"fix: {description}", *lines)) == penalty


@pytest.mark.parametrize(("described", "penalty"), [("user_key", 0), ("other_key", FAULT), ("userKeyz", FAULT)])
def test_name(described: str, penalty: int) -> None:
    assert contradictions.name_penalty(candidate(f"fix: keep {described}")) == penalty


def test_misspelt() -> None:
    assert contradictions.misspelt_penalty(candidate("fix: keep the workflor", "+workflow")) == FAULT
    assert contradictions.misspelt_penalty(candidate("fix: keep the workflow", "+workflow")) == 0
