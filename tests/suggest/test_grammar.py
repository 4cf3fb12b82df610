"""The form that decoding cannot leave, held against commitlint's verdicts."""

import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from llguidance import LLMatcher, LLTokenizer

from joco_mlx.commit.grammar import TYPES
from joco_mlx.commit.message import is_valid, parse
from joco_mlx.commit.prompt import TEMPLATES, render
from joco_mlx.models.drafts import Constraint, Writer, draft
from joco_mlx.models.folder import open_folder
from joco_mlx.models.load import load_model
from joco_mlx.models.tokens import Tokenizer
from joco_mlx.suggest.grammar import Form

FORMS = {
    "any": Form(),
    "one type": Form(types=("fix",)),
    "scopes": Form(scopes=("core", "a/b", "ui.kit"), needs_scope=True),
    "a fixed scope": Form(scopes=("parser",), needs_scope=True, types=("feat", "fix")),
    "no scope": Form(forbids_scope=True),
    "short": Form(header_chars=30),
    "a short subject": Form(subject_chars=12),
    "a body": Form(body=True),
}


@pytest.fixture(scope="module")
def parts(tiny_model: Callable[..., Path]) -> tuple[object, Tokenizer]:
    folder = open_folder(tiny_model("qwen2"))
    return load_model(folder), Tokenizer.from_folder(folder.path)


@pytest.mark.parametrize("name", FORMS)
def test_a_random_model_writes_valid_messages_only(name: str, parts: tuple[object, Tokenizer]) -> None:
    form, (model, tokenizer) = FORMS[name], parts
    prompt = render(TEMPLATES["chatml"], "M a.py +1 -0 source\n")
    heat = [0.0, *[1.5] * 5]
    made = draft(
        model,
        tokenizer,
        TEMPLATES["chatml"],
        prompt,
        rules=(Constraint(tokenizer, TEMPLATES["chatml"]), form.grammar()),
        temperatures=heat,
        max_tokens=20,
    )  # type: ignore[arg-type]
    assert len(made) == len(heat)
    for one in made:
        header, _, rest = one.text.partition("\n")
        assert is_valid(one.text), one.text
        assert form.admits(header), header
        assert len(header) <= min(72, form.header_chars)
        assert form.body or not rest
        assert one.likelihood is not None
        assert one.likelihood < 0
        shorter = form.shortened(header, was_cut=one.was_cut)
        assert is_valid(shorter)
        assert form.admits(shorter)


def test_every_message_of_the_form_is_valid_to_commitlint(parts: tuple[object, Tokenizer]) -> None:
    """Drawn from the grammar alone, without a model: 100 walks through it."""
    _, tokenizer = parts
    constraint = Constraint(tokenizer, TEMPLATES["chatml"])
    end, draw = tokenizer.end_id(TEMPLATES["chatml"]), random.Random(5)
    for _ in range(100):
        matcher, ids = constraint.matcher(Form().grammar()), []
        while not matcher.is_stopped():
            token = draw.choice(constraint.allowed(matcher).nonzero()[0].tolist())
            if token == end:
                break
            matcher.consume_token(token)
            ids.append(token)
        text = tokenizer.decode(ids)
        assert is_valid(text), text
        assert len(text) <= 72
        assert parse(text) is not None


def test_the_first_draft_is_the_likeliest_and_every_draft_reads_the_same_prompt(
    parts: tuple[object, Tokenizer],
) -> None:
    model, tokenizer = parts
    prompt = render(TEMPLATES["chatml"], "M a.py +1 -0 source\n")
    asked = {"rules": (Constraint(tokenizer, TEMPLATES["chatml"]), Form().grammar()), "max_tokens": 30}
    [alone] = draft(model, tokenizer, TEMPLATES["chatml"], prompt, temperatures=[0.0], **asked)  # type: ignore[arg-type]
    heat = [0.0, 1.0, 0.0]
    several = draft(model, tokenizer, TEMPLATES["chatml"], prompt, temperatures=heat, **asked)  # type: ignore[arg-type]
    assert several[0] == alone
    assert several[2].text == alone.text


def test_free_drafts_are_the_answers_of_free_decoding(parts: tuple[object, Tokenizer]) -> None:
    from joco_mlx.models.generate import complete

    model, tokenizer = parts
    template = TEMPLATES["chatml"]
    for text in ("M a.py +1 -0 source\n", "A b\n" * 300):
        prompt = render(template, text)
        wanted = complete(model, tokenizer, template, prompt, max_tokens=12)  # type: ignore[arg-type]
        [found] = draft(model, tokenizer, template, prompt, rules=None, temperatures=[0.0], max_tokens=12)  # type: ignore[arg-type]
        assert found.text == wanted


