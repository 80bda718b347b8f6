"""What a study costs: by itself, behind another in one process, several at once, and forty small
ones as files of one command and as runs that agents ask for.

    python benchmarks/studies.py [--study examples/country.toml] [--at-once 4 12] [--small 40]

CPU-seconds are of all processes together. Memory is what the processes of a command have together
at most, pages that they share counted once. Prints a line for each."""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SMALL = """question = "How many features are represented at density {density}?"
seeds = "1000000:1000006"

[[experiment]]
name = "superposition"
fields = {{ density = {density}, steps = {steps} }}
arms = ["main", "linear"]

[[claim]]
text = "More than a third of the features are represented"
holds = "mean(main.represented, over=feature) > 0.33"
control = ["linear"]
near = {{ linear = "the share that any map of this width keeps" }}
threshold = "plan: a third"
"""
"""A study that trains for a tenth of a second."""


@dataclass(frozen=True)
class Took:
    """What commands took together."""

    seconds: float
    cpu: float
    gigabytes: float
    out: list[str]

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s, {self.cpu:.1f} CPU-s, {self.gigabytes:.2f} GB"


def spent() -> float:
    """CPU-seconds of this process and of those that it waited for."""
    parts = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, parts))


def memory(roots: set[int]) -> float:
    """GB of these processes and of all that they started; what is shared counts once."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    total = 0
    for pid in parents:
        above = pid
        while above not in roots and above in parents:
            above = parents[above]
        if above in roots:
            try:
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            except OSError:
                continue
            total += sum(int(x.split()[1]) for x in lines if x.startswith("Pss:"))
    return total / 1e6


def together(commands: list[list[str]], folder: Path) -> Took:
    """Run `assay` with each of these words at the same time. Raises: SystemExit where one fails."""
    began, before, most, over = time.perf_counter(), spent(), [0.0], threading.Event()
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "assay", *words],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for words in commands
    ]

    def watch() -> None:
        while not over.wait(0.25):
            most[0] = max(most[0], memory({p.pid for p in started}))

    watching = threading.Thread(target=watch)
    watching.start()
    said = [process.communicate() for process in started]
    over.set()
    watching.join()
    for process, (_, errors) in zip(started, said, strict=True):
        if process.returncode:
            raise SystemExit(f"assay ended with {process.returncode}: {errors[-500:]}")
    seconds = time.perf_counter() - began
    return Took(seconds, spent() - before, most[0], [out for out, _ in said])


def asked(studies: list[Path], root: Path) -> Took:
    """Run studies as agents have them run, two at once."""
    from assay.agents.asking import Bounds
    from assay.agents.server import Tools
    from assay.agents.serving import working
    from assay.jobs.folder import Job
    from assay.jobs.process import Limits

    began, before, place = time.perf_counter(), spent(), Path.cwd()
    with working(root.absolute(), Bounds(), Limits(), 2, ()) as (store, bounds):
        tools = Tools(store, bounds)
        jobs = [Job(store, tools.run(study=s.read_text())["key"]) for s in studies]
        while any((state := job.state).status in ("queued", "running") for job in jobs):
            time.sleep(0.1)
        if bad := [state.error for job in jobs if (state := job.state).status != "done"]:
            raise SystemExit(f"a run failed: {bad[0]}")
        seconds = time.perf_counter() - began
    os.chdir(place)
    return Took(seconds, spent() - before, 0.0, [])


def main() -> None:
    """Print a line for each."""
    ask = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    example = Path(__file__).parents[1] / "examples/country.toml"
    ask.add_argument("--study", type=Path, default=example)
    ask.add_argument("--change", nargs=2, default=["blocks.5", "blocks.8"], metavar="TEXT")
    ask.add_argument("--at-once", nargs="*", type=int, default=[4, 12])
    ask.add_argument("--small", type=int, default=40)
    ask.add_argument("--steps", type=int, default=60)
    a = ask.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path in a.study.parent.iterdir():
            if path.is_file():
                shutil.copy(path, folder)
        first, second = folder / a.study.name, folder / f"second-{a.study.name}"
        second.write_text(first.read_text().replace(*a.change))
        numbers = iter(range(10**6))

        def root() -> list[str]:
            return ["--root", f"store-{next(numbers)}"]

        def say(what: str, took: Took, more: str = "") -> None:
            print(f"{what}: {took}{more}", flush=True)

        by_itself = together([["run", first.name, *root()]], folder)
        say("first question", by_itself)
        store = root()
        took = together([["run", first.name, second.name, "--json", *store]], folder)
        ran: list[Any] = json.loads(took.out[0])["ran"]
        say("two in one process", took, f"; the second {ran[1]['seconds']:.1f} s")
        say("show", together([["show", first.name, *store]], folder))
        say("list", together([["list"]], folder))
        for n in a.at_once:
            runs = [["run", first.name] for _ in range(n)]
            apart = [together([[*words, *root()]], folder).seconds for words in runs]
            at_once = together([[*words, *root()] for words in runs], folder)
            say(f"{n} at once", at_once, f"; {at_once.seconds / sum(apart):.2f} x one by one")
        studies = [folder / f"small-{n:02d}.toml" for n in range(a.small)]
        for n, path in enumerate(studies):
            path.write_text(SMALL.format(density=round(0.01 * (n + 1), 2), steps=a.steps))
        ways: dict[str, Callable[[], Took]] = {
            "files of one command": lambda: together(
                [["run", *(s.name for s in studies), *root()]], folder
            ),
            "asked by agents": lambda: asked(studies, folder / "agents"),
        }
        for how, way in ways.items():
            took = way()
            rate = 60 * a.small / took.seconds
            say(f"{a.small} small ones, {how}", took, f"; {rate:.0f} a minute")


if __name__ == "__main__":
    main()
