"""Template: a process that has imported what takes long to import, and forks others from itself.

What it has imported or opened, such as a language model, is in the memory of all of them at once.
This file imports nothing of Assay, so that it can be run by its path, before anything is loaded."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

VARIABLE = "ASSAY_TEMPLATE"
"""The environment variable that names the socket of a template which is running already."""
SUPPORTED = sys.platform == "linux"
"""Elsewhere the system's own libraries do not survive a fork."""


class Template:
    """Starts a template that runs some code first, such as imports, and ends it; processes that
    need a fork ask at its `address`."""

    def __init__(self, code: str, env: Mapping[str, str]):
        self._folder = Path(tempfile.mkdtemp(prefix="assay-"))
        self.address = str(self._folder / "socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
            listening.bind(self.address)
            listening.listen(64)
            number = listening.fileno()
            self._process = subprocess.Popen(
                [sys.executable, "-P", __file__, str(number), code],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                env=dict(env),
                pass_fds=[number],
            )

    def close(self) -> None:
        """End the template; what it forked goes on."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


class Forked:
    """A process that a template forked to run Python code, with the methods of a
    `subprocess.Popen` that are needed here.

    Args:
        address: of the template.
        code: what it runs, with `words` as `sys.argv[1:]`.
        setup: code that the template runs first; an error in it is ignored.
        streams: the file descriptors of its standard input, output and error.
        timeout: seconds that the template may take to answer.
        session: whether it leads a session of its own.
    Raises: OSError where the template is not there or does not answer.
    """

    def __init__(
        self,
        address: str,
        code: str,
        words: Sequence[str],
        streams: Sequence[int],
        env: Mapping[str, str],
        *,
        cwd: Path | None = None,
        setup: str = "",
        timeout: float = 60.0,
        session: bool = False,
    ):
        self.returncode: int | None = None
        self.lost = False
        """Whether the template ended first, so that this process's exit code is unknown."""
        request = {
            "code": code,
            "words": [*words],
            "env": dict(env),
            "cwd": str(cwd or Path.cwd()),
            "setup": setup,
            "session": session,
            "nice": os.nice(0),
            "memory": resource.getrlimit(resource.RLIMIT_AS),
        }
        text = json.dumps(request).encode()
        self._talk = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._talk.settimeout(timeout)
            self._talk.connect(address)
            socket.send_fds(self._talk, [len(text).to_bytes(8, "big")], list(streams))
            self._talk.sendall(text)
            self._said = self._talk.makefile("r")
            number = self._said.readline()
            if not number:
                raise ConnectionError("the template ended")
        except OSError:
            self._talk.close()
            raise
        self.pid = int(number)

    def poll(self) -> int | None:
        """Say how it ended: its exit code, below 0 the number of a signal; None while it runs."""
        return self._hear(0.0)

    def wait(self) -> int:
        """Wait until it ends, and say how."""
        while (code := self._hear(1.0)) is None:
            if self.lost:
                time.sleep(0.05)
        return code

    def kill(self) -> None:
        """End it at once."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def _hear(self, seconds: float) -> int | None:
        if self.returncode is None and not self.lost:
            self._talk.settimeout(None)
            with selectors.DefaultSelector() as ready:
                ready.register(self._talk, selectors.EVENT_READ)
                if ready.select(seconds):
                    line = self._said.readline()
                    self.lost = not line
                    self.returncode = int(line) if line else None
                    self._said.close()
                    self._talk.close()
        if self.lost and self.returncode is None:
            try:
                os.kill(self.pid, 0)
            except ProcessLookupError:
                self.returncode = -signal.SIGKILL
        return self.returncode


class _Server:
    """What the template does: forks when it is asked to, and reports how each fork ended."""

    def __init__(self, listening: socket.socket):
        self._listening = listening
        self._talks: dict[int, socket.socket] = {}
        """The connection of the client that asked for a process, by the process's number."""
        self._woken, self._wakes = socket.socketpair()
        for end in (self._woken, self._wakes):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wakes.fileno(), warn_on_full_buffer=False)

    def serve(self) -> dict[str, Any] | None:
        """Serve until standard input closes, then give None; in a fork give what it has to do."""
        with selectors.DefaultSelector() as ready:
            for source in (0, self._listening, self._woken):
                ready.register(source, selectors.EVENT_READ)
            while True:
                for key, _ in ready.select():
                    if key.fileobj == 0 and not os.read(0, 1):
                        return None
                    if key.fileobj is self._woken:
                        self._reap()
                    if key.fileobj is self._listening:
                        talk, _ = self._listening.accept()
                        with contextlib.suppress(OSError, ValueError):
                            if (request := self._fork(talk)) is not None:
                                return request

    def _fork(self, talk: socket.socket) -> dict[str, Any] | None:
        """Fork for one request; in the fork give the request."""
        talk.settimeout(10.0)
        size, streams, _, _ = socket.recv_fds(talk, 8, 3)
        try:
            with talk.makefile("rb") as reader:
                request: dict[str, Any] = json.loads(reader.read(int.from_bytes(size, "big")))
            if request["setup"]:
                with contextlib.suppress(Exception):
                    exec(request["setup"], {"__name__": "__template__"})
                gc.collect()
            gc.freeze()  # so that no collection in a fork writes to what all of them share
            if (pid := os.fork()) == 0:
                self._become(request, streams)
                talk.close()
                return request
            self._talks[pid] = talk
            talk.sendall(f"{pid}\n".encode())
        finally:
            for stream in streams:
                os.close(stream)
        return None

    def _become(self, request: Mapping[str, Any], streams: Sequence[int]) -> None:
        """Turn the fork into the process that was asked for."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for other in (self._listening, self._woken, self._wakes, *self._talks.values()):
            other.close()
        if request["session"]:
            os.setsid()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        os.environ.clear()
        os.environ.update(request["env"])
        if path := os.environ.get("PYTHONPATH"):
            sys.path[:] = path.split(os.pathsep)
        os.chdir(request["cwd"])
        os.nice(max(0, request["nice"] - os.nice(0)))
        resource.setrlimit(resource.RLIMIT_AS, tuple(request["memory"]))
        sys.argv[:] = ["-c", *request["words"]]

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._woken.recv(4096):
                pass
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                talk = self._talks.pop(ended[0], None)
                if talk is not None:
                    with contextlib.suppress(OSError), talk:  # the client may be gone
                        talk.sendall(f"{os.waitstatus_to_exitcode(ended[1])}\n".encode())


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started it
    with contextlib.suppress(Exception):  # a fork meets the error itself
        exec(sys.argv[2], {"__name__": "__template__"})
    listening = socket.socket(fileno=int(sys.argv[1]))
    place = Path(listening.getsockname())
    if (asked := _Server(listening).serve()) is None:
        shutil.rmtree(place.parent, ignore_errors=True)
    else:
        exec(compile(asked["code"], "<template>", "exec"), {"__name__": "__main__"})
