"""Judging: crossed draws of many measures, and every statement of a recorded experiment on all of
its arms.

Goals: 10,000 crossed draws of 1,000 documents × 8 seeds of 50 measures in 2 s; all arms of an
experiment in 1 s. The first is beside a plain bootstrap that draws its weights anew for each
measure; that one is run on five measures and scaled up. Records are those of the folder records/.
CPU seconds of one thread, contenders alternate in one process. Prints one JSON line per contender,
then the ratio; `first` is the first call, which draws the weights that later ones find.
Run: python benchmarks/judging.py [--documents 1000] [--seeds 8] [--measures 50] [--repeats 5]
[--experiment gated-sae]"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from assay.core.intervals import DRAWS, counts, interval
from assay.core.stats import ratio
from assay.lab import catalogue
from assay.lab.judge import recording
from assay.lab.judge.result import judge_statements, with_derived
from assay.lab.records import records

SAMPLE = 5


def plain(terms: dict[str, np.ndarray]) -> np.ndarray:
    """Percentiles of a ratio over crossed draws, as a loop over terms."""
    u, v = (counts(i, n, DRAWS).astype(np.float64) for i, n in enumerate(terms["error"].shape))
    error, variance = (((v @ x.T) * u).sum(1) for x in terms.values())
    return np.quantile(error / variance, [0.025, 0.975])


def cpu(run: Callable[[], object]) -> float:
    """CPU seconds of a call."""
    began = time.process_time()
    run()
    return time.process_time() - began


def main() -> None:
    ask = argparse.ArgumentParser()
    ask.add_argument("--documents", type=int, default=1000)
    ask.add_argument("--seeds", type=int, default=8)
    ask.add_argument("--measures", type=int, default=50)
    ask.add_argument("--repeats", type=int, default=5)
    ask.add_argument("--experiment", default="gated-sae")
    a = ask.parse_args()
    draw, shape = np.random.default_rng(0), (a.seeds, a.documents)
    measures = [
        {"error": draw.exponential(size=shape), "variance": 5 + draw.exponential(size=shape)}
        for _ in range(a.measures)
    ]

    experiment = catalogue.find(a.experiment)
    record = records.read(a.experiment, experiment.origin)
    assert record is not None, f"{a.experiment} has no record"
    arms = with_derived(experiment, recording.arms(experiment, record))
    contenders = {
        "weights drawn for each measure": lambda: [plain(x) for x in measures[:SAMPLE]],
        "assay intervals": lambda: [
            interval(x, ratio("error", "variance"), factors=2) for x in measures
        ],
        f"{a.experiment}: {len(experiment.claims)} statements, {len(arms)} arms": lambda: (
            judge_statements(experiment.claims, arms)
        ),
    }
    first = {name: cpu(run) for name, run in contenders.items()}
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(a.repeats):
        for name, run in contenders.items():
            times[name].append(cpu(run))
    drawn, ours, _ = contenders
    scale = a.measures / min(SAMPLE, a.measures)
    first[drawn], times[drawn] = scale * first[drawn], [scale * t for t in times[drawn]]
    for name, t in times.items():
        print(
            json.dumps(
                {
                    "contender": name,
                    "first": round(first[name], 2),
                    "median": round(statistics.median(t), 2),
                    "min": round(min(t), 2),
                }
            )
        )
    print(
        "intervals "
        f"{statistics.median(b / c for b, c in zip(times[drawn], times[ours], strict=True)):.1f} "
        "times as fast"
    )


if __name__ == "__main__":
    main()
