"""Where `make env` takes torch from."""

import http.server
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ("sh", "make", "test", "touch", "grep", "env", "echo")
# The environment's Python: no torch, pip is played, the check of the index is real.
PYTHON = """#!{sh}
case "$*" in
  "-c import torch") exit 1 ;;
  "-m pip config list") echo "$CONFIGURED" ;;
  -c*) exec {python} "$@" ;;
  *) echo "$*" >> {said} ;;
esac
"""


@pytest.fixture
def torch_from(tmp_path):
    """Runs `make env` with a Python that only writes down what pip was to install."""
    tools, venv = tmp_path / "tools", tmp_path / "venv/bin"
    tools.mkdir()
    venv.mkdir(parents=True)
    where = {name: shutil.which(name) for name in TOOLS}
    for name in TOOLS:
        (tools / name).symlink_to(where[name])
    python, said = venv / "python", tmp_path / "said"
    python.write_text(PYTHON.format(sh=where["sh"], python=sys.executable, said=said))
    python.chmod(0o755)

    def run(index: str, *words: str, configured: str = "", driver: bool = False) -> list[str]:
        if driver:
            (tools / "nvidia-smi").symlink_to(where["echo"])
        # A kernel's driver of this machine, if any, is not looked at.
        made = ["make", "env", f"VENV={venv.parent}", f"CPU_INDEX={index}", "DRIVER=/none"]
        settings = {"PATH": str(tools), "CONFIGURED": configured}
        subprocess.run([*made, *words], cwd=ROOT, env=settings, check=True, capture_output=True)
        return said.read_text().splitlines()[0].split()[4:]

    return run


@pytest.fixture
def index() -> Iterator[str]:
    """A server that answers everything."""

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/cpu"
        server.shutdown()


@pytest.mark.parametrize(
    ("words", "machine", "chosen"),
    [
        ((), {}, "cpu"),
        ((), {"driver": True}, ""),
        ((), {"configured": "global.find-links='wheels'"}, ""),
        ((), {"configured": ":env:.no-index='1'"}, ""),
        (("TORCH_INDEX=https://a.org/cu130",), {}, "https://a.org/cu130"),
        (("TORCH_INDEX=https://a.org/cpu",), {"driver": True}, "https://a.org/cpu"),
        (("TORCH_INDEX=",), {}, ""),
    ],
)
def test_index_that_pip_gets(torch_from, index, words, machine, chosen):
    """Truth: README and the Makefile: your choice, else none with a driver or own wheels."""
    extra = ["--extra-index-url", index if chosen == "cpu" else chosen] if chosen else []
    assert torch_from(index, *words, **machine) == [*extra, "torch==2.13.0"]


def test_index_out_of_reach(torch_from):
    """Truth: nothing listens at a port that was just given back."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert torch_from(f"http://127.0.0.1:{port}") == ["torch==2.13.0"]


def test_silent_index_costs_three_seconds(torch_from):
    """Truth: the clock. The rest is for make itself on a busy machine."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        start = time.monotonic()
        assert torch_from(f"http://127.0.0.1:{silent.getsockname()[1]}") == ["torch==2.13.0"]
    assert 2.9 < time.monotonic() - start < 10
