"""A Ray cluster of several nodes on this machine, in a process of its own: `python ray_cluster.py
PORT` and lines on standard input.

`add NAME CPUS` begins a node; `kill NAME` ends one as a power cut would, with all that runs on it.
Each is answered by a line. Without further input everything ends. The head, which runs no tasks,
has the server of Ray Client at PORT."""

import contextlib
import sys

import psutil
from ray.cluster_utils import Cluster

SMALL = {"object_store_memory": 80 * 2**20}


def killed(cluster, node):
    """Kill everything that runs on a node, all at once."""
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    for process in [raylet, *raylet.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    cluster.remove_node(node, allow_graceful=False)


def main(port):
    head = {"num_cpus": 0, "include_dashboard": False, "ray_client_server_port": port, **SMALL}
    cluster, nodes = Cluster(initialize_head=True, head_node_args=head), {}
    print(f"cluster {cluster.address}", flush=True)
    for line in sys.stdin:
        match line.split():
            case ["add", name, cpus]:
                nodes[name] = cluster.add_node(node_name=name, num_cpus=int(cpus), **SMALL)
            case ["kill", name]:
                killed(cluster, nodes.pop(name))
        print("done", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]))
