"""Ray: workers as tasks of a Ray cluster, or of one that is begun on this machine and ends with us.

A process of its own speaks to Ray (ray_driver.py), in JSON lines: Ray can be connected once in a
process, prints from C++, and ends its process where it is at a loss. When that process goes, Ray
stops the workers that it asked for; what they did is in the store.

Source: docs.ray.io: Ray Client, resources, fault tolerance of tasks, token authentication (Ray 2.52
and later)."""

from __future__ import annotations

import collections
import contextlib
import functools
import importlib.metadata
import itertools
import json
import os
import queue
import re
import secrets
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from assay.core import extras
from assay.core.errors import FleetError
from assay.core.plain import plain
from assay.lab.away.fleets import Member, Resources, State
from assay.lab.store.atomic import explained

__all__ = ["Ray"]

FORMS = (
    "ray://HOST:PORT (Ray Client, from any machine), ray:auto or ray:HOST:PORT (from a node of "
    "the cluster), or local:N (N workers here)"
)
PATIENCE = 90.0
"""Seconds that Ray has for an answer; nodes that come and go make it slow."""
_REFUSED = re.compile(
    r"InvalidAuthToken|(invalid|incorrect|missing)[\w ]* authentication token", re.IGNORECASE
)
# Calls nobody; leaves CUDA_VISIBLE_DEVICES alone; and, where it begins a cluster, its workers stand
# back for nobody: by default they are niced by 15, and on a machine with other work that is next to
# no time.
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_worker_niceness": "0",
}
_ALONG = re.compile(r"(ASSAY|OMP|MKL|OPENBLAS|HF|TRANSFORMERS)_")
_SECRET = re.compile(r"TOKEN|KEY|SECRET|PASSWORD", re.IGNORECASE)


def forwarded(environ: Mapping[str, str]) -> dict[str, str]:
    """Choose the variables that workers get: Assay's, those of threads, and where models lie; none
    that is named like a secret, since Ray keeps what a task was sent."""
    return {
        name: value
        for name, value in environ.items()
        if _ALONG.match(name) and not _SECRET.search(name) and name != "ASSAY_ROOT"
    }


class Ray:
    """Workers in a Ray cluster. The log of each lies in `<root>/fleets/ray/<id>/`.

    `on` says where (`FORMS`); `workers` how many at most, 0 for as many as the nodes have room for.
    Raises: FleetError."""

    def __init__(self, root: Path, on: str, workers: int = 0, resources: Resources | None = None):
        self.root, self.resources = root.absolute(), resources or Resources()
        self._address, local_workers = _parsed(on)
        self._workers = local_workers or workers
        _check(workers >= 0, f"--workers is a number from 1 up, got {workers}")
        _check(
            not (local_workers and workers and workers != local_workers),
            f"--on {on} has {local_workers} workers, and --workers says {workers}",
        )
        extras.require("ray")
        self._folder: Path | None = None
        self._numbers = itertools.count()
        self._driver: _Driver | None = None
        self._lock = threading.Lock()

    @property
    def width(self) -> int:
        """How many workers at most. Raises: FleetError where Ray cannot be reached, or no node has
        room for one."""
        return self._workers or self._connected().room

    def submit(self, n: int, command: Sequence[str]) -> Sequence[Member]:
        """Ask for `n` tasks, spread over the nodes, that run this command; Ray begins each where
        its resources are free."""
        driver = self._connected()
        if self._folder is None:
            # a node that has this folder sees this store
            name = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(4)}"
            self._folder = self.root / "fleets" / "ray" / name
            with explained(self.root):
                self._folder.mkdir(parents=True)
        members = [
            Member(name, str(self._folder / f"{name}.log"))
            for name in (str(next(self._numbers)) for _ in range(n))
        ]
        sent = forwarded(os.environ)
        for member in members:
            what = {
                "command": list(command),
                "python": sys.executable,
                "version": _version(),
                "root": str(self.root),
                "log": member.log,
            }
            driver.ask(
                "submit",
                id=member.id,
                what={**what, "env": sent, "seconds": self.resources.seconds},
            )
        return members

    def look(self, members: Sequence[Member]) -> Mapping[str, State]:
        """The state of each, by id. Raises: FleetError when Ray does not answer, or a node cannot
        do the work, such as one without the store."""
        if not members:
            return {}
        states: Mapping[str, State] = self._connected().ask(
            "look", logs={m.id: m.log for m in members}
        )
        return states

    def cancel(self, members: Sequence[Member]) -> None:
        """Stop them: each saves a checkpoint and gives its lease back. Without any left, the
        connection ends too, and a cluster begun here."""
        if self._driver is None:
            return
        try:
            over = self._driver.ask("cancel", ids=[m.id for m in members])
        except FleetError:  # the connection is lost, and with it Ray lost its reason to keep them
            over = True
        if over:
            self.close()

    def close(self) -> None:
        """End the connection, and a cluster that was begun here. The next call begins anew."""
        with self._lock:
            if self._driver is not None:
                self._driver.close()
                self._driver = None

    def _connected(self) -> _Driver:
        with self._lock:
            if self._driver is None:
                self._driver = _Driver(self._address, self._workers, self.resources)
            return self._driver


