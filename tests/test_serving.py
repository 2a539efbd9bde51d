"""The local server: it answers, it says why it cannot, and it never outlives what started it."""

import os
import signal
import subprocess
import sys
import textwrap
import time
import urllib.request
from pathlib import Path

import psutil
import pytest
from expert import models, serving

WATCH = serving.LAUNCHER.partition("from transformers")[0]  # the part that ends it with the notebook

# A server that is up at once, in place of transformers'
QUICK = WATCH + textwrap.dedent("""
    import http.server
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
        def log_message(self, *_):
            pass
    port = int(sys.argv[sys.argv.index("--port") + 1])
    http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
""")
SILENT = WATCH + "import time\ntime.sleep(60)\n"
DEAF = QUICK.removeprefix(WATCH).replace("import http.server", "import http.server, sys")  # does not watch the pipe


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What looks like a model's folder."""
    place = tmp_path / "models" / "chat"
    place.mkdir(parents=True)
    (place / "config.json").write_text("{}", encoding="utf-8")
    return place


def gone(pid: int, patience: float = 20.0) -> bool:
    """Whether a process has ended, within so many seconds."""
    end = time.monotonic() + patience
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def started(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The process ids of all servers that a test starts."""
    pids: list[int] = []
    start = serving._start

    def note(*arguments):
        process = start(*arguments)
        pids.append(process.pid)
        return process

    monkeypatch.setattr(serving, "_start", note)
    return pids


def test_it_answers_and_ends(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "LAUNCHER", QUICK)
    with serving.serve(folder) as server:
        assert server.url == f"http://127.0.0.1:{server.port}/v1"
        assert server.model == "chat" and server.seconds >= 0
        with urllib.request.urlopen(server.url) as answer:
            assert answer.status == 200
    assert gone(server.pid)


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), SystemExit(2)])
def test_it_ends_where_the_block_raises(folder: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    monkeypatch.setattr(serving, "LAUNCHER", QUICK)
    with pytest.raises(type(error)), serving.serve(folder) as server:
        raise error
    assert gone(server.pid)


def test_it_ends_where_it_does_not_watch_the_pipe(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "LAUNCHER", DEAF)
    with serving.serve(folder) as server:
        pass
    assert gone(server.pid)


def test_an_early_end_is_told_in_the_servers_words(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "LAUNCHER", "import sys\nprint('no such luck')\nsys.exit(3)")
    pids = started(monkeypatch)
    with pytest.raises(serving.ServingError, match=r"exit status 3\).*\n  no such luck"), serving.serve(folder):
        pass
    assert len(pids) == 1 and gone(pids[0])


def test_silence_is_told_and_ended(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "LAUNCHER", SILENT)
    pids = started(monkeypatch)
    with pytest.raises(serving.ServingError, match="did not answer within 1 s"), serving.serve(folder, timeout=1):
        pass
    assert gone(pids[0])


def test_another_port_is_tried_where_one_was_taken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = f"""
        from pathlib import Path
        if not Path({str(folder / "tried")!r}).exists():
            Path({str(folder / "tried")!r}).touch()
            sys.exit("[Errno 98] error while attempting to bind: address already in use")
    """
    monkeypatch.setattr(serving, "LAUNCHER", "import sys\n" + textwrap.dedent(taken) + QUICK)
    pids = started(monkeypatch)
    with serving.serve(folder) as server:
        assert server.pid == pids[1]
    assert all(map(gone, pids))


def test_a_port_that_is_always_taken_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "LAUNCHER", "import sys\nsys.exit('Address already in use')")
    pids = started(monkeypatch)
    with pytest.raises(serving.ServingError, match="already in use"), serving.serve(folder):
        pass
    assert len(pids) == serving.TRIES and all(map(gone, pids))


def test_a_proxy_is_passed_by_and_the_variables_come_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "LAUNCHER", QUICK)
    monkeypatch.setenv("NO_PROXY", "intranet")
    monkeypatch.delenv("no_proxy", raising=False)
    with serving.serve(folder):
        assert os.environ["NO_PROXY"] == "intranet,127.0.0.1" and os.environ["no_proxy"] == "127.0.0.1"
    assert os.environ["NO_PROXY"] == "intranet" and "no_proxy" not in os.environ


# A notebook's process, which starts a server, says its number and then does not end by itself
NOTEBOOK = """
import sys, time
from expert import serving
serving.LAUNCHER = {launcher!r}
start = serving._start
def tell(*arguments):
    process = start(*arguments)
    print(process.pid, flush=True)
    return process
serving._start = tell
with serving.serve({folder!r}):
    print("up", flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of Unix")
@pytest.mark.parametrize("launcher", [QUICK, SILENT], ids=["in the block", "while it starts"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["interrupted", "killed"])
def test_nothing_is_left_behind(folder: Path, launcher: str, number: signal.Signals) -> None:
    code = NOTEBOOK.format(launcher=launcher, folder=str(folder))
    notebook = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        pid = int(notebook.stdout.readline())
        if launcher is QUICK:
            assert notebook.stdout.readline().strip() == "up"
        notebook.send_signal(number)
        _, said = notebook.communicate(timeout=30)
    finally:
        notebook.kill()
    assert gone(pid)
    if number == signal.SIGINT:
        assert "KeyboardInterrupt" in said


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: serving.serve(f / "nowhere"), "no folder"),
        (lambda f: serving.serve(f.parent), "holds no config.json"),
        (lambda f: serving.serve("./nowhere"), "no folder"),
        (lambda f: serving.serve(f.rename(f.with_name("chat@2"))), "Rename it"),
    ],
)
def test_what_cannot_be_served_is_told(folder: Path, change, words: str) -> None:
    with pytest.raises(serving.ServingError, match=words), change(folder):
        pass


def test_bad_options_are_told(folder: Path) -> None:
    with pytest.raises(ValueError, match="'nf4' or None"), serving.serve(folder, quantize="int3"):
        pass


def test_missing_packages_are_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "NEEDED", ("openai", "no_such_package"))
    with pytest.raises(serving.ServingError, match=r"not installed: no_such_package.*transformers\[serving\]"):
        serving.serve(folder).__enter__()


def test_transformers_serves_the_tiny_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The real server, with no network and no cache folder: the same text as in this process, for any key."""
    openai = pytest.importorskip("openai")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "no-cache-here"))
    question = [{"role": "user", "content": "What does a strainer do?"}]
    with serving.serve(models.tiny_folder()) as server:
        texts = []
        for key in ("one", "another"):
            client = openai.OpenAI(base_url=server.url, api_key=key, max_retries=0, timeout=60)
            reply = client.chat.completions.create(model=server.model, messages=question, temperature=0, max_tokens=64)
            texts.append(reply.choices[0].message.content.strip())
        assert list(client.models.list()) == []  # fails where the hub's cache folder is missing
        assert reply.usage.completion_tokens > 0
    assert gone(server.pid)
    assert texts == [models.chat(models.load("tiny"), question)] * 2
