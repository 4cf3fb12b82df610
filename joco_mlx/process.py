"""The only place that starts another program.

Decides how a program is found, how its environment is made, and how its failure is told. Leaves what to run to its
callers.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from joco_mlx.errors import MachineError


class Child(subprocess.Popen[bytes]):
    """A program that runs and is listened to."""

    stdout: IO[bytes]


class Partner(Child):
    """A program that runs, is listened to and spoken to."""

    stdin: IO[bytes]


@dataclass(frozen=True)
class Finished:
    """A program that has ended: its exit code (negative for a signal) and what it wrote."""

    code: int
    stdout: bytes
    stderr: bytes

    @property
    def complaint(self) -> str:
        """The last line of standard error that says something."""
        lines = self.stderr.decode("utf-8", "replace").strip().splitlines()
        return lines[-1].strip() if lines else f"exit code {self.code}"


def find(program: str, hint: str = "") -> str:
    """Return the path of `program`, or raise MachineError with `hint` when it is not on PATH."""
    path = shutil.which(program)
    if path is None:
        raise MachineError(f"The program {program!r} is not on PATH.", hint or f"Install {program} and try again.")
    return path


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str | None] | None = None,
    stdin: bytes = b"",
    timeout_seconds: float | None = None,
) -> Finished:
    """Run `command` to its end and return what it wrote; never raises for its exit code.

    Args:
        command: Program and arguments; no shell ever reads them.
        cwd: Folder to run in.
        env: Variables laid over this process's own; None takes one away.
        stdin: What the program reads.
        timeout_seconds: Kill it after this long and raise MachineError.
    """
    words = [find(str(command[0])), *map(str, command[1:])]
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env=_environment(env),
            input=stdin,
            capture_output=True,
            timeout=timeout_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise MachineError(f"{command[0]} did not end within {timeout_seconds:g} seconds.") from None
    return Finished(done.returncode, done.stdout, done.stderr)


def run_in_terminal(command: Sequence[str | Path], *, cwd: Path | None = None) -> int:
    """Run a program that talks to the person itself, like an editor, and return its exit code."""
    words = [find(str(command[0])), *map(str, command[1:])]
    return subprocess.run(words, cwd=cwd, check=False).returncode


@contextmanager
def stream(
    command: Sequence[str | Path], *, stdin: IO[bytes], stderr: IO[bytes], env: Mapping[str, str | None] | None = None
) -> Iterator[Child]:
    """Run `command` with its standard output as a pipe to read from; it is killed when the block is left early.

    `stdin` and `stderr` are files, so that a program which writes much to standard error can never block.
    """
    words = [find(str(command[0])), *map(str, command[1:])]
    child = Child(words, stdin=stdin, stdout=subprocess.PIPE, stderr=stderr, env=_environment(env), bufsize=1 << 20)
    try:
        yield child
    finally:
        child.stdout.close()
        if child.poll() is None:
            child.kill()
        child.wait()


@contextmanager
def converse(command: Sequence[str | Path], *, stderr: IO[bytes]) -> Iterator[Partner]:
    """Run `command` with pipes to write to and to read from; it is killed when the block is left early.

    It is in a session of its own: Ctrl-C in the terminal reaches this process only, which decides what to hand on. The
    pipe to it closes when this process dies, however that happens, so that it can notice.
    """
    words = [find(str(command[0])), *map(str, command[1:])]
    child = Partner(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, start_new_session=True)
    try:
        yield child
    finally:
        if child.poll() is None:
            child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            with suppress(BrokenPipeError):  # what it did not read before it ended
                pipe.close()


def _environment(extra: Mapping[str, str | None] | None) -> dict[str, str] | None:
    if extra is None:
        return None
    return {name: value for name, value in {**os.environ, **extra}.items() if value is not None}
