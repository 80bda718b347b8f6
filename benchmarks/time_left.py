"""The time that `assay run` says is left, against what it then took: along one run from an empty store, everything it says, as ratios.

Goal: a median error of the middle of the range of at most 20 %. Run: python benchmarks/time_left.py EXPERIMENT [PRESET]
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time

from assay.lab import catalogue
from assay.lab.executors import Workers
from assay.lab.lab import Lab
from assay.lab.preset import override


def main(name: str, preset: str = "default") -> None:
    experiment = catalogue.find(name)
    began, said, heard = time.monotonic(), [], []

    def hear(event: object) -> None:
        heard.append(time.monotonic() - began)
        if (eta := getattr(event, "eta", None)) is not None and eta.high:
            said.append((heard[-1], eta))

    with tempfile.TemporaryDirectory() as folder:
        Lab(folder, Workers()).run(experiment, override(experiment, preset), hear)
    ended = time.monotonic() - began
    left = [(ended - at, eta) for at, eta in said]
    errors = [abs(eta.middle - true) / true for true, eta in left]
    within = [eta.low <= true <= eta.high for true, eta in left]
    told = {"experiment": name, "preset": preset, "seconds": round(ended), "first_said_at": round(said[0][0] / ended, 2) if said else None}
    if said:
        told |= {"median_error": round(statistics.median(errors), 3), "within_range": round(sum(within) / len(within), 2),
                 "median_high_over_low": round(statistics.median(eta.high / eta.low for _, eta in left), 2), "said": len(said)}  # fmt: skip
        told["path"] = [(round(100 * at / ended), round(eta.low), round(eta.high), round(ended - at)) for at, eta in said[:: max(1, len(said) // 12)]]
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
