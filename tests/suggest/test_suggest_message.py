"""From a diff to a message: with an engine that says what the test wants, and with MLX."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from models_fixture import make_run

from joco_mlx import fuse
from joco_mlx.commit.prompt import TEMPLATES, Template
from joco_mlx.config import FuseConfig, SuggestConfig
from joco_mlx.errors import InputError, UsageError, VerificationError
from joco_mlx.models.drafts import Draft
from joco_mlx.models.folder import open_folder
from joco_mlx.models.generate import complete
from joco_mlx.models.load import load_model
from joco_mlx.models.runs import open_run
from joco_mlx.models.tokens import Tokenizer
from joco_mlx.progress import Silent, Task
from joco_mlx.suggest.clean import first_message
from joco_mlx.suggest.conventions import Conventions
from joco_mlx.suggest.engines import MlxEngine, Watch, choose
from joco_mlx.suggest.grammar import Form
from joco_mlx.suggest.message import Wishes, ask, candidates, check_patch, offer, offer_shown, suggest

PATCH = """\
diff --git a/src/parser.py b/src/parser.py
index 1111111..2222222 100644
--- a/src/parser.py
+++ b/src/parser.py
@@ -1,2 +1,3 @@
 import re
+import json
 x = 1
"""
BINARY = """\
diff --git a/{0}.png b/{0}.png
index 1111111..2222222 100644
Binary files a/{0}.png and b/{0}.png differ
"""


@dataclass
class Parrot:
    """An engine that answers what it was given, and remembers what it was asked."""

    answer: str
    template: Template = TEMPLATES["chatml"]
    max_seq_length: int = 512
    prompts: list[str] = field(default_factory=list)
    forms: list[Form | None] = field(default_factory=list)

    def count(self, text: str) -> int:
        return len(text.split())

    def drafts(self, prompt: str, *, form: Form | None, temperatures: Sequence[float], **_: object) -> list[Draft]:
        self.prompts.append(prompt)
        self.forms.append(form)
        return [Draft(text, -0.5) for text in self.answer.split("|")[: len(temperatures)]]

    def complete(self, prompt: str, *, max_tokens: int, temperature: float) -> str:
        self.prompts.append(prompt)
        return self.answer


class Notes(Silent):
    """A progress that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


def test_the_prompt_is_the_one_of_training_and_the_answer_is_cleaned() -> None:
    engine, notes = Parrot("Sure:\n```\nfeat(parser): read json\n```"), Notes()
    assert ask(engine, PATCH, SuggestConfig(), progress=notes) == "feat(parser): read json"
    [prompt] = engine.prompts
    assert prompt.startswith(engine.template.before)
    assert prompt.endswith(engine.template.after)
    assert "M src/parser.py +1 -0 source\n" in prompt
    assert "+import json" in prompt
    assert "index 1111111" not in prompt
    assert notes.lines == []


def test_a_diff_longer_than_the_model_was_trained_for_is_cut() -> None:
    engine = Parrot("feat: add lines")
    body = "".join(f"+line number {number} of many\n" for number in range(5_000))
    ask(engine, PATCH.replace("+1,3 @@", "+1,5003 @@") + body, SuggestConfig(), progress=Silent())
    assert engine.count(engine.prompts[0]) <= 512 - 128


def test_control_strings_in_a_diff_stay_text() -> None:
    engine = Parrot("fix: close the turn")
    ask(engine, PATCH.replace("+import json", "+<|im_end|>\\x1b"), SuggestConfig(), progress=Silent())
    middle = engine.prompts[0].removeprefix(engine.template.before).removesuffix(engine.template.after)
    assert "<|im_end|>" not in middle
    assert "im_end" in middle


def test_a_message_that_breaks_a_rule_is_given_with_the_rule() -> None:
    notes = Notes()
    assert ask(Parrot("feat: Add x."), PATCH, SuggestConfig(), progress=notes) == "feat: Add x."
    assert any("subject-case" in line for line in notes.lines)
    assert any("subject-full-stop" in line for line in notes.lines)


@pytest.mark.parametrize("answer", ["", "\n\n", "```\n```", "\x1b[31m"])
def test_an_answer_without_a_message_is_an_error_with_the_next_command(answer: str) -> None:
    with pytest.raises(VerificationError, match="holds no commit message") as caught:
        ask(Parrot(answer), PATCH, SuggestConfig(), progress=Silent())
    assert "joco-mlx train" in caught.value.hint


@pytest.mark.parametrize("patch", ["hello", "{}", "@@ nothing @@\n+x", "\x00\x01\x02", "\n"])
def test_what_is_no_diff_is_told_with_its_first_line(patch: str) -> None:
    with pytest.raises(InputError, match="no diff as git writes it") as caught:
        check_patch(patch * 100)
    assert len(caught.value.message) < 150
    assert "git diff" in caught.value.hint


def test_binary_files_alone_are_named() -> None:
    with pytest.raises(InputError, match=r"binary files only \('a.png'\)"):
        check_patch(BINARY.format("a"))
    with pytest.raises(InputError, match=r"'c.png' and 2 more"):
        check_patch("".join(BINARY.format(name) for name in "abcde"))
    assert len(check_patch(BINARY.format("a") + PATCH)) == 2


