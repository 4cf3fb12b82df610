"""A Mac is kept awake while it trains, and what slows a machine down is told once."""

import os
import sys
import time
from pathlib import Path

import pytest

from joco_mlx.train import power
from joco_mlx.train.power import ON_BATTERY, PowerWatch, kept_awake, slowed_by

COOL = """Note: No thermal warning level has been recorded
Note: No performance warning level has been recorded
Note: No CPU power status has been recorded
"""
INTEL = "2026-11-01 10:00:00 +0100 CPU Power notify\n\tCPU_Scheduler_Limit \t= 100\n\tCPU_Speed_Limit \t= {}\n"
PLUGGED = "Now drawing from 'AC Power'\n -InternalBattery-0 (id=1)\t100%; charged; 0:00 remaining present: true\n"
UNPLUGGED = PLUGGED.replace("AC Power", "Battery Power")


@pytest.fixture
def mac(monkeypatch, tmp_path):
    """A Mac whose programs are scripts: `mac(name, script)` puts one on the only PATH there is."""
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setenv("PATH", str(tmp_path))

    def put(name: str, script: str) -> None:
        (tmp_path / name).write_text(f"#!{sys.executable}\n{script}")
        (tmp_path / name).chmod(0o755)

    return put


def says(batt: str, therm: str) -> str:
    return f"import sys\nprint({ {'batt': batt, 'therm': therm}!r}[sys.argv[2]], end='')\n"


@pytest.mark.parametrize(
    ("batt", "therm", "expected"),
    [
        (PLUGGED, COOL, set()),
        (PLUGGED, INTEL.format(100), set()),
        (UNPLUGGED, COOL, {ON_BATTERY}),
        (PLUGGED, INTEL.format(62), {"This Mac is hot: its processor is held to 62 % of its speed."}),
        (PLUGGED, "Thermal warning level set to 2\n", {"This Mac is hot, and slows itself down."}),
        (PLUGGED, "Thermal warning level set to 0\n", set()),
        (UNPLUGGED, INTEL.format(9), {ON_BATTERY, "This Mac is hot: its processor is held to 9 % of its speed."}),
    ],
    ids=["fine", "full speed", "battery", "throttled", "warned", "no warning", "both"],
)
def test_what_a_mac_says(mac, batt, therm, expected):
    mac("pmset", says(batt, therm))
    assert slowed_by() == expected


@pytest.mark.parametrize("script", [None, "raise SystemExit(1)", "import time; time.sleep(9)"])
def test_what_cannot_be_asked_is_not_told(mac, script, monkeypatch):
    monkeypatch.setattr(power, "_SECONDS", 0.5)
    if script:
        mac("pmset", script)
    assert slowed_by() == set()


def test_each_trouble_is_told_once_until_it_comes_again(monkeypatch):
    told = []
    watch = PowerWatch(told.append)
    for found in ({"a"}, {"a"}, {"a", "b"}, set(), {"b"}):
        monkeypatch.setattr(power, "slowed_by", lambda found=found: found)
        watch.look()
    assert told == ["a", "b", "b"]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"BAT0": {"type": "Battery", "status": "Discharging"}, "AC": {"type": "Mains"}}, True),
        ({"BAT0": {"type": "Battery", "status": "Charging"}}, False),
        ({"mouse": {"type": "Battery", "status": "Discharging", "scope": "Device"}}, False),
        ({"AC": {"type": "Mains", "online": "1"}}, False),
        ({}, False),
    ],
    ids=["laptop", "charging", "mouse", "desktop", "none"],
)
def test_batteries_on_linux(tmp_path, files, expected):
    for supply, content in files.items():
        (tmp_path / supply).mkdir()
        for name, text in content.items():
            (tmp_path / supply / name).write_text(text + "\n")
    assert power._discharging(tmp_path) is expected
    assert power._discharging(tmp_path / "absent") is False


def test_a_mac_is_awake_for_as_long_as_the_block(mac, tmp_path):
    mac(
        "caffeinate",
        f"import os, pathlib, sys, time\nat = pathlib.Path({str(tmp_path)!r})\n"
        "(at / 'new').write_text(f'{os.getpid()} ' + ' '.join(sys.argv[1:]))\n(at / 'new').rename(at / 'said')\ntime.sleep(60)\n",
    )
    with kept_awake():
        said = wait_for(tmp_path / "said").split()
        assert said[1:] == ["-i", "-w", str(os.getpid())]
        os.kill(int(said[0]), 0)
    with pytest.raises(ProcessLookupError):
        os.kill(int(said[0]), 0)


def test_a_mac_without_caffeinate_trains(mac):
    with kept_awake():
        pass


@pytest.mark.skipif(sys.platform == "darwin", reason="is about the others")
def test_others_start_nothing(monkeypatch):
    monkeypatch.setattr(power.process, "find", lambda *_: pytest.fail("nothing is started"))
    with kept_awake():
        pass


def wait_for(file: Path) -> str:
    for _ in range(500):
        if file.exists():
            return file.read_text()
        time.sleep(0.02)
    pytest.fail(f"{file} was never written")
