"""Where every failure ends: two sentences, the right exit code, and no traceback."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from joco_mlx import errors
from joco_mlx.cli import main, settings
from joco_mlx.config import TABLES, SuggestConfig, TrainConfig, user_file


def raising(problem: BaseException) -> Callable[[], None]:
    def app() -> None:
        raise problem

    return app


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (errors.UsageError("A.", "B."), 2),
        (errors.InputError("A.", "B."), 3),
        (errors.MachineError("A.", "B."), 4),
        (errors.ConflictError("A.", "B."), 5),
        (errors.VerificationError("A.", "B."), 6),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_every_kind_of_error_has_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], problem: errors.JocoError, code: int
) -> None:
    monkeypatch.setattr(main, "app", raising(problem))
    with pytest.raises(SystemExit) as caught:
        main.main()
    assert caught.value.code == code
    assert capsys.readouterr().err == "Error: A.\n  B.\n"


def test_a_bug_is_told_without_a_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("JOCO_MLX_DEBUG", raising=False)
    monkeypatch.setattr(main, "app", raising(ZeroDivisionError("by zero\nand more")))
    with pytest.raises(SystemExit) as caught:
        main.main()
    assert caught.value.code == 70
    told = capsys.readouterr().err
    assert "ZeroDivisionError: by zero" in told
    assert "JOCO_MLX_DEBUG=1" in told
    assert "Traceback" not in told


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOCO_MLX_DEBUG", "1")
    monkeypatch.setattr(main, "app", raising(ZeroDivisionError("by zero")))
    with pytest.raises(ZeroDivisionError):
        main.main()


def test_ctrl_c_ends_as_shells_expect(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Inside a command, where typer catches it first."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(raising(KeyboardInterrupt()))
    monkeypatch.setattr(main, "app", app)
    monkeypatch.setattr(sys, "argv", ["joco-mlx"])
    with pytest.raises(SystemExit) as caught:
        main.main()
    assert (caught.value.code, capsys.readouterr().err) == (130, "Interrupted.\n")


def test_ctrl_c_at_a_question_ends_so_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """By what typer makes of it; the signal itself could come before the question is read."""
    app = typer.Typer(cls=type(typer.main.get_command(main.app)), pretty_exceptions_enable=False)
    app.command("ask")(raising(typer.Abort()))
    app.command("other")(raising(ZeroDivisionError()))
    monkeypatch.setattr(main, "app", app)
    monkeypatch.setattr(sys, "argv", ["joco-mlx", "ask"])
    with pytest.raises(SystemExit) as caught:
        main.main()
    assert (caught.value.code, capsys.readouterr().err) == (130, "Interrupted.\n")


def test_ctrl_c_before_the_first_command_is_known_ends_so_too() -> None:
    """While modules are read: the signal comes when Python asks where the command table is."""
    program = """
import os, signal, sys

class Interrupting:
    def find_spec(self, name, *_):
        if name == "joco_mlx.cli.main":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
from joco_mlx.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Interrupted.\n")


def run(*words: str, cwd: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "100", "JOCO_MLX_DEBUG": ""}
    return subprocess.run(
        [sys.executable, "-m", "joco_mlx", *words],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment,
        check=False,
    )


def test_an_unknown_option_is_a_usage_error_that_names_it() -> None:
    done = run("train", "--lerning-rate", "1")
    assert done.returncode == 2
    assert "--lerning-rate" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "--steps", "abc"], "Invalid value for '--steps': 'abc' is no whole number."),
        (["train", "--steps", "1.5"], "Invalid value for '--steps': '1.5' is no whole number."),
        (["bench", "run", "--cases", "x", "--timeout", "soon"], "Invalid value for '--timeout': 'soon' is no number."),
        (["dataset", "build", "--jobs", "0"], "Invalid value for '--jobs': 0 is less than 1."),
        (["suggest", "--engine", "foo"], "Invalid value for '--engine': 'foo' is not one of 'mlx', 'ollama'."),
    ],
    ids=["int", "fraction", "float", "range", "choice"],
)
def test_a_value_that_an_option_cannot_take_is_named(words: list[str], said: str) -> None:
    done = CliRunner().invoke(main.app, words)
    assert (done.exit_code, done.output.strip().splitlines()[-1]) == (2, f"Error: {said}")


def test_a_repository_may_not_choose_the_model(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / ".joco-mlx.toml").write_text('[suggest]\nmodel = "evil/model"\n')
    with pytest.raises(errors.InputError, match="'model', which a repository may not choose"):
        settings.settings(SuggestConfig, "suggest", {}, repository=tmp_path)


@pytest.mark.parametrize(
    ("stage", "text", "ways"),
    [
        ("suggest", 'model = "a"', "Set it by --model, or below [suggest] in your own {user}."),
        ("suggest", "keep_edits = true", "Set it below [suggest] in your own {user}."),
        ("fuse", 'merge_into = "a"', "Set it by --from, or below [fuse] in your own {user}."),
        ("fuse", "force = true", "Set it by --force, or below [fuse] in your own {user}."),
        ("ollama", "force = true", "Set it by --force, or below [ollama] in your own {user}."),
        ("train", 'model = "a"', "Set it by --model, or by --config {own}, or below [train] in your own {user}."),
    ],
)
def test_only_ways_that_there_are_are_named(tmp_path: Path, stage: str, text: str, ways: str) -> None:
    own = tmp_path / ".joco-mlx.toml"
    own.write_text(f"[{stage}]\n{text}\n")
    with pytest.raises(errors.InputError) as caught:
        settings.settings(TABLES[stage], stage, {}, repository=tmp_path)
    assert caught.value.hint == ways.format(user=user_file(), own=own)


def test_what_is_no_setting_of_a_table_is_told_before_whether_it_may_be_set(tmp_path: Path) -> None:
    (tmp_path / ".joco-mlx.toml").write_text('[extract]\nmodel = "a"\n')
    with pytest.raises(errors.InputError, match="sets 'model', which is no setting"):
        settings.settings(TABLES["extract"], "extract", {}, repository=tmp_path)


def test_a_config_that_is_not_there_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(errors.InputError, match=r"There is no file .*absent\.toml\.") as caught:
        settings.train_settings({}, file=tmp_path / "absent.toml")
    assert "[train]" in caught.value.hint


@pytest.mark.parametrize("given", [True, False], ids=["by --config", "of the user"])
def test_a_config_in_a_folder_that_nobody_may_enter_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: bool
) -> None:
    """By refusals of its own, because root may enter everything."""
    path = tmp_path / "closed" / "mine.toml"

    def refuse(asked: Path, *_: object, **__: object) -> str:
        if asked == path:
            raise PermissionError(errno.EACCES, "Permission denied", str(asked))
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(asked))

    for name in ("stat", "read_text"):
        monkeypatch.setattr(Path, name, refuse)
    monkeypatch.setattr(settings.config, "user_file", lambda: path)
    with pytest.raises(errors.InputError, match=r"mine\.toml cannot be read: Permission denied"):
        settings.train_settings({}, file=path if given else None)


def test_a_registry_entry_yields_to_a_flag_and_to_a_file(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)
    better = settings.train_settings({"model": "smollm2-135m"})
    assert better.learning_rate != TrainConfig().learning_rate
    (tmp_path / "mine.toml").write_text("[train]\nlearning_rate = 0.003\nrank = 4\n")
    made = settings.train_settings({"model": "smollm2-135m", "rank": 2}, file=tmp_path / "mine.toml")
    assert (made.learning_rate, made.rank, made.steps) == (0.003, 2, better.steps)
