"""One study of a thousand small runs: in groups of fifty seeds, in groups of the experiment's own
size, and one by one; beside bare arithmetic.

CPU-seconds of one thread in this process, contenders interleaved, each in an empty store, from the
study's text to its verdict. Bare arithmetic is `train` and `measure` called on the same ensembles,
without a store. One by one takes a tenth of the runs, and is scaled.
Goals: in large groups at least 3 times as fast as in those of the experiment's own size, and
arithmetic at least half of what they take.
Run: python benchmarks/thousand.py [--runs 1000] [--repeats 2]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from assay.core.bench import Unkept
from assay.core.experiment import Experiment
from assay.core.runs import Runs
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.lab import Lab

STUDY = """question = "Do small bottlenecks bring half of their features back?"
seeds = "0:{seeds}"

[[experiment]]
name = "superposition"
arms = ["linear"]
fields = {{ density = 0.1, steps = 100, batch = 64 }}
paired = {{ width = {widths}, features = {features} }}

[[claim]]
text = "More than half come back"
holds = "mean(main.represented, over=feature) > 0.5"
control = ["linear"]
threshold = "plan: half"
"""
CASES = {"1 shape": 1, "10 shapes": 10}
LARGE, OWN = 50, 4
"""Seeds of a large group, and of one of the experiment itself."""


def study(folder: Path, shapes: int, seeds: int) -> Experiment:
    """A study of so many shapes, seeds, and two arms."""
    path = folder / f"study_{shapes}_{seeds}.toml"
    widths = list(range(2, 2 + shapes))
    path.write_text(STUDY.format(seeds=seeds, widths=widths, features=[2 * w + 4 for w in widths]))
    return catalogue.find(str(path))


def whole(folder: Path, shapes: int, seeds: int, group: int) -> float:
    """CPU-seconds from the text to the verdict, in groups of so many seeds."""
    began = time.process_time()
    e = dataclasses.replace(study(folder, shapes, seeds), seeds_per_group=group)
    with tempfile.TemporaryDirectory() as root:
        result = Lab(root, Inline()).run(e)
        spent = time.process_time() - began  # the store is removed after the clock stopped
    assert len(result.judged) == 1
    return spent


def bare(folder: Path, shapes: int, seeds: int) -> float:
    """CPU-seconds of training and measuring alone, in large ensembles."""
    e = study(folder, shapes, seeds)
    ensembles = [
        (arm, runs)
        for name, arm in e.arms.items()
        for runs in Runs(e.specs_of(name, e.default)).split(LARGE)  # one spec a seed
    ]
    began = time.process_time()
    for arm, runs in ensembles:
        arm.measure(runs, arm.train(runs, Unkept()), Unkept())
    return time.process_time() - began


def main() -> None:
    """Print a JSON line for each case: medians, and ratios of what was measured side by side."""
    ask = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ask.add_argument("--runs", type=int, default=1000)
    ask.add_argument("--repeats", type=int, default=2)
    a = ask.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as there:
        folder = Path(there)
        whole(folder, 1, 8, OWN)  # imports
        for name, shapes in CASES.items():
            seeds = a.runs // (2 * shapes)
            few = max(1, seeds // 10)
            ways: dict[str, Callable[[], float]] = {
                "large groups": lambda n=shapes, s=seeds: whole(folder, n, s, LARGE),
                "own groups": lambda n=shapes, s=seeds: whole(folder, n, s, OWN),
                "one by one": lambda n=shapes, s=seeds, f=few: whole(folder, n, f, 1) * s / f,
                "arithmetic": lambda n=shapes, s=seeds: bare(folder, n, s),
            }
            times: dict[str, list[float]] = {way: [] for way in ways}
            for _ in range(a.repeats):
                for way, run in ways.items():
                    times[way].append(run())
            median = {way: statistics.median(spent) for way, spent in times.items()}
            ratios = {way: round(median[way] / median["large groups"], 2) for way in ways}
            told = {
                "case": name,
                "runs": 2 * shapes * seeds,
                "seeds_per_group": LARGE,
                "cpu_seconds": {w: round(t, 2) for w, t in median.items()},
            }
            print(json.dumps({**told, "over large groups": ratios}), flush=True)


if __name__ == "__main__":
    main()
