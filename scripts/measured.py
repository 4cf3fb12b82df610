"""Run one command of a proof, and know what it took: wall time and peak memory.

On macOS the figure is the footprint that the system itself charges the process with, which counts Metal's buffers;
the resident size, all that other systems tell, does not.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_BSD_TIME = "/usr/bin/time"
_FOOTPRINT = re.compile(r"^\s*(\d+)\s+peak memory footprint$", re.MULTILINE)
_RESIDENT = re.compile(r"^\s*(\d+)\s+maximum resident set size$", re.MULTILINE)


@dataclass(frozen=True)
class Stage:
    """A command that has ended."""

    name: str
    command: tuple[str, ...]
    exit_code: int
    wall_seconds: float
    peak_bytes: int


def run_stage(name: str, command: Sequence[str], folder: Path) -> Stage:
    """Run `command` in `folder`, its output shown as it comes, and measure it."""
    with tempfile.TemporaryDirectory() as temporary:
        report = Path(temporary) / "time"
        prefix = [_BSD_TIME, "-l", "-o", str(report)] if sys.platform == "darwin" else []
        started = time.monotonic()
        child = subprocess.Popen([*prefix, *command], cwd=folder)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - started
        peak = read_bsd_time(report.read_text()) if report.is_file() else usage.ru_maxrss * 1024
    return Stage(name, tuple(command), child.returncode, round(seconds, 2), peak)


def read_bsd_time(report: str) -> int:
    """Return the peak in bytes from what macOS's `time -l` wrote: the footprint, or the resident size without one."""
    found = _FOOTPRINT.search(report) or _RESIDENT.search(report)
    return int(found.group(1)) if found else 0
