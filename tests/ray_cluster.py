"""A Ray cluster of several nodes on this machine, in a process of its own: `python ray_cluster.py
PORT` and lines on standard input.

`add NAME CPUS` begins a node; `kill working` ends one that works on a group as a power cut would,
with all that runs on it. Each is answered by a line. Without further input everything ends. The
head, which runs no tasks, has the server of Ray Client at PORT."""

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

SMALL = {"object_store_memory": 80 * 2**20}
# Calls nobody, and no worker stands back. A node that is gone is known to be so in seconds, in
# place of half a minute.
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_failure_threshold": "4",
}
JOINS = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(24)}
"""What the environment of those has who may join a cluster of this process; Ray reads it once."""


class RayCluster:
    """That process, of a cluster that asks for a token: `direct` is its address for its own nodes,
    `client` that of the server of Ray Client."""

    def __init__(self, folder, env):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        own = {"RAY_TMPDIR": folder, **JOINS}
        path = os.pathsep.join(p or str(Path.cwd()) for p in sys.path)
        self.log = Path(folder, "cluster.log")
        self.process = subprocess.Popen(
            [sys.executable, "-P", __file__, str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log.open("w"),
            env={**os.environ, **SETTINGS, **own, **env, "PYTHONPATH": path},
            encoding="utf-8",
        )
        self.direct, self.client = self._answer("cluster "), f"ray://127.0.0.1:{port}"

    @classmethod
    @contextlib.contextmanager
    def begun(cls, cache, **env):
        """A cluster whose nodes have this folder as their cache."""
        with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
            cluster = cls(folder, {"ASSAY_CACHE": str(cache), **env})
            try:
                yield cluster
            finally:
                cluster.end()

    @classmethod
    @contextlib.contextmanager
    def joined(cls, cache, **env):
        """The same, which this process joins by `ray.init`."""
        os.environ |= JOINS
        import ray

        with cls.begun(cache, **env) as cluster:
            os.environ["RAY_ADDRESS"] = cluster.direct
            try:
                yield cluster
            finally:
                ray.shutdown()
                del os.environ["RAY_ADDRESS"]

    def _answer(self, start):
        for line in self.process.stdout:
            if line.startswith(start):
                return line.removeprefix(start).strip()
        raise AssertionError(self.log.read_text())

    def do(self, line):
        """Have it do what a line says."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        self._answer("done")

    def working(self):
        """The processes that work on a group."""
        return working(psutil.Process(self.process.pid))

    def end(self):
        """End it with its nodes."""
        self.process.stdin.close()
        self.process.wait(120)


def working(parent):
    """Those of a process's descendants that work on a group."""
    found = []
    for process in parent.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "ray::_work" in " ".join(process.cmdline()):
                found.append(process)
    return found


def raylet_of(node):
    """The process of a node that starts all others."""
    return psutil.Process(node.all_processes["raylet"][0].process.pid)


def killed(cluster, node):
    """Kill everything that runs on a node, all at once."""
    raylet = raylet_of(node)
    for process in [raylet, *raylet.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    cluster.remove_node(node, allow_graceful=False)


def main(port):
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "include_dashboard": False, "ray_client_server_port": port, **SMALL}
    cluster, nodes = Cluster(initialize_head=True, head_node_args=head), {}
    print(f"cluster {cluster.address}", flush=True)
    for line in sys.stdin:
        match line.split():
            case ["add", name, cpus]:
                nodes[name] = cluster.add_node(node_name=name, num_cpus=int(cpus), **SMALL)
            case ["kill", "working"]:
                name = next(name for name, node in nodes.items() if working(raylet_of(node)))
                killed(cluster, nodes.pop(name))
        print("done", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]))
