"""git as nobody configured it: the same bytes from the same history on every machine.

Decides which settings, variables and files may not change what git prints. Leaves what to ask git to its callers.

Tree-to-tree diffs come from plumbing, which ignores most of a user's settings; the rest is switched off here: colour,
textconv, external diffs, prefixes, grafts, replaced objects, and fetching missing objects from a promisor remote. A bare
mirror has no work tree to read attributes from, so a clone must not either: git's own folder stands for the work tree,
and the index is one that does not exist.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from joco_mlx import process

_EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
_SETTINGS = (
    "core.quotePath=false",
    f"core.attributesFile={os.devnull}",
    f"attr.tree={_EMPTY_TREE}",
    "diff.suppressBlankEmpty=false",
    "diff.renameLimit=1000",
    "protocol.allow=never",
)
_VARIABLES = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_GRAFT_FILE": os.devnull,
    "GIT_INDEX_FILE": "joco-mlx-reads-no-index",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
    "LC_ALL": "C",
    # glibc returns the memory of every larger file to the system and asks for it again: a quarter of git's CPU time.
    "MALLOC_MMAP_THRESHOLD_": str(64 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(128 << 20),
}
_KEPT = ("GIT_EXEC_PATH",)
DIFF_OPTIONS = (
    "--patch",
    "--unified=3",
    "--inter-hunk-context=0",
    "--diff-algorithm=myers",
    "--indent-heuristic",
    "--find-renames",
    "--full-index",
    "--submodule=short",
    "--ignore-submodules=none",
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    "--no-relative",
    "--src-prefix=a/",
    "--dst-prefix=b/",
)
"""How a patch looks: what `git diff` prints for somebody who has configured nothing, but whole object names."""


@dataclass(frozen=True)
class PlainGit:
    """git on one repository, deaf to every setting outside this module."""

    git_dir: Path

    def command(self, *words: str) -> list[str]:
        """Return the command line of a git command."""
        settings = [word for setting in _SETTINGS for word in ("-c", setting)]
        place = str(self.git_dir.absolute())
        return ["git", "-C", place, f"--git-dir={place}", f"--work-tree={place}", *settings, *words]

    def run(self, *words: str) -> process.Finished:
        """Run a git command that prints little to its end."""
        return process.run(self.command(*words), env=_environment(None))

    @contextmanager
    def stream(
        self, *words: str, stdin: IO[bytes], stderr: IO[bytes], graft_file: Path | None = None
    ) -> Iterator[process.Child]:
        """Run a git command whose output is read while it runs; `graft_file` holds parents of our own choice."""
        with process.stream(self.command(*words), stdin=stdin, stderr=stderr, env=_environment(graft_file)) as child:
            yield child


def _environment(graft_file: Path | None) -> dict[str, str | None]:
    """Return our variables, and None for every other variable that git reads (a hook sets GIT_DIR, for one)."""
    foreign: Sequence[str] = [name for name in os.environ if name.startswith("GIT_") and name not in _KEPT]
    made: dict[str, str | None] = {**dict.fromkeys(foreign), **_VARIABLES}
    return made if graft_file is None else {**made, "GIT_GRAFT_FILE": str(graft_file)}
