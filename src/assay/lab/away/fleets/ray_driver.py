"""The process that speaks to Ray, in JSON lines on standard input and output, until its input
closes; and the task that holds a worker."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import logging
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

GRACE = 30.0
"""Seconds for a worker to save and end once it was told to."""
SEEN = 40.0
"""Seconds for a new folder to appear on a node: network folders keep for a while what they last
saw."""
STORE = 80 * 2**20
"""Bytes of Ray's own memory for objects on a cluster that is begun here: nothing goes through
it."""

# The kernel tells the worker when the process that holds it dies; then becomes the worker, with the
# same number.
TIED = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(ctypes.c_int(1), ctypes.c_ulong(signal.SIGTERM))
if os.getppid() == int(sys.argv[1]):
    os.execvp(sys.argv[2], sys.argv[2:])
"""


def hold(what: Mapping[str, Any]) -> dict[str, Any]:
    """Run a worker on the node that Ray chose, until it ends or is cancelled; which node that was,
    and how it ended."""
    import ray

    node = ray.get_runtime_context().get_node_id()
    problem = _unseen(Path(what["root"]), Path(what["log"]).parent) or _other(what["version"])
    if problem:
        return {"node": node, "problem": problem}
    command = [
        sys.executable if what["command"][0] == what["python"] else what["command"][0],
        *what["command"][1:],
    ]
    path = os.pathsep.join(p or str(Path.cwd()) for p in sys.path)
    env = {
        **what["env"],
        **os.environ,
        "PYTHONPATH": path,
    }  # what a node is told by whoever set it up goes first
    env.pop("RAY_AUTH_TOKEN", None)
    with Path(what["log"]).open("ab", buffering=0) as log:
        log.write(f"on {socket.gethostname()}, Ray node {node}\n".encode())
        words = [sys.executable, "-ISc", TIED, str(os.getpid()), *command]
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)
    until = time.monotonic() + what["seconds"] if what["seconds"] else float("inf")
    try:
        while (
            process.poll() is None and time.monotonic() < until
        ):  # in small steps: a cancelled task is interrupted between them
            time.sleep(0.1)
        return {"node": node, "stopped": process.poll() is None, "code": process.poll()}
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _unseen(root: Path, folder: Path) -> str:
    """Why this node cannot work at the store; "" where it can."""
    until = time.monotonic() + SEEN
    while root.is_dir() and not folder.is_dir() and time.monotonic() < until:
        time.sleep(0.5)
        os.listdir(root)  # noqa: PTH208
    if not folder.is_dir():
        what = "has another folder at" if root.is_dir() else "does not see"
        return (
            f"{what} {root}: the store has to lie in a folder that all nodes share, at the same "
            "path"
        )
    return "" if os.access(folder, os.W_OK) else f"may not write into the store {root}"


def _other(version: str) -> str:
    own_version = importlib.metadata.version("interp-assay")
    return (
        ""
        if own_version == version
        else f"has Assay {own_version}, and whoever waits has {version}: install the same there"
    )


