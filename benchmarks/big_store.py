"""A store of 10,000 runs: how long `assay list` takes, and the pages of `assay serve` under a
hundred readers.

The runs are those of the committed records, with their measures, under the keys that they get:
each experiment's default, whole and judged.
Goals: `assay list` within 1 s; 95 of 100 pages within 100 ms. Readers look at each page for some
seconds, as people do; then the same readers ask without pause, which tells how many pages the
server gives in a second. The store is kept: a second call measures at once. Prints one JSON line
per figure.
Run: python benchmarks/big_store.py [runs] [folder] [readers]
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
import numpy as np
import psutil

from assay.core.measures import one_run
from assay.lab import catalogue
from assay.lab.engines import Inline
from assay.lab.judge import recording
from assay.lab.lab import Lab
from assay.lab.records import records
from assay.lab.store.runs import Made

RUNS = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
FOLDER = (
    Path(sys.argv[2])
    if len(sys.argv) > 2
    else Path(tempfile.gettempdir()) / f"assay-big-store-{RUNS}"
)
READERS = int(sys.argv[3]) if len(sys.argv) > 3 else 100
READING, PAGES = 5.0, 6
"""Mean seconds that a reader looks at a page, and pages that each opens."""
NAMES = (
    "superposition",
    "selection-noise",
    "capacity",
    "lock-step",
    "sgd-noise",
    "superposition-phase",
    "superposition-collapse",
    "superposition-llc",
    "superposition-sae",
    "s-curves",
    "deep-linear",
    "clt-faithful",
    "memorisation",
    "grokking-efficiency",
    "llc",
    "myopia",
)
"""Experiments whose runs read neither a model nor a text, in the order in which they are taken
until there are enough runs."""


def say(**figures: object) -> None:
    print(json.dumps(figures), flush=True)


def make(root: Path) -> None:
    """Store the runs that records hold, experiment after experiment, and judge each; nothing is
    trained."""
    lab, stored = Lab(root, Inline()), 0
    for name in NAMES:
        if stored >= RUNS:
            break
        start = time.perf_counter()
        experiment, record = catalogue.find(name), records.read(name)
        assert record is not None
        rows = lab.plan(experiment).by_arm()
        made = [
            Made(
                row.job,
                one_run(data, i),
                provenance={"cpu_seconds": record["cost"][arm], "sessions": [[0.0, 1.0]]},
            )
            for arm, data in recording.arms(experiment, record).items()
            for i, row in enumerate(rows[arm])
        ]
        stored += len(lab.store.put_all(made, measured=experiment.measured))
        written = time.perf_counter() - start
        assert not lab.plan(experiment).missing, name
        lab.run(experiment)
        say(
            experiment=name,
            runs=stored,
            written=round(written, 1),
            judged=round(time.perf_counter() - start - written, 1),
        )


def command(*words: str) -> tuple[float, float]:
    """Seconds that a command of Assay takes, start of Python included, and those of the
    processor."""
    start, before = time.perf_counter(), sum(os.times()[2:4])
    subprocess.run(
        [sys.executable, "-m", "assay", *words, "--root", str(FOLDER)],
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - start, sum(os.times()[2:4]) - before


async def asked(client: httpx.AsyncClient, address: str) -> float:
    """Milliseconds until a page is there whole."""
    start = time.perf_counter()
    (await client.get(address, timeout=120)).raise_for_status()
    return 1000 * (time.perf_counter() - start)


async def reader(
    client: httpx.AsyncClient,
    draw: random.Random,
    pause: float,
    addresses: Sequence[str],
    found: list[float],
) -> None:
    await asyncio.sleep(draw.random() * pause)
    for _ in range(PAGES):
        found.append(await asked(client, draw.choice(addresses)))
        if pause:
            await asyncio.sleep(draw.expovariate(1 / pause))


def spent(server: psutil.Process) -> float:
    """Milliseconds of processor time of the server so far, which a busy machine does not
    lengthen."""
    told = server.cpu_times()
    return 1000 * (told.user + told.system)


async def pages(origin: str, server: psutil.Process) -> None:
    """Each page once by one reader, then all by all readers at once: with pauses, and without."""
    addresses = ["/", "/.json"]
    async with httpx.AsyncClient(
        base_url=origin, limits=httpx.Limits(max_connections=READERS, keepalive_expiry=2)
    ) as client:
        first = [await asked(client, address) for address in addresses]
        again = [await asked(client, address) for address in addresses for _ in range(5)]
        say(page="start", first_ms=told(first), again_ms=told(again))
        for pause in (READING, 0.0):
            found: list[float] = []
            start, before = time.perf_counter(), spent(server)
            await asyncio.gather(
                *(reader(client, random.Random(i), pause, addresses, found) for i in range(READERS))
            )
            rate = len(found) / (time.perf_counter() - start)
            cpu = round((spent(server) - before) / len(found), 1)
            say(
                readers=READERS,
                pause_s=pause,
                pages=len(found),
                pages_per_s=round(rate, 1),
                cpu_ms_a_page=cpu,
                ms=told(found),
            )


def told(times: Sequence[float]) -> dict[str, float]:
    return {f"p{q}": round(float(np.percentile(times, q)), 1) for q in (50, 95, 100)}


def main() -> None:
    if not (FOLDER / "results").exists():
        make(FOLDER)
    held = sum(1 for _ in (FOLDER / "runs").glob("*/*"))
    wall, cpu = zip(*(command("list") for _ in range(6)), strict=True)
    say(
        command="assay list",
        runs=held,
        first_s=round(wall[0], 2),
        median_s=round(statistics.median(wall), 2),
        cpu_s=round(min(cpu), 2),
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "assay", "serve", "--root", str(FOLDER), "--port", str(port)]
    )
    try:
        origin = f"http://127.0.0.1:{port}"
        for _ in range(300):
            try:
                httpx.get(f"{origin}/static/style.css")
                break
            except httpx.ConnectError:
                time.sleep(0.1)
        asyncio.run(pages(origin, psutil.Process(server.pid)))
    finally:
        assert server.poll() is None, f"the server ended with {server.returncode}"
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
