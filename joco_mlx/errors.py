"""Every failure that a user can cause or repair, and the exit code that each kind ends with.

Decides how an error is worded (what is wrong, with the value; what to do next) and what the process returns. Leaves
printing to `cli`, which catches `JocoError` in one place. Anything else that reaches the top is a bug in this program.
"""

from typing import ClassVar


class JocoError(Exception):
    """A failure told in two sentences: what is wrong, and the next command to run.

    Attributes:
        message: One sentence that names the offending value.
        hint: One sentence that says what to do next, usually a command. May be empty.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[type["JocoError"], tuple[str, str]]:
        """Keep the hint when a worker process hands the error to its parent."""
        return type(self), (self.message, self.hint)


class UsageError(JocoError):
    """An option or argument that cannot be what was meant."""

    exit_code = 2


class InputError(JocoError):
    """A repository, dataset, model folder or file that is not what it should be."""

    exit_code = 3


class MachineError(JocoError):
    """Something this machine lacks: a program, disk, memory, a network, an operating system feature."""

    exit_code = 4


class ConflictError(JocoError):
    """An output that exists already, or a run that another process holds."""

    exit_code = 5


class VerificationError(JocoError):
    """A check ran to its end, and what it checked is wrong."""

    exit_code = 6


class StoppedError(JocoError):
    """The user stopped it. What was done so far is kept; 128 + SIGINT, as shells report it."""

    exit_code = 130
