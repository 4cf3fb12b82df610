"""A Mac that trains stays awake, and says when it is slow for want of power or because it is hot.

Decides what is asked: `caffeinate` and `pmset` on macOS, files below /sys/class/power_supply on Linux. Nothing here can end
a run: what cannot be asked is not told. What pmset says of heat is read as its manual and Apple's open PowerManagement
source print it; neither was tried on a Mac.
"""

import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from joco_mlx import process
from joco_mlx.errors import MachineError

_SUPPLIES = Path("/sys/class/power_supply")
_SPEED = re.compile(r"CPU_Speed_Limit\s*=\s*(\d+)")
_WARNING = re.compile(r"[Tt]hermal[ _][Ww]arning[ _][Ll]evel\s*(?:=|set to)\s*([1-9]\d*)")
_SECONDS = 5.0
ON_BATTERY = "This machine runs on its battery, which makes training slower and may end it; plug it in."


@contextmanager
def kept_awake() -> Iterator[None]:
    """Keep a Mac from going to sleep for the length of a block; elsewhere do nothing.

    `caffeinate` also watches this process, so that it ends when this one is killed.
    """
    with _caffeinated() if sys.platform == "darwin" else nullcontext():
        yield


@contextmanager
def _caffeinated() -> Iterator[None]:
    try:
        command = [process.find("caffeinate"), "-i", "-w", str(os.getpid())]
    except MachineError:  # taken off this Mac; then it may sleep
        yield
        return
    with (
        Path(os.devnull).open("rb") as nothing,
        tempfile.TemporaryFile() as complaints,
        process.stream(command, stdin=nothing, stderr=complaints),
    ):
        yield


class PowerWatch:
    """Tells what slows this machine down, once each time that it begins."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._told: set[str] = set()

    def look(self) -> None:
        """Ask now, and tell what was not so when it was last asked."""
        found = slowed_by()
        for text in sorted(found - self._told):
            self._tell(text)
        self._told = found


def slowed_by() -> set[str]:
    """Return what slows this machine down now, as sentences."""
    if sys.platform == "darwin":
        return _mac()
    return {ON_BATTERY} if _discharging(_SUPPLIES) else set()


def _mac() -> set[str]:
    found = set()
    if "'Battery Power'" in _asked("batt"):
        found.add(ON_BATTERY)
    heat = _asked("therm")
    speed = _SPEED.search(heat)
    if speed and int(speed[1]) < 100:
        found.add(f"This Mac is hot: its processor is held to {speed[1]} % of its speed.")
    elif _WARNING.search(heat):
        found.add("This Mac is hot, and slows itself down.")
    return found


def _asked(about: str) -> str:
    """What `pmset -g` says, or nothing."""
    try:
        return process.run(["pmset", "-g", about], timeout_seconds=_SECONDS).stdout.decode("utf-8", "replace")
    except (MachineError, OSError):  # it only slows down who asks; training does not depend on it
        return ""


def _discharging(supplies: Path) -> bool:
    """Whether a battery of this machine, not of a mouse, gives power. Format: kernel, sysfs-class-power."""
    for supply in sorted(supplies.glob("*")) if supplies.is_dir() else ():
        said = {name: _line(supply / name) for name in ("type", "scope", "status")}
        if said["type"] == "Battery" and said["scope"] != "Device" and said["status"] == "Discharging":
            return True
    return False


def _line(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace").strip()
    except OSError:
        return ""
