"""git as nobody configured it: the same bytes from the same history on every machine.

Decides which settings, variables and files may not change what git prints. Leaves what to ask git to its callers.

Tree-to-tree diffs come from plumbing, which ignores most of a user's settings; the rest is switched off here: colour,
textconv, external diffs, prefixes, grafts, replaced objects, and fetching missing objects from a promisor remote. A bare
mirror has no work tree to read attributes from, so a clone must not either: git's own folder stands for the work tree,
and the index is one that does not exist. No setting switches `info/attributes` off; where there is such a file, an empty
repository with the same objects is asked instead.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from joco_mlx import process
from joco_mlx.errors import MachineError

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
    objects: Path | None = None
    """Where the objects are, when that is in another repository."""

    def command(self, *words: str) -> list[str]:
        """Return the command line of a git command."""
        settings = [word for setting in _SETTINGS for word in ("-c", setting)]
        place = str(self.git_dir.absolute())
        return ["git", "-C", place, f"--git-dir={place}", f"--work-tree={place}", *settings, *words]

    def run(self, *words: str) -> process.Finished:
        """Run a git command that prints little to its end."""
        return process.run(self.command(*words), env=self._environment(None))

    @contextmanager
    def without_attributes(self) -> Iterator["PlainGit"]:
        """Give git on the same objects, but without this repository's `info/attributes`; it knows no branch and no tag.

        Raises:
            MachineError: git cannot make the empty repository that this takes.
        """
        shared = self._shared()
        attributes = shared / "info" / "attributes"
        if not attributes.is_file() or attributes.stat().st_size == 0:
            yield self
            return
        hashes = self.run("rev-parse", "--show-object-format").stdout.decode("ascii").strip()
        with tempfile.TemporaryDirectory(prefix="joco-mlx-git-") as folder:
            words = ["git", "init", "--quiet", "--bare", "--template=", f"--object-format={hashes}", folder]
            made = process.run(words, env=self._environment(None))
            if made.code != 0:
                raise MachineError(
                    f"git cannot make a repository in {folder}: {made.complaint}.", f"Or move {attributes} away."
                )
            yield PlainGit(Path(folder), shared / "objects")

    def _shared(self) -> Path:
        """Return the folder that all worktrees of a repository share."""
        pointer = self.git_dir / "commondir"
        return self.git_dir / pointer.read_text("utf-8").strip() if pointer.is_file() else self.git_dir

    @contextmanager
    def stream(
        self, *words: str, stdin: IO[bytes], stderr: IO[bytes], graft_file: Path | None = None
    ) -> Iterator[process.Child]:
        """Run a git command whose output is read while it runs; `graft_file` holds parents of our own choice."""
        with process.stream(
            self.command(*words), stdin=stdin, stderr=stderr, env=self._environment(graft_file)
        ) as child:
            yield child

    def _environment(self, graft_file: Path | None) -> dict[str, str | None]:
        """Return our variables, and None for every other variable that git reads (a hook sets GIT_DIR, for one)."""
        foreign: Sequence[str] = [name for name in os.environ if name.startswith("GIT_") and name not in _KEPT]
        made: dict[str, str | None] = {**dict.fromkeys(foreign), **_VARIABLES}
        if graft_file is not None:
            made["GIT_GRAFT_FILE"] = str(graft_file)
        if self.objects is not None:
            made["GIT_OBJECT_DIRECTORY"] = str(self.objects.absolute())
        return made