class Session:
    """A connection to Ray: asks for tasks, and knows how each ended."""

    def __init__(self) -> None:
        self._refs: dict[str, Any] = {}
        self._over: dict[str, str] = {}
        self._options: dict[str, Any] = {}

    def connect(self, address: str, workers: int, asked: Mapping[str, int]) -> int:
        """Connect, and begin a cluster where the address is `local`; how many workers the nodes
        have room for."""
        import ray

        cpus = asked["cpus"] or 1
        quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
        if address == "local":
            ray.init(
                "local",
                num_cpus=workers * cpus,
                include_dashboard=False,
                object_store_memory=STORE,
                **quiet,
            )
        else:
            ray.init(address, **quiet)
        needs = {
            k: n
            for k, n in {"CPU": cpus, "GPU": asked["gpus"], "memory": asked["memory"]}.items()
            if n
        }
        memory = {"memory": asked["memory"]} if asked["memory"] else {}
        self._options = {
            "num_cpus": cpus,
            "num_gpus": asked["gpus"],
            **memory,
            "max_retries": 0,
            "scheduling_strategy": "SPREAD",
        }
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        room = sum(int(min(has.get(k, 0) / n for k, n in needs.items())) for has in nodes)
        if room == 0 and (workers == 0 or address == "local"):
            most = {k: max((has.get(k, 0) for has in nodes), default=0) for k in needs}
            raise Problem(
                f"no node of the Ray cluster has {_amounts(needs)} for a worker; at most one "
                f"has {_amounts(most)}"
            )
        return room

    def submit(self, id: str, what: Mapping[str, Any]) -> None:
        """Ask for one task."""
        import ray

        self._refs[id] = ray.remote(hold).options(**self._options).remote(what)

    def look(self, logs: Mapping[str, str]) -> dict[str, str]:
        """The state of each. Raises: Problem where a node cannot do the work."""
        import ray

        open_ = {self._refs[id]: id for id in logs if id in self._refs and id not in self._over}
        if open_:
            ready, _ = ray.wait(list(open_), num_returns=len(open_), timeout=0)
            for ref in ready:
                self._over[open_[ref]] = self._ended(ref)
        begun = {
            id: "running" if Path(log).exists() else "waiting"
            for id, log in logs.items()
            if id in self._refs
        }
        return {
            id: self._over.get(id) or begun.get(id, "lost") for id in logs
        }  # of an earlier connection: it went with that

    def cancel(self, ids: Sequence[str]) -> bool:
        """Interrupt these, and wait until they saved and ended; whether nothing is left."""
        import ray

        open_ = [self._refs[id] for id in ids if id in self._refs and id not in self._over]
        for ref in open_:
            ray.cancel(ref, force=False)
        if open_:
            _, still = ray.wait(open_, num_returns=len(open_), timeout=GRACE + 5)
            for ref in still:
                ray.cancel(ref, force=True)
        self._over |= dict.fromkeys(
            (id for id in ids if id in self._refs and id not in self._over), "ended"
        )
        return len(self._over) == len(self._refs)

    def close(self) -> None:
        """Tell what is left to save and end, then leave the cluster, or end the one that was begun
        here."""
        if "ray" in sys.modules:
            import ray

            with contextlib.suppress(Exception):  # the cluster may be gone
                self.cancel(list(self._refs))
            ray.shutdown()

    def _ended(self, ref: Any) -> str:
        import ray
        from ray.exceptions import RayError, RayTaskError, TaskCancelledError

        try:
            reply = ray.get(ref)
        except TaskCancelledError:
            return "ended"
        except RayTaskError as e:
            if re.search(r"No module named '(assay|interp)", str(e)):
                raise Problem(
                    "a node of the Ray cluster has no Assay: install the same version on each node"
                ) from e
            raise Problem(f"a node of the Ray cluster cannot hold a worker: {_last(e)}") from e
        except RayError:  # its node or process is gone, for whatever reason
            return "lost"
        if "problem" in reply:
            raise Problem(f"Ray node {_name(reply['node'])} {reply['problem']}")
        return "preempted" if reply["stopped"] else "ended"


class Problem(Exception):
    """Something that the user can mend, in a line."""


def _why(error: Exception, address: str) -> str:
    """One line for what Ray raised."""
    if isinstance(error, Problem):
        return str(error)
    text = str(error)
    versions = re.findall(r"(Ray|Python): *(\S+)", text)
    if "ersion mismatch" in text and len(versions) == 4:
        theirs, ours = (
            " and ".join(f"{what} {which}" for what, which in versions[i : i + 2]) for i in (0, 2)
        )
        return (
            f"the Ray cluster at {address} has {theirs}, and here it is {ours}: both have to be "
            "equal"
        )
    if type(error).__name__ == "AuthenticationError":
        return (
            "RAY_AUTH_MODE=token is set, and there is no token: have the Ray cluster's in "
            "~/.ray/auth_token, "
            "in a file that RAY_AUTH_TOKEN_PATH names, or in RAY_AUTH_TOKEN"
        )
    if isinstance(error, ConnectionError):
        return (
            "no Ray cluster runs on this machine; `ray start` makes it a node of one"
            if address == "auto"
            else f"no Ray answers at {address}"
        )
    return f"Ray: {_last(error)}"


def _last(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:500]


def _name(id: str) -> str:
    """What people call a node: its host, and the name or address that Ray knows it by."""
    import ray

    node = next((n for n in ray.nodes() if n["NodeID"] == id), None)
    return f"{node['NodeManagerHostname']} ({node['NodeName']})" if node else id


def _amounts(needs: Mapping[str, float]) -> str:
    return ", ".join(
        f"{n / 2**30:.3g} GiB of memory" if k == "memory" else f"{n:g} {k}"
        for k, n in needs.items()
    )


def serve() -> None:
    """Answer until standard input closes. What Ray prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    # Ray Client says only here why it was not let in
    log = logging.getLogger("ray.util.client.worker")
    log.setLevel(logging.DEBUG)
    log.addHandler(logging.StreamHandler())
    session, address = Session(), ""
    for line in sys.stdin:
        request = json.loads(line)
        address = request.get("address", address)
        try:
            reply = {"answer": getattr(session, request.pop("do"))(**request)}
        except Exception as e:  # whatever Ray raises is one line for whoever asked
            reply = {"error": _why(e, address)}
        print(json.dumps(reply), file=answers)
    session.close()