class _Driver:
    """The process that speaks to Ray, and the threads that read what it says and prints."""

    def __init__(self, address: str, workers: int, resources: Resources):
        where = (
            f"the Ray cluster at {address}"
            if address not in ("auto", "local")
            else "Ray on this machine"
        )
        self._where, self._asking, self._let_in = where, threading.Lock(), False
        _reachable(address)
        path = os.pathsep.join(p or str(Path.cwd()) for p in sys.path)
        env = {**_SETTINGS, **os.environ, "PYTHONPATH": path}
        if (
            address == "local" and "RAY_AUTH_MODE" not in env
        ):  # a token that nobody else has, and that is written nowhere
            env |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        _token_there(env)
        self._secret = env.get("RAY_AUTH_TOKEN", "")
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-c",
                "from assay.lab.away.fleets.ray_driver import serve; serve()",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,  # Ctrl-C at a terminal is ours: workers are told by `cancel`
        )
        self._answers: queue.Queue[Callable[[], Any]] = queue.Queue()
        self._printed: collections.deque[str] = collections.deque(maxlen=20)
        self._threads = [
            threading.Thread(target=read, daemon=True) for read in (self._listen, self._overhear)
        ]
        for thread in reversed(self._threads):  # the first waits for the other's last words
            thread.start()
        self.close = weakref.finalize(
            self, _end, self._process, self._threads
        )  # also when this process ends
        try:
            amounts = {"cpus": resources.cpus, "gpus": resources.gpus, "memory": resources.memory}
            self.room: int = self.ask("connect", address=address, workers=workers, asked=amounts)
            self._let_in = True
        except BaseException:
            if address != "local":  # it began nothing, and may be long in giving up
                self._process.kill()
            self.close()
            raise

    def ask(self, do: str, **rest: Any) -> Any:
        """What it answers. Raises: FleetError with what it says is wrong, with its last words where
        it ended, or where it is silent."""
        with self._asking:
            assert self._process.stdin is not None
            try:
                self._process.stdin.write(json.dumps({"do": do, **rest}) + "\n")
                self._process.stdin.flush()
            except (BrokenPipeError, ValueError):
                pass  # it ended; its reader says so
            try:
                return self._answers.get(timeout=PATIENCE)()
            except queue.Empty:
                if self._let_in:
                    self.close()
                raise FleetError(f"{self._where} does not answer for {PATIENCE:.0f} s") from None

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(functools.partial(self._said, json.loads(line)))
        self._threads[1].join(timeout=1)  # its last words
        self._answers.put(self._lost)

    def _overhear(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._printed.append(line.strip())
            if not self._let_in and _REFUSED.search(line):
                self._answers.put(lambda: self._refuse(_WRONG.format(where=self._where)))

    def _said(self, reply: Mapping[str, Any]) -> Any:
        return reply["answer"] if "answer" in reply else self._refuse(reply["error"])

    def _lost(self) -> Any:
        self._answers.put(self._lost)  # whoever asks again hears it again
        last = next((line for line in reversed(self._printed) if line), "without a word")
        return self._refuse(f"{self._where} was lost: {last}")

    def _refuse(self, why: str) -> Any:
        text = plain(" ".join(why.split()))
        raise FleetError(text.replace(self._secret, "…") if self._secret else text)


_WRONG = (
    "{where} refuses this token, or asks for one: set RAY_AUTH_MODE=token, and have the cluster's "
    "token in ~/.ray/auth_token, "
    "in a file that RAY_AUTH_TOKEN_PATH names, or in RAY_AUTH_TOKEN"
)


def _end(process: subprocess.Popen[str], threads: Sequence[threading.Thread]) -> None:
    """Close its input, at which it leaves the cluster or ends the one that it began; kill it where
    that takes too long."""
    with contextlib.suppress(OSError):
        assert process.stdin is not None
        process.stdin.close()
    try:
        process.wait(timeout=60)  # workers may still be saving
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for thread in threads:
        thread.join(timeout=1)
    for pipe, thread in zip((process.stdout, process.stderr), threads, strict=True):
        if pipe is not None and not thread.is_alive():
            pipe.close()


def _parsed(on: str) -> tuple[str, int]:
    """What Ray calls this address, and the number of workers of one on this machine, else 0.
    Raises: FleetError."""
    kind, colon, rest = on.partition(":")
    if kind == "local" and colon:
        _check(
            rest.isascii() and rest.isdigit() and 1 <= int(rest) <= 4096,
            f"--on local:N takes a number of workers from 1 up, got {on!r}",
        )
        return "local", int(rest)
    host, _, port = rest.removeprefix("//").rpartition(":")
    is_address = (
        re.fullmatch(r"[\w.-]+|\[[0-9a-fA-F:.]+\]", host)
        and re.fullmatch(r"\d{1,5}", port)
        and 0 < int(port) < 65536
    )
    _check(
        kind == "ray" and (is_address or rest == "auto"), f"--on takes {FORMS}; got {plain(on)!r}"
    )
    return on if rest.startswith("//") else rest, 0


def _reachable(address: str) -> None:
    """See that something listens there: Ray takes half a minute or more to say that nothing does.
    Raises: FleetError."""
    if address in ("auto", "local"):
        return
    if address.startswith("ray://"):
        extras.require("grpc")
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=15).close()
    except OSError as e:
        why = e.strerror or str(e) or "no answer"
        raise FleetError(
            f"nothing answers at {address}: {why}; the port of ray:// is that of the Ray "
            "Client server, 10001 by default"
        ) from e


def _token_there(env: Mapping[str, str]) -> None:
    """See that the token can be read where a file is named for it: Ray ends its process over one
    that cannot. Raises: FleetError."""
    token_path = env.get("RAY_AUTH_TOKEN_PATH", "")
    if (
        env.get("RAY_AUTH_MODE", "").lower() != "token"
        or env.get("RAY_AUTH_TOKEN")
        or not token_path
    ):
        return
    try:
        readable = bool(Path(token_path).read_bytes().strip())
    except OSError:
        readable = False
    _check(
        readable,
        (
            "the file that RAY_AUTH_TOKEN_PATH names cannot be read, or is empty: it has to hold "
            "the token of the Ray cluster"
        ),
    )


def _version() -> str:
    return importlib.metadata.version("interp-assay")


def _check(well: object, why: str) -> None:
    if not well:
        raise FleetError(why)