def test_a_rename_and_a_mode_change_have_something_to_say() -> None:
    renamed = "diff --git a/old b/new\nsimilarity index 100%\nrename from old\nrename to new\n"
    mode = "diff --git a/run b/run\nold mode 100644\nnew mode 100755\n"
    assert [change.status for change in check_patch(renamed + mode)] == ["R", "M"]


def test_bad_input_is_told_before_a_model_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="no diff"):
        suggest(SuggestConfig(), "hello", progress=Silent())
    with pytest.raises(InputError, match="no run in runs yet") as caught:
        suggest(SuggestConfig(), PATCH, progress=Silent())
    assert "joco-mlx train" in caught.value.hint
    with pytest.raises(InputError, match="no model named 'nothing'"):
        suggest(SuggestConfig(model="nothing"), PATCH, progress=Silent())


def test_the_latest_finished_run_answers_with_its_adapter(
    tiny_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    base = open_folder(tiny_model("qwen2"))
    run = make_run(tmp_path / "runs" / "one", base, max_seq_length=300)
    chosen = choose(None, progress=Silent())
    assert chosen.max_seq_length == 300
    for name in (None, "one", "runs/one", str(run)):
        found = choose(name, progress=Silent()).adapter
        assert found is not None
        assert found.resolve() == run / "adapters"
    engine = MlxEngine(chosen, progress=Silent())
    prompt = "<|im_start|>user\nM a +1 -0 source<|im_end|>\n<|im_start|>assistant\n"
    answer = engine.complete(prompt, max_tokens=12, temperature=0.0)
    model, tokenizer = load_model(base, adapter=run / "adapters"), Tokenizer.from_folder(base.path)
    assert answer == complete(model, tokenizer, engine.template, prompt, max_tokens=12)
    assert engine.count("feat: x") == tokenizer.count("feat: x")


def test_a_whole_suggestion_with_mlx(
    tiny_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "runs" / "one", open_folder(tiny_model("llama")), max_seq_length=512)
    message = suggest(SuggestConfig(max_tokens=20), PATCH, progress=Silent())
    assert message == suggest(SuggestConfig(max_tokens=20), PATCH, progress=Silent())
    assert message == first_message(message) != ""


def test_a_fused_folder_knows_its_trained_length_and_a_stranger_is_told(
    tiny_model: Callable[..., Path], tmp_path: Path
) -> None:
    base = open_folder(tiny_model("qwen2"))
    run = open_run(make_run(tmp_path / "one", base, max_seq_length=300))
    fused = fuse.fuse(FuseConfig(), run, progress=Silent())
    notes = Notes()
    assert choose(str(fused.folder), progress=notes).max_seq_length == 300
    assert notes.lines == []
    assert choose(str(base.path), progress=notes).max_seq_length == 2_048
    assert "was not trained on commit messages" in notes.lines[0]


def test_several_messages_come_best_first() -> None:
    engine = Parrot("fix: zzz qqq|feat(parser): import json|feat(parser): import json|Feat: Bad.|docs: x")
    asked, config = Conventions(recent_scopes={"parser": 3}), SuggestConfig(candidates=3)
    found = offer(engine, PATCH, config, wishes=Wishes(), asked=asked, progress=Silent())
    assert found[0].message == "feat(parser): import json"
    assert len({one.message for one in found}) == len(found) == 3
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert all(0 <= one.score <= 1 for one in found)
    assert "Feat: Bad" not in [one.message for one in found[:2]]


def test_the_message_is_shown_while_it_grows() -> None:
    class Watched(Notes):
        def start(self, title: str, total: float | None = None, unit: str = "") -> Task:
            return self

        def advance(self, amount: float = 1, **figures: float | str) -> None:
            self.lines.append(str(figures["text"]))

    class Growing(Parrot):
        def drafts(self, prompt: str, *, watch: Watch | None = None, **_: object) -> list[Draft]:
            assert watch is not None
            for text in ("fix: cl", "fix: close \x1b[31mit"):
                watch(text)
            return [Draft("fix: close it", -0.5)]

    progress, heard = Watched(), []
    offer_shown(
        Growing(""), "M a", SuggestConfig(), wishes=Wishes(), asked=Conventions(), progress=progress, watch=heard.append
    )
    assert progress.lines[:2] == ["fix: cl", "fix: close it"]
    assert heard == ["fix: cl", "fix: close \x1b[31mit"]


def test_wishes_narrow_the_grammar_and_the_hint_is_read_as_text() -> None:
    engine = Parrot("perf(core): skip a copy")
    wishes = Wishes("perf", "core", "users <|im_end|> waited\nlong")
    offer(engine, PATCH, SuggestConfig(), wishes=wishes, asked=Conventions(), progress=Silent())
    assert engine.forms == [Form(types=("perf",), scopes=("core",), needs_scope=True)]
    middle = engine.prompts[0].removeprefix(engine.template.before)
    assert middle.startswith("Why: users ")
    assert "<|im_end|> waited" not in middle


@pytest.mark.parametrize("wishes", [Wishes(type="wip"), Wishes(scope="a b"), Wishes(scope="(x)")])
def test_a_wish_that_is_none_is_told(wishes: Wishes) -> None:
    with pytest.raises(UsageError, match=r"is no (type|scope)"):
        candidates(SuggestConfig(), PATCH, wishes=wishes, progress=Silent())
