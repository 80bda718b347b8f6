"""Runs that do nothing: how many a second are stored, and what `assay plan` and `assay show` take
once very many are.

First a fresh store for each number of workers, in turns: runs a second between the first group that
is stored and the last, each group one seed of two arms. Then a store of so many runs, written by
the store's own code and kept: CPU-seconds of whole processes, the first of which finds no index.
Goals: 50 runs a second, and more workers never slower than one; at most 2 CPU-seconds at 10,000
runs and 6 at 100,000, 1 where hardly any is stored.
Run: python benchmarks/no_op.py [--groups 100] [--workers 1 2] [--stored 20 10000] [--folder FOLDER]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from assay.core.experiment import Experiment
from assay.core.measures import measures, one_run
from assay.core.runs import Runs
from assay.lab import catalogue
from assay.lab.engines import Workers
from assay.lab.lab import Lab
from assay.lab.store import origin, provenance
from assay.lab.store.runs import Made
from assay.lab.work.events import Saved

TEXT = '''"""Numbers that nothing was done for are above zero.

Paper: none
Claim: their mean is above zero
Baselines: zero — the same around zero
Cost: seconds
"""

from dataclasses import dataclass

from assay import Arm, Claim, Experiment, PerRun, Spec, Trained, changed, grid, measures, normal


@dataclass(frozen=True, kw_only=True)
class Nothing(Spec):
    mean: PerRun[float] = 1.0
    """Mean of the numbers."""


def measure(runs, trained, bench):
    numbers = normal(runs.seeds, "numbers", 0, (8,)) + runs.each("mean")[:, None]
    return measures(runs, height=("run", numbers.mean(1), "1"))


nothing = Arm(lambda runs, bench: Trained.nothing(runs))
experiment = Experiment(
    arms={{
        "main": nothing,
        "zero": Arm(nothing.train, specs=changed(mean=0.0)),
    }},
    measure=measure,
    claims=(
        Claim(
            text="The mean is above a half",
            value=lambda arm, arms: arm.height,
            low=0.5,
            empty=0.0,
            unit="1",
            must_fail=("zero",),
            threshold_from="theory: the mean is 1, that of the control 0",
            published="new",
            source="none",
        ),
    ),
    seeds_per_group=1,
    smoke=grid(Nothing(), seed=range(2)),
    default=grid(Nothing(), seed=range(1000, {last})),
    full=grid(Nothing(), seed=range(1000, {last})),
)
'''


def written(folder: Path, seeds: int) -> Experiment:
    """The experiment on so many seeds, in a file of this folder."""
    path = folder / "nothing.py"
    path.write_text(TEXT.format(last=1000 + seeds))
    return catalogue.find(str(path))


def rate(experiment: Experiment, workers: int) -> tuple[float, float]:
    """Runs a second between the first group that is stored and the last; CPU-seconds a run, of all
    processes, their start included."""
    stored: list[tuple[float, int]] = []

    def hear(event: Any) -> None:
        if isinstance(event, Saved):
            stored.append((time.perf_counter(), event.done))

    before = sum(os.times()[:4])
    with tempfile.TemporaryDirectory() as root:
        Lab(root, Workers(workers)).run(experiment, on_event=hear)
    cpu = sum(os.times()[:4]) - before
    (start, some), (end, every) = stored[0], stored[-1]
    return (every - some) / (end - start), cpu / every


def fill(root: Path, experiment: Experiment) -> None:
    """Store the runs of its default preset, with what a worker notes of each."""
    lab, text = Lab(root), origin.text(experiment)
    about = {
        "cpu_seconds": 0.02,
        "seconds": 0.02,
        "peak_rss": provenance.peak_rss(),
        "device": "cpu",
        "finished": provenance.timestamp(),
        "software": provenance.software(),
        "machine": provenance.machine(),
        "code": text.code,
        "text": text.whole,
    }
    for arm, rows in lab.plan(experiment).by_arm().items():
        for first in range(0, len(rows), 1000):
            some = rows[first : first + 1000]
            runs = Runs([row.job.spec for row in some])
            height = np.random.default_rng(first).normal(arm == "main", 0.35, len(some))
            data = measures(runs, height=("run", height.astype(np.float32), "1"))
            data = data.assign(diverged=("run", np.zeros(len(some), bool), {"units": "bool"}))
            noted = {**about, "runs": 2}
            lab.store.put_all(
                [
                    Made(
                        row.job,
                        one_run(data, i),
                        provenance={
                            **noted,
                            "group": row.job.key[:16],
                            "sessions": [[first + i, first + i + 0.02]],
                        },
                    )
                    for i, row in enumerate(some)
                ],
                measured=experiment.measured,
            )


def command(verb: str, folder: Path) -> float:
    """CPU-seconds that a command of Assay takes, start of Python included."""
    before = sum(os.times()[2:4])
    words = [verb, str(folder / "nothing.py"), "--root", str(folder / "store")]
    compiled = {"PYTHONPYCACHEPREFIX": str(folder / "compiled"), "PYTHONDONTWRITEBYTECODE": ""}
    subprocess.run(
        [sys.executable, "-m", "assay", *words],
        check=True,
        capture_output=True,
        env={**os.environ, **compiled, "ASSAY_CACHE": str(folder / "cache")},
    )
    return sum(os.times()[2:4]) - before


def main() -> None:
    """Print a JSON line for each number of workers, and for each command on each store."""
    ask = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ask.add_argument("--groups", type=int, default=100)
    ask.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    ask.add_argument("--stored", type=int, nargs="*", default=[20, 10_000])
    ask.add_argument("--repeats", type=int, default=3)
    ask.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    a = ask.parse_args()
    found: dict[int, list[tuple[float, float]]] = {n: [] for n in a.workers}
    for _ in range(a.repeats if found else 0):
        for n in a.workers:
            with tempfile.TemporaryDirectory() as folder:
                found[n].append(rate(written(Path(folder), a.groups), n))
    for n, rates in found.items():
        runs, cpu = (statistics.median(column) for column in zip(*rates, strict=True))
        line = {"workers": n, "runs_per_s": round(runs, 1), "cpu_s_a_run": round(cpu, 4)}
        print(json.dumps(line), flush=True)
    for n in a.stored:
        folder = a.folder / f"assay-no-op-{n}"
        if not (folder / "whole").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            fill(folder / "store", written(folder, n // 2))
            command("run", folder)  # which only judges
            (folder / "whole").touch()
        command("plan", folder)  # compiles
        shutil.rmtree(folder / "cache", ignore_errors=True)
        for verb in ("plan", "show"):
            times = [command(verb, folder) for _ in range(1 + a.repeats)]
            line = {
                "command": verb,
                "stored": n,
                "first_cpu_s": round(times[0], 2),
                "cpu_s": round(statistics.median(times[1:]), 2),
            }
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
