"""What a person sees, and what a pipe gets."""

import json
import os
import pty
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from joco_mlx.cli import render
from joco_mlx.errors import InputError
from joco_mlx.progress import task


def test_an_error_is_two_sentences_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    render.error(InputError("There is no dataset at [bold]x[/bold].", "Make one: joco-mlx dataset curate"))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "Error: There is no dataset at [bold]x[/bold].",
        "  Make one: joco-mlx dataset curate",
    ]


HOSTILE = "\x1b]0;owned\x07\x1b[31mred\x9b1m \u202egnp \udc80"
SPELT = r"\x1b]0;owned\x07\x1b[31mred\x9b1m \u202egnp \udc80"


def test_a_name_from_a_foreign_file_cannot_steer_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    render.say(HOSTILE)
    render.heading(HOSTILE)
    render.warn(HOSTILE)
    render.error(InputError(HOSTILE, HOSTILE))
    with render.progress() as progress, task(progress, HOSTILE, 1, "steps") as work:
        work.advance(1)
        progress.note(HOSTILE)
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [SPELT, "", SPELT]
    assert captured.err.count(SPELT) == 5
    render.table(["name"], [[HOSTILE]])
    shown = captured.out + captured.err + capsys.readouterr().out
    assert not [letter for letter in HOSTILE if letter in shown and not letter.isprintable()]


def test_json_is_one_document_without_escapes_or_wrapping(capsys: pytest.CaptureFixture[str]) -> None:
    render.say_json({"text": "ä" * 500})
    assert json.loads(capsys.readouterr().out) == {"text": "ä" * 500}


def test_a_long_line_is_not_wrapped_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    render.say("word " * 100)
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_a_table_keeps_one_line_a_row_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    render.table(["name", "size"], [["x" * 300, 1], ["[red]y[/red]", 20]], right=["size"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[1] == "x" * 300 + "     1"
    assert "[red]y[/red]" in lines[2]


def test_progress_in_a_pipe_is_plain_and_ends_with_the_figures(capsys: pytest.CaptureFixture[str]) -> None:
    with render.progress() as progress, task(progress, "train", 4, "steps") as work:
        for step in range(4):
            work.advance(1, loss=1.0 / (step + 1))
        progress.note("saved")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "\x1b" not in captured.err
    assert captured.err.splitlines()[0] == "saved"
    assert captured.err.splitlines()[1].startswith("train: 4/4 steps")
    assert captured.err.splitlines()[1].endswith("loss 0.25")


def test_a_large_count_keeps_its_digits(capsys: pytest.CaptureFixture[str]) -> None:
    with render.progress() as progress, task(progress, "verify", 134_515_008, "weights") as work:
        work.advance(134_515_008)
    assert capsys.readouterr().err.startswith("verify: 134,515,008/134,515,008 weights, ")


def test_the_end_of_a_task_is_told_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(render, "PLAIN_LINE_EVERY_SECONDS", 0.0)
    with render.progress() as progress:
        with task(progress, "train", 2, "steps") as work:
            work.advance(2)
        with task(progress, "nothing", 0, "steps"):
            pass
    assert [line.split(",")[0] for line in capsys.readouterr().err.splitlines()] == [
        "train: 2/2 steps",
        "nothing: 0/0 steps",
    ]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device here is always full")
@pytest.mark.parametrize("words", [["models"], ["models", "--json"]], ids=["table", "json"])
def test_a_result_that_cannot_be_written_is_no_bug_and_no_success(words: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "joco_mlx", *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 4
    assert done.stderr.splitlines() == [
        "Error: The result could not be written to standard output: No space left on device.",
        "  Free some disk, or send the result elsewhere.",
    ]


NARROW = {"COLUMNS": "30", "TERMINAL_WIDTH": "30", "LC_ALL": "C.UTF-8", "FORCE_COLOR": "", "CLICOLOR_FORCE": ""}


@pytest.mark.parametrize("words", [["suggest", "--help"], ["models"], ["suggest", "--nothing"]])
def test_a_narrow_terminal_loses_nothing_and_a_pipe_has_no_codes(words: list[str]) -> None:
    shown = []
    for environment in (NARROW, {**NARROW, "COLUMNS": "200", "TERMINAL_WIDTH": "200"}):
        done = subprocess.run(
            [sys.executable, "-m", "joco_mlx", *words],
            capture_output=True,
            text=True,
            env={**os.environ, **environment},
            check=False,
        )
        assert done.returncode in (0, 2)
        assert "\x1b" not in done.stdout + done.stderr
        shown.append("".join((done.stdout + done.stderr).split()))
    assert shown[0] == shown[1]


@pytest.mark.parametrize("variable", ["NO_COLOR", "TERM"])
def test_a_terminal_is_asked_for_no_colour(variable: str) -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, variable: "dumb" if variable == "TERM" else "1"}
    command = [sys.executable, "-m", "joco_mlx", "suggest", "--repo", "/nowhere"]
    child = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # the other end is closed
        while piece := os.read(ours, 1 << 12):
            shown += piece
    os.close(ours)
    assert child.wait() == 3
    assert b"Error: " in shown
    assert b"\x1b[3" not in shown  # a colour; bold is none
