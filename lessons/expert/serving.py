"""A model behind an address on this machine: ``transformers serve``, started, awaited and always stopped.

    from openai import OpenAI
    with serving.serve(models.tiny_folder()) as server:
        client = OpenAI(base_url=server.url, api_key="any", max_retries=0)
        client.chat.completions.create(model=server.model, messages=[...], temperature=0)

The server listens on 127.0.0.1 only, so no other machine can reach it, and asks for no key. It ends with the ``with``
block, also where the block raises or the kernel is interrupted. It cannot outlive the notebook: it holds one end of a
pipe, and when the notebook's process ends, however that happens, the pipe closes and the server exits.
"""

import http.client
import importlib.util
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
NEEDED = ("openai", "fastapi", "uvicorn", "pydantic")
LOG_LINES = 12
POLL = 0.1
TRIES = 3  # another program may take the free port before the server does

# What the server's process runs: transformers' own command line, and a watch on the pipe to the notebook
LAUNCHER = """
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.buffer.read(), os._exit(0)), daemon=True).start()
from transformers.cli.transformers import app
app(sys.argv[1:])
"""


class ServingError(RuntimeError):
    """The server could not be started; the message says why and what to do."""


class _PortTaken(ServingError):
    """The port was free when it was chosen and is not any more."""


@dataclass(frozen=True)
class Server:
    """A server that answers."""

    url: str  # what an OpenAI client takes as base_url
    model: str  # the name to ask it by
    port: int
    pid: int
    seconds: float  # from the start to the first sign of life


@contextmanager
def serve(
    model: str | Path,
    *,
    dtype: str = "float32",
    device: str = "cpu",
    quantize: str | None = None,
    timeout: float = 180.0,
) -> Iterator[Server]:
    """Serve a model's folder (or a hub id) with OpenAI's interface, for as long as the block runs.

    dtype     "float32" gives the same greedy text as ``models.load("tiny")``; "auto" takes that of the file
    device    "cpu", "cuda" or "auto"
    quantize  None, or "nf4" for 4 bits (a GPU)
    timeout   seconds to wait until it answers. The first start on a busy machine is slow.

    A folder is served without any network. Raises ServingError with the server's own last words where it fails.
    """
    _check_packages()
    name, place = _name_and_place(model)
    options = ["--dtype", dtype, "--device", device]
    options += ["--quantization", "bnb-4bit"] if _wants_nf4(quantize) else []
    with tempfile.TemporaryDirectory(prefix="expert-serve-", ignore_cleanup_errors=True) as folder:
        environment = _environment(offline=place is not None, cache=Path(folder))
        process: subprocess.Popen[bytes] | None = None
        try:
            for attempt in range(1, TRIES + 1):
                port, began = free_port(), time.monotonic()
                log = Path(folder, f"server-{attempt}.log")
                command = ["serve", name, "--host", HOST, "--port", str(port), *options]
                process = _start(command, place, environment, log)
                try:
                    _await(process, port, log, timeout)
                    break
                except _PortTaken:
                    _stop(process)
                    if attempt == TRIES:
                        raise
            server = Server(f"http://{HOST}:{port}/v1", name, port, process.pid, time.monotonic() - began)
            with _no_proxy():
                yield server
        finally:
            if process is not None:
                _stop(process)


def free_port() -> int:
    """A port of this machine that no program listens on just now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _check_packages() -> None:
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ServingError(
            f"transformers serve needs packages that are not installed: {', '.join(missing)}. Run "
            "'pip install \"transformers[serving]\"', or install the course's requirements.txt again."
        )


def _wants_nf4(quantize: str | None) -> bool:
    if quantize not in (None, "nf4"):
        raise ValueError(f"quantize must be 'nf4' or None; it was {quantize!r}.")
    return quantize == "nf4"


def _name_and_place(model: str | Path) -> tuple[str, Path | None]:
    """The name that the server gets, and the folder to start it in; no folder for a hub id.

    A folder is named from its parent ("chat", not "/home/.../chat"): the name goes into every request and answer, where
    a path has no business, and the server would read an @ or a : inside a path as a revision or a file.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        folder = folder.resolve()
        if not (folder / "config.json").is_file():
            raise ServingError(f"{folder} is not a model's folder: it holds no config.json.")
        if "@" in folder.name or ":" in folder.name:
            raise ServingError(f"The server cannot take a folder with @ or : in its name: {folder.name!r}. Rename it.")
        return folder.name, folder.parent
    text = str(model)
    if isinstance(model, Path) or text.startswith((".", "/", "~")) or "\\" in text or text.count("/") > 1:
        raise ServingError(f"There is no folder {folder.absolute()}. Give a model's folder, or a hub id.")
    return text, None


def _environment(offline: bool, cache: Path) -> dict[str, str]:
    """The server's environment variables: quiet, no check for updates, no network for a folder on disk."""
    values = {
        **os.environ,
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "PYTHONUNBUFFERED": "1",
    }
    if offline:  # /v1/models lists the hub's cache, and fails where that folder does not exist
        values |= {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(cache)}
    else:
        from huggingface_hub.constants import HF_HUB_CACHE

        Path(HF_HUB_CACHE).mkdir(parents=True, exist_ok=True)
    return values


def _start(
    arguments: list[str], place: Path | None, environment: dict[str, str], log: Path
) -> "subprocess.Popen[bytes]":
    """Start the server away from the notebook's own signals: an interrupt is the notebook's to handle."""
    apart = {"creationflags": 0x200} if os.name == "nt" else {"start_new_session": True}
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-P", "-c", LAUNCHER, *arguments],
            cwd=place,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            **apart,
        )


def _await(process: "subprocess.Popen[bytes]", port: int, log: Path, timeout: float) -> None:
    """Wait until the server says that it is well."""
    end = time.monotonic() + timeout
    while True:
        if process.poll() is not None:
            words = _last_words(log)
            kind = _PortTaken if "address already in use" in words.lower() else ServingError
            raise kind(f"The server ended before it answered (exit status {process.returncode}). It said:\n{words}")
        if _is_well(port):
            return
        if time.monotonic() > end:
            raise ServingError(
                f"The server did not answer within {timeout:.0f} s. On a busy machine give it longer (timeout=...). "
                f"It said:\n{_last_words(log)}"
            )
        time.sleep(POLL)


def _is_well(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=2.0)  # goes past any proxy
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _last_words(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
    return "\n".join(f"  {line}" for line in lines[-LOG_LINES:]) or "  (nothing)"


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Close the pipe, on which the server exits by itself; kill it where it does not."""
    try:
        if process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()
        process.wait(timeout=5.0)
    except subprocess.TimeoutExpired:
        pass
    finally:  # also where a second interrupt came in between
        if process.poll() is None:
            process.kill()
            process.wait()


@contextmanager
def _no_proxy() -> Iterator[None]:
    """Let a client on this machine reach the server directly where the network has a proxy."""
    before = {name: os.environ.get(name) for name in ("NO_PROXY", "no_proxy")}
    for name, value in before.items():
        os.environ[name] = ",".join(filter(None, [value, HOST]))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
