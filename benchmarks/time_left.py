"""The time that `assay run` says is left, against what it then took: at every second of one run
from an empty store.

Goals: a median error of the middle of the range of at most 20 %, and at least four of five ranges
that hold the truth.
Run: python benchmarks/time_left.py EXPERIMENT [PRESET [STORE]]; a STORE that is not there yet is
kept, for a record of the same run."""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from assay.core.compute import Range
from assay.lab import catalogue
from assay.lab.engines import Workers
from assay.lab.lab import Lab
from assay.lab.plan.preset import override


def main(name: str, preset: str = "default", store: str = "") -> None:
    if store and Path(store).exists():
        raise SystemExit(f"{store} is there already; the time is told of a run from an empty store")
    experiment = catalogue.find(name)
    began, load, said = time.monotonic(), os.getloadavg()[0], []

    def hear(event: object) -> None:
        if isinstance(eta := getattr(event, "eta", None), Range):
            said.append((time.monotonic() - began, eta))

    with tempfile.TemporaryDirectory() as folder:
        Lab(store or folder, Workers()).run(experiment, override(experiment, preset), hear)
    ended = time.monotonic() - began
    told = {
        "experiment": name,
        "preset": preset,
        "seconds": round(ended),
        "load": [round(load, 1), round(os.getloadavg()[0], 1)],
    }
    if said:
        first = said[0][0]
        read = [
            (at, [eta for t, eta in said if t <= at][-1])
            for at in (first + i for i in range(max(1, int(ended - first))))
        ]
        errors = [abs(eta.middle - (ended - at)) / (ended - at) for at, eta in read]
        told |= {
            "first_said_at": round(first / ended, 2),
            "median_error": round(statistics.median(errors), 3),
            "within_range": round(
                statistics.fmean(eta.low <= ended - at <= eta.high for at, eta in read), 2
            ),
            "median_high_over_low": round(
                statistics.median(eta.high / eta.low for _, eta in read), 2
            ),
            "path": [
                (round(at), round(eta.low), round(eta.high), round(ended - at))
                for at, eta in read[:: max(1, len(read) // 12)]
            ],
        }
    print(json.dumps(told))


if __name__ == "__main__":
    sys.path.remove(
        str(Path(__file__).resolve().parent)
    )  # so that workers take no file beside this one for a library
    main(*sys.argv[1:])
