"""What a command costs before it does anything: whole processes, interleaved, beside an empty
Python.

Goals: `assay --help` at most 0.5 s, a cached `assay run` at most 3 s, on a free machine. Needs a
stored result of the experiment.
Run: python benchmarks/startup.py [STORE [EXPERIMENT]]
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time

STORE = sys.argv[1] if len(sys.argv) > 1 else "assay-store"
EXPERIMENT = sys.argv[2] if len(sys.argv) > 2 else "superposition"
REPEATS, WARM = 7, 2
CONTENDERS = {
    "python, nothing": ["-c", "pass"],
    "python, import torch": ["-c", "import torch"],
    "assay --help": ["-m", "assay", "--help"],
    "assay list": ["-m", "assay", "list"],
    f"assay run {EXPERIMENT}, cached": ["-m", "assay", "run", EXPERIMENT, "--root", STORE],
}


def main():
    times: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for repeat in range(REPEATS + WARM):
        for name, command in CONTENDERS.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, *command], check=True, capture_output=True)
            if repeat >= WARM:
                times[name].append(time.perf_counter() - began)
    empty = statistics.median(times["python, nothing"])
    for name, t in times.items():
        median = statistics.median(t)
        print(
            json.dumps(
                {
                    "contender": name,
                    "seconds_min": round(min(t), 3),
                    "median": round(median, 3),
                    "ratio": round(median / empty, 1),
                }
            )
        )


if __name__ == "__main__":
    main()
