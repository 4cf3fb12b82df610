"""Every way in which creating a model can end, against a server that is as strict as the published API."""

import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from ollama_server import FakeOllama, running

from joco_mlx import ollama as room
from joco_mlx.commit.prompt import TEMPLATES
from joco_mlx.errors import ConflictError, InputError, MachineError, UsageError, VerificationError
from joco_mlx.ollama import create as creating
from joco_mlx.ollama import server as serving
from joco_mlx.ollama.create import Created, create
from joco_mlx.ollama.instructions import read_modelfile
from joco_mlx.ollama.server import Server
from joco_mlx.progress import Silent, Task

WEIGHTS = b"GGUF" + bytes(range(256)) * 20_000
DIGEST = f"sha256:{hashlib.sha256(WEIGHTS).hexdigest()}"


@pytest.fixture
def ollama(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeOllama]:
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "models"))
    with running(FakeOllama()) as made:
        yield made


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    path = tmp_path / "joco.gguf"
    path.write_bytes(WEIGHTS)
    return path


class Watcher(Silent):
    """Adds up what is read and sent, and keeps the notes."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.lines: list[str] = []

    def start(self, title: str, total: float | None = None, unit: str = "") -> Task:
        self.sums[title] = 0

        class Adder:
            def advance(_, amount: float = 1, **figures: float | str) -> None:  # noqa: N805  (self is the watcher)
                self.sums[title] += amount

        return Adder()

    def note(self, text: str) -> None:
        self.lines.append(text)


def made(ollama: FakeOllama, gguf: Path, name: str = "joco", *, force: bool = False, **watch: Watcher) -> Created:
    text = room.render_modelfile("joco.gguf", TEMPLATES["chatml"], num_ctx=512, licence="MIT", model="tiny")
    instructions = read_modelfile(text, "Modelfile")
    progress = watch.get("progress", Silent())
    return create(name, gguf, instructions, Server.at(ollama.url), force=force, progress=progress)


def test_a_model_is_made_with_everything_the_modelfile_says(ollama: FakeOllama, gguf: Path) -> None:
    watch = Watcher()
    assert made(ollama, gguf, progress=watch) == Created("joco", ollama.url, DIGEST, was_sent=True)
    assert ollama.blobs == {DIGEST: WEIGHTS}
    model = ollama.models["joco"]
    assert model["template"] == TEMPLATES["chatml"].go_template()
    assert model["parameters"]["stop"] == list(TEMPLATES["chatml"].stops)
    assert model["parameters"]["num_ctx"] == 512
    assert set(watch.sums.values()) == {len(WEIGHTS), 0}
    assert watch.lines[-1] == "Ollama: success"
    assert ollama.asked == [
        "GET /api/version",
        "POST /api/show",
        f"HEAD /api/blobs/{DIGEST}",
        f"POST /api/blobs/{DIGEST}",
        "POST /api/create",
    ]


def test_a_blob_that_is_there_is_not_sent_again(ollama: FakeOllama, gguf: Path) -> None:
    ollama.blobs[DIGEST] = WEIGHTS
    assert not made(ollama, gguf).was_sent
    assert f"POST /api/blobs/{DIGEST}" not in ollama.asked


def test_an_existing_model_is_replaced_only_by_force(ollama: FakeOllama, gguf: Path) -> None:
    made(ollama, gguf)
    ollama.asked.clear()
    with pytest.raises(ConflictError, match="has a model joco already") as caught:
        made(ollama, gguf)
    assert "--force" in caught.value.hint
    assert ollama.asked == ["GET /api/version", "POST /api/show"]
    made(ollama, gguf, force=True)


def test_no_server_tells_how_to_get_and_start_one(gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = FakeOllama(url=f"http://127.0.0.1:{free.getsockname()[1]}")
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(MachineError, match="No Ollama server answers at") as caught:
            made(nobody, gguf)
        assert "Install Ollama" in caught.value.hint
        assert "ollama serve" in caught.value.hint
        (tmp_path / "ollama").write_text("#!/bin/sh\n")
        (tmp_path / "ollama").chmod(0o755)
        with pytest.raises(MachineError) as caught:
            made(nobody, gguf)
        assert caught.value.hint.startswith("Start it: ")


@pytest.mark.parametrize("version", ["0.5.4", "0.1.48", "0.3.0-rc1"])
def test_an_old_server_is_told(ollama: FakeOllama, gguf: Path, version: str) -> None:
    ollama.version = version
    with pytest.raises(MachineError, match=r"0\.5\.5 is the first"):
        made(ollama, gguf)
    assert ollama.asked == ["GET /api/version"]


@pytest.mark.parametrize("version", ["0.5.5", "0.12.0", "1.0.0", "0.0.0"])
def test_a_new_server_is_taken(ollama: FakeOllama, gguf: Path, version: str) -> None:
    ollama.version = version
    assert made(ollama, gguf).was_sent


def test_something_else_that_answers_is_told(ollama: FakeOllama, gguf: Path) -> None:
    ollama.version = ""
    with pytest.raises(MachineError, match="is not Ollama"):
        made(ollama, gguf)


def test_other_bytes_than_were_sent_are_told(ollama: FakeOllama, gguf: Path) -> None:
    ollama.spoil_blob = True
    with pytest.raises(VerificationError, match="received other bytes"):
        made(ollama, gguf)
    assert ollama.blobs == {}
    assert ollama.models == {}


def test_a_connection_that_breaks_in_the_middle_is_told_and_can_be_taken_up(ollama: FakeOllama, gguf: Path) -> None:
    ollama.hang_up_after = 1 << 17
    with pytest.raises(MachineError, match=r"connection to Ollama .* broke"):
        made(ollama, gguf)
    ollama.hang_up_after = None
    assert made(ollama, gguf).was_sent


def test_a_full_disk_of_the_server_is_told(ollama: FakeOllama, gguf: Path) -> None:
    ollama.full_disk = True
    with pytest.raises(MachineError, match="no space left") as caught:
        made(ollama, gguf)
    assert "ollama rm" in caught.value.hint
    assert ollama.models == {}


def test_a_disk_that_is_short_is_told_before_anything_is_sent(
    ollama: FakeOllama, gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").mkdir()
    free = 2 * len(WEIGHTS) - 1
    monkeypatch.setattr(creating.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    with pytest.raises(MachineError, match=r"needs 0\.01 GB in .*models"):
        made(ollama, gguf)
    assert ollama.blobs == {}
    ollama.blobs[DIGEST] = WEIGHTS
    assert not made(ollama, gguf).was_sent


def test_an_answer_that_ends_before_success_is_no_success(ollama: FakeOllama, gguf: Path) -> None:
    ollama.silent_end = True
    with pytest.raises(MachineError, match="last word was 'using existing layer'"):
        made(ollama, gguf)


def test_a_slow_server_is_waited_for_and_a_silent_one_is_not(
    ollama: FakeOllama, gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ollama.pause_seconds = 0.3
    assert made(ollama, gguf).was_sent
    monkeypatch.setattr(serving, "WORK_SECONDS", 0.1)
    with pytest.raises(MachineError, match=r"said nothing for 0\.1 seconds"):
        made(ollama, gguf, force=True)


def test_a_file_that_is_no_gguf_is_told(ollama: FakeOllama, tmp_path: Path) -> None:
    (tmp_path / "joco.gguf").write_bytes(b"PK\3\4")
    for path, told in ((tmp_path / "joco.gguf", "is no GGUF"), (tmp_path / "none.gguf", "cannot be read")):
        with pytest.raises(InputError, match=told):
            made(ollama, path)


@pytest.mark.parametrize("name", ["", "a b", "-x", "../x", "joco:", "a/b/c/d", "größe"])
def test_a_name_that_ollama_does_not_take_is_told(ollama: FakeOllama, gguf: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is no name that Ollama takes"):
        made(ollama, gguf, name)
    assert ollama.asked == []


ADDRESSES = {
    "127.0.0.1": "http://127.0.0.1:11434",
    "0.0.0.0:11500": "http://127.0.0.1:11500",
    "box:9": "http://box:9",
    "http://box": "http://box:80",
    "https://box": "https://box:443",
    "https://box:11434/": "https://box:11434",
    "[::1]:11434": "http://[::1]:11434",
}


@pytest.mark.parametrize(("address", "url"), ADDRESSES.items())
def test_addresses_are_read_as_ollama_reads_them(address: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", address)
    assert Server.at(None).url == url


@pytest.mark.parametrize("address", ["http://box:port", "ftp://box", "box:99999"])
def test_an_address_that_is_none_is_told(address: str) -> None:
    with pytest.raises(UsageError, match="is no address"):
        Server.at(address)