@given(
    st.fixed_dictionaries({"type": st.sampled_from(TYPES), "scope": st.text(max_size=30), "description": st.text()}),
    st.sampled_from(list(FORMS.values())),
)
def test_fields_become_a_header(parts: dict[str, object], form: Form) -> None:
    header = form.header_of(parts)
    assert len(header) <= form.header_chars
    assert "\n" not in header
    description = str(parts["description"])
    if description[:1].isascii() and description.isalpha() and description.isascii() and not form.needs_scope:
        assert is_valid(header) or parts["type"] not in form.types


@pytest.mark.parametrize("form", [*FORMS.values(), Form(scopes=("core",)), Form(needs_scope=True)])
def test_a_schema_is_read_back_as_its_form(form: Form) -> None:
    said_by_a_schema = replace(form, subject_chars=None, body=False)
    assert Form.of_schema(json.loads(json.dumps(form.schema()))) == said_by_a_schema


TYPE, TEXT = {"enum": ["fix"]}, {"type": "string"}


@pytest.mark.parametrize(
    "parts",
    [
        None,
        [],
        {},
        {"type": TYPE},
        {"type": TEXT, "description": TEXT},
        {"type": {"enum": []}, "description": TEXT},
        {"type": {"enum": [1]}, "description": TEXT},
        {"type": {"enum": ["a b"]}, "description": TEXT},
        {"type": {"enum": ["fix\nSTART: /.*/"]}, "description": TEXT},
        {"type": {"enum": [f"t{number}" for number in range(1_000)]}, "description": TEXT},
        {"type": TYPE, "scope": {"enum": ["a(b"]}, "description": TEXT},
        {"type": TYPE, "scope": {"enum": [""]}, "description": TEXT},
        {"type": TYPE, "scope": 3, "description": TEXT},
        {"type": TYPE, "description": {"type": "string", "maxLength": 5}},
        {"type": TYPE, "description": {"type": "string", "maxLength": "long"}},
        {"type": TYPE, "description": TEXT, "body": TEXT},
    ],
)
def test_a_schema_of_something_else_is_no_form(parts: object) -> None:
    assert Form.of_schema({"type": "object", "properties": parts}) is None


@pytest.mark.parametrize("scope", ["core", "a/b", "ui.kit"])
def test_a_scope_that_is_listed_is_kept_as_it_is(scope: str) -> None:
    form = FORMS["scopes"]
    header = form.header_of({"type": "fix", "scope": scope, "description": "Close the file."})
    assert header == f"fix({scope}): close the file"
    assert form.admits(header)


@pytest.mark.parametrize(
    ("header", "cut", "kept"),
    [
        ("feat: add a parser", False, "feat: add a parser"),
        ("feat: add a parser for di", True, "feat: add a parser for"),
        ("feat: add.", False, "feat: add"),
        ("feat: " + "word " * 20, False, "feat: " + "word " * 12 + "word"),
    ],
)
def test_a_header_ends_with_a_whole_word(header: str, cut: bool, kept: str) -> None:
    assert Form().shortened(header, was_cut=cut) == kept


@pytest.mark.parametrize(
    ("header", "is_admitted"),
    [
        ("fix: feat: x", False),
        ("test(render): test(render): x", False),
        ("fix(core): docs!: x", False),
        ("fix: fix the bug", True),
        ("fix: featured: x", True),
        ("docs: say what feat: means", True),
    ],
)
def test_a_description_is_no_second_header(header: str, is_admitted: bool) -> None:
    matcher = LLMatcher(LLTokenizer("byte"), Form().grammar())
    consumed = all(matcher.consume_token(byte) for byte in header.encode())
    assert (consumed and matcher.is_accepting()) == is_admitted == Form().admits(header)


def test_the_grammar_costs_less_than_two_milliseconds_a_token(qwen_tokenizer_folder: Path) -> None:
    """CPU time of the choice alone, by the real vocabulary of Qwen2, over the choice without a grammar."""
    tokenizer, template = Tokenizer.from_folder(qwen_tokenizer_folder), TEMPLATES["chatml"]
    constraint = Constraint(tokenizer, template)
    scores = np.random.default_rng(0).standard_normal((8, 151_936)).astype(np.float32)
    took: dict[bool, list[float]] = {True: [], False: []}
    for kind in (True, False) * 4:
        matching = (constraint, constraint.matcher(Form().grammar())) if kind else None
        writer = Writer(tokenizer, template, matching, 0.0, 24, np.random.default_rng(0))
        for step in range(24):
            began = time.thread_time()
            token = writer._chosen(scores[step % 8])
            took[kind].append(1e3 * (time.thread_time() - began))
            if matching is None:
                continue
            if token in writer.stops:
                break
            matching[1].consume_token(token)
    added = statistics.mean(sorted(took[True])[: len(took[True]) * 9 // 10]) - statistics.median(took[False])
    print(f"{added:.2f} ms a token")
    assert added < 2


def test_llguidance_is_not_loaded_for_help() -> None:
    import subprocess

    program = "import sys, joco_mlx.cli.main; print('llguidance' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "False"
