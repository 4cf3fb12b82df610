"""Real downloads through huggingface_hub from a server on 127.0.0.1, and every way they can fail."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants

from joco_mlx.errors import InputError, MachineError
from joco_mlx.models import download
from joco_mlx.progress import Silent


class Recorded(Silent):
    """Remembers titles, totals and how far each piece of work came."""

    def __init__(self) -> None:
        self.titles: list[str] = []
        self.total = 0.0
        self.came = 0.0

    def start(self, title, total=None, unit=""):  # type: ignore[no-untyped-def]
        self.titles.append(title)
        self.total += total or 0
        return self

    def advance(self, amount: float = 1, **figures: float | str) -> None:
        self.came += amount


def test_a_model_is_downloaded_whole_and_only_once(hub, served_model: str) -> None:  # type: ignore[no-untyped-def]
    progress = Recorded()
    first = download.fetch(served_model, None, progress=progress)
    source = hub.repositories[served_model]
    for file in source.iterdir():
        assert (first.path / file.name).read_bytes() == file.read_bytes()
    assert progress.titles == [f"Downloading {served_model} ({progress.total / 1e6:.0f} MB)"]
    assert progress.total == sum(file.stat().st_size for file in source.iterdir())
    hub.asked.clear()
    again = download.fetch(served_model, first.revision, progress=Recorded())
    assert again == first
    assert hub.asked == [], "a pinned commit in the cache needs no network"


def test_code_and_pickles_are_never_taken(hub, served_model: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path / "with-code"
    shutil.copytree(hub.repositories[served_model], folder)
    (folder / "modeling.py").write_text("print('run')")
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    hub.repositories[served_model] = folder
    fetched = download.fetch(served_model, None, progress=Silent())
    names = {file.name for file in fetched.path.iterdir()}
    assert "model.safetensors" in names
    assert not names & {"modeling.py", "pytorch_model.bin"}


def test_pickled_weights_alone_are_refused_before_anything_is_taken(hub, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path / "old"
    folder.mkdir()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    (folder / "config.json").write_text("{}")
    hub.repositories["someone/old"] = folder
    with pytest.raises(InputError, match=r"only pickled weights \(pytorch_model\.bin\)"):
        download.fetch("someone/old", None, progress=Silent())
    assert not hub.taken()


def test_an_unknown_repository_or_revision_is_named(served_model: str) -> None:
    with pytest.raises(InputError, match="no folder someone/tiny-qwen3 here") as caught:
        download.fetch("someone/tiny-qwen3", None, progress=Silent())
    assert "qwen" in caught.value.hint
    with pytest.raises(InputError, match="no revision 'v9'"):
        download.fetch(served_model, "v9", progress=Silent())


def test_a_failing_server_is_told_with_its_answer(hub, served_model: str) -> None:  # type: ignore[no-untyped-def]
    hub.failing[served_model] = 403
    with pytest.raises(MachineError, match="it answered 403"):
        download.fetch(served_model, None, progress=Silent())


def test_without_a_network_the_next_command_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(MachineError, match=f"{endpoint}: it cannot be reached") as caught:
        download.fetch("someone/tiny", None, progress=Silent())
    assert "--model smollm2-135m" in caught.value.hint
    assert "HF_ENDPOINT" in caught.value.hint


def test_what_may_not_be_fetched_is_not_told_as_a_broken_network(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(MachineError, match="someone/tiny is not on this machine, and HF_HUB_OFFLINE forbids") as caught:
        download.fetch("someone/tiny", None, progress=Silent())
    assert caught.value.hint.startswith("Unset HF_HUB_OFFLINE")


def test_too_little_disk_is_noticed_before_the_download(  # type: ignore[no-untyped-def]
    hub, served_model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage._replace(free=1_000))
    with pytest.raises(MachineError, match=r"has 0\.00 GB free"):
        download.fetch(served_model, None, progress=Silent())
    assert not hub.taken()


def test_the_endpoint_is_read_from_the_environment_of_a_fresh_process(  # type: ignore[no-untyped-def]
    hub, served_model: str, tmp_path: Path
) -> None:
    code = (
        "from joco_mlx.models.hub import locate; from joco_mlx.progress import Silent;"
        f"found = locate('{served_model}', progress=Silent()); print(found.name, found.revision, found.template.name)"
    )
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [served_model, "0123456789abcdef0123456789abcdef01234567", "chatml"]
    assert done.stderr == "", "stages print nothing"
