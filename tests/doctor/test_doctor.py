"""The examination of machines that are not here, each made at its own boundary, in a process of its own."""

import json
import os
import resource
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from machine_fixture import put_card, put_package, put_stack

OFFLINE = {"HF_ENDPOINT": "http://127.0.0.1:9", "OLLAMA_HOST": "http://127.0.0.1:9"}
"""Ports where nobody listens."""


def examined(packages: Path | None = None, **variables: str) -> tuple[int, dict[str, Any]]:
    """Run `joco-mlx doctor --json` with packages on the path, and return its exit code and what it said."""
    environment = {**os.environ, **OFFLINE, **variables}
    if packages is not None:
        environment["PYTHONPATH"] = str(packages)
    command = [sys.executable, "-m", "joco_mlx", "doctor", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode in (0, 4), done.stderr
    return done.returncode, json.loads(done.stdout)


def fixes(report: dict[str, Any], about: str) -> list[str]:
    return [problem["fix"] for problem in report["problems"] if about in problem["what"]]


def test_no_gpu(tmp_path: Path) -> None:
    code, report = examined(PATH=str(tmp_path))
    assert (code, report["able"], report["card"], report["auto"]) == (0, True, None, "mlx")
    assert set(report["backends"]) == {"mlx", "trl", "unsloth"}
    assert set(report["backends"]["mlx"]) == {"usable", "reason", "fix"}
    assert report["backends"]["unsloth"]["reason"] == "Unsloth needs an NVIDIA card"


def test_gpu_without_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_card(tmp_path / "bin", monkeypatch)
    _, report = examined()
    assert report["card"]["name"] == "NVIDIA L4"
    assert fixes(report, "torch, trl, peft are not installed") == ["uv pip install 'joco-mlx[cuda]'"]


def test_torch_without_cuda(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_card(tmp_path / "bin", monkeypatch)
    put_stack(tmp_path / "packages", monkeypatch, cuda=None)
    _, report = examined(tmp_path / "packages")
    assert fixes(report, "--backend trl cannot train here: torch 2.13.0 was built without CUDA") == [
        "uv pip install --reinstall torch"
    ]


def test_old_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_card(tmp_path / "bin", monkeypatch, "NVIDIA L4, 23034, 535.183.01, 8.9")
    put_stack(tmp_path / "packages", monkeypatch)
    _, report = examined(tmp_path / "packages")
    (fix,) = fixes(report, "--backend trl cannot train here: the NVIDIA driver is 535.183.1")
    assert "driver 580 or newer" in fix


def test_missing_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_card(tmp_path / "bin", monkeypatch)
    put_stack(tmp_path / "packages", monkeypatch, without="bitsandbytes")
    _, report = examined(tmp_path / "packages")
    assert report["auto"] == "mlx"
    assert fixes(report, "--backend trl cannot train here: bitsandbytes is not installed") == [
        "uv pip install 'joco-mlx[cuda]'"
    ]


def test_everything_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_card(tmp_path / "bin", monkeypatch)
    put_stack(tmp_path / "packages", monkeypatch)
    put_package(tmp_path / "packages", "unsloth", "2026.10.8")
    code, report = examined(tmp_path / "packages")
    assert (code, report["auto"]) == (0, "unsloth")
    assert all(verdict["usable"] for verdict in report["backends"].values())


def test_a_package_out_of_its_range_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_stack(tmp_path, monkeypatch, trl="1.18.0")
    _, report = examined(tmp_path)
    assert fixes(report, "trl is 1.18.0") == ["uv pip install 'trl>=1.15,<1.17'"]


def test_hub_offline() -> None:
    _, report = examined()
    assert (report["hub"]["reachable"], report["hub"]["address"]) == (False, "http://127.0.0.1:9")
    assert fixes(report, "The model hub at http://127.0.0.1:9 cannot be reached")
    _, report = examined(HF_HUB_OFFLINE="1")
    assert report["hub"]["reason"] == "HF_HUB_OFFLINE is set"


class _Answers(BaseHTTPRequestHandler):
    version = "0.9.1"

    def do_GET(self) -> None:
        body = json.dumps({"version": self.version}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815  (http.server looks for this name)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the name is http.server's)
        """Say nothing."""


@pytest.mark.parametrize(("version", "new_enough"), [("0.9.1", True), ("0.3.0", False)])
def test_hub_and_ollama_that_answer(version: str, new_enough: bool) -> None:
    handler = type("Handler", (_Answers,), {"version": version})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        _, report = examined(HF_ENDPOINT=url, OLLAMA_HOST=url)
        server.shutdown()
    assert report["hub"]["reachable"]
    ollama = report["ollama"]
    assert (ollama["running"], ollama["version"], ollama["new_enough"]) == (True, version, new_enough)
    assert len(fixes(report, "first that can be given a model")) == (0 if new_enough else 1)


def test_a_hub_that_says_nothing_holds_nobody_up() -> None:
    import socket
    import time

    from joco_mlx.doctor.network import LONGEST_SECONDS, ask_hub, in_time, late_hub

    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        found = in_time(ask_hub, late_hub())()
        assert time.monotonic() - began < 5 * LONGEST_SECONDS
    assert not found.reachable


def test_too_little_disk_stands_in_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil
    from collections import namedtuple

    from joco_mlx.doctor.examine import examine

    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage(10**9, 9 * 10**8, 10**8))
    for name, value in OFFLINE.items():
        monkeypatch.setenv(name, value)
    report = examine()
    assert not report.is_able
    (problem,) = [problem for problem in report.problems if problem.blocking]
    assert "0.1 GB are free" in problem.what


def test_it_is_quick() -> None:
    """Less than a second of computing; the rest is waiting, which is bounded by `network.LONGEST_SECONDS`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    examined()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.5


def test_people_read_a_table() -> None:
    environment = {**os.environ, **OFFLINE}
    done = subprocess.run(
        [sys.executable, "-m", "joco_mlx", "doctor"], capture_output=True, text=True, env=environment, check=True
    )
    for part in ("System", "Backends", "mlx (auto)", "Problems", "The model hub at http://127.0.0.1:9"):
        assert part in done.stdout
