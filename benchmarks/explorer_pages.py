"""Pages of the explorer on a large simulated index: one reader without pause, then fifty who read
each page for some seconds.

Goal: 95 of 100 pages within 100 ms. A tenth of the features is made from made-up firings through
features/index/build; its tables then stand ten times over under new numbers, since pages only read.
The index is kept, so that a second call measures at once. Prints one JSON line per kind of page and
number of readers.
Run: python benchmarks/explorer_pages.py [features] [tokens] [folder]
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from assay.features.index import build, firings, schema
from assay.features.index.about import About

FEATURES, TOKENS = [int(a) for a in sys.argv[1:3]] + [100_000, 1_000_000][len(sys.argv[1:3]) :]
FOLDER = (
    Path(sys.argv[3])
    if len(sys.argv) > 3
    else Path(tempfile.gettempdir()) / f"assay-explorer-{FEATURES}-{TOKENS}"
)
VOCABULARY, CONTEXT, WIDTH, ON = 8_000, 128, 32, 16
TIMES = 10
PART = FEATURES // TIMES
READERS, READING, PAGES = 50, 5.0, 6
"""Readers at once, mean seconds that each looks at a page, pages that each opens."""
BASE = "/model/simulated"


def make(store: Path) -> None:
    """An index of all features: a tenth of them, ten times."""
    if not (store / "part/about.json").exists():
        make_part(store)
    folder = store / "artefacts/index" / ("0" * 16)
    shutil.copytree(store / "part", folder)
    for name in build.TABLES:
        table = pq.read_table(store / "part" / f"{name}.parquet")
        with pq.ParquetWriter(
            folder / f"{name}.parquet", table.schema, compression="zstd"
        ) as writer:
            for i in range(TIMES):
                writer.write_table(
                    renumbered(table, i * PART),
                    row_group_size=schema.ROWS.get(name, schema.OTHER_ROWS),
                )
    np.save(folder / "decoder.npy", np.tile(np.load(store / "part/decoder.npy"), (TIMES, 1)))
    replace(About.read(folder), d_sae=PART * TIMES).write(folder)


def renumbered(table: pa.Table, by: int) -> pa.Table:
    for name in ("feature", "other", "nearest", "antipode"):
        if name in table.column_names:
            table = table.set_column(
                table.column_names.index(name),
                name,
                pc.add(table.column(name), pa.scalar(by, pa.int32())),
            )
    return table


def make_part(store: Path) -> None:
    """Features whose densities span three decades, on a text of random tokens."""
    rng = np.random.default_rng(0)
    shards = store / "shards"
    windows = TOKENS // CONTEXT
    weight = 10 ** rng.uniform(-3, 0, PART)
    edges = np.cumsum(weight / weight.sum())
    paths = []
    for i, part in enumerate(np.array_split(np.arange(windows), max(1, windows // 500))):
        tokens = rng.integers(0, VOCABULARY, (len(part), CONTEXT))
        row = np.repeat(np.arange(tokens.size), ON)
        feature = np.searchsorted(edges, rng.random(len(row)))
        pair = np.unique(row * PART + np.minimum(feature, PART - 1))
        row, feature = np.divmod(pair, PART)
        path = shards / f"{i:04}"
        path.mkdir(parents=True, exist_ok=True)
        firings.write(
            path,
            feature=feature,
            row=row,
            value=rng.exponential(1.0, len(row)).astype(np.float32),
            tokens=tokens,
            document=part // 8,
            keep=np.ones(tokens.shape, bool),
            effect=rng.normal(0, 1e-3, len(row)).astype(np.float32),
        )
        paths.append(path)
    about = About(
        name="simulated",
        dictionary="0" * 64,
        model="model",
        model_words="no model",
        model_sha256="1" * 64,
        corpus="random",
        corpus_sha256="2" * 64,
        site="none",
        site_out="none",
        kind="TopK",
        d_in=WIDTH,
        d_sae=PART,
        tokens=0,
        windows=0,
        context=0,
        documents=0,
        bos=False,
        skip_first=0,
    )
    decoder = rng.normal(size=(PART, WIDTH)).astype(np.float32)
    unembedding = rng.normal(size=(WIDTH, VOCABULARY)).astype(np.float32)
    (store / "part").mkdir(exist_ok=True)
    build.build(
        store / "part",
        paths,
        build.Directions(decoder, decoder, unembedding),
        about,
        words=lambda ids: [f" word{i}" for i in ids],
        vocabulary=VOCABULARY,
        documents=[f"document {i}.txt" for i in range(windows // 8 + 1)],
    )


SERVER = """
import sys, uvicorn
from pathlib import Path
from assay.explorer.app import application
from assay.explorer.library import Library
uvicorn.run(application(Library(Path(sys.argv[1]))), host="127.0.0.1", port=int(sys.argv[2]), log_level="warning", timeout_keep_alive=120)
"""  # noqa: E501
KINDS = {
    "feature": lambda: f"{BASE}/{random.randrange(FEATURES)}",
    "feature as JSON": lambda: f"{BASE}/{random.randrange(FEATURES)}.json",
    "search by token": lambda: f"{BASE}/search?by=token&q=word{random.randrange(VOCABULARY)}",
    "search by promoted token": lambda: (
        f"{BASE}/search?by=promoted&q=word{random.randrange(VOCABULARY)}"
    ),
    "search by words": lambda: f"{BASE}/search?by=text&q=%20word{random.randrange(VOCABULARY)}",
    "search by numbers": lambda: (
        f"{BASE}/search?where=density%3E%3D0.0001&order=maximum&offset={25 * random.randrange(20)}"
    ),
    "dictionary": lambda: BASE,
}


async def timed(client: httpx.AsyncClient, address: str) -> float:
    start = time.perf_counter()
    (await client.get(address, timeout=60)).raise_for_status()
    return 1000 * (time.perf_counter() - start)


async def reader(client: httpx.AsyncClient, found: dict[str, list[float]]) -> None:
    await asyncio.sleep(random.random() * READING)
    for _ in range(PAGES):
        kind = random.choices(list(KINDS), [12, 1, 1, 1, 1, 1, 1])[0]
        found.setdefault(kind, []).append(await timed(client, KINDS[kind]()))
        await asyncio.sleep(random.expovariate(1 / READING))


def spent(server: int) -> float:
    """Milliseconds of processor time of the server so far, which a busy machine does not lengthen;
    NaN where the system does not say."""
    try:
        told = Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return float("nan")
    return 1000 * (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")


async def measure(origin: str, server: int) -> None:
    random.seed(0)
    async with httpx.AsyncClient(
        base_url=origin, limits=httpx.Limits(max_connections=READERS)
    ) as client:
        alone, cpu = {}, {}
        for kind, address in KINDS.items():
            first = [await timed(client, address())]
            before = spent(server)
            alone[kind] = first + [await timed(client, address()) for _ in range(40)]
            cpu[kind] = (spent(server) - before) / 40
        together: dict[str, list[float]] = {}
        await asyncio.gather(*(reader(client, together) for _ in range(READERS)))
    for readers, found in (
        (1, alone),
        (READERS, together),
        (READERS, {"all pages": [t for times in together.values() for t in times]}),
    ):
        for kind, times in found.items():
            warm = times[1:] if readers == 1 else times
            low, high = np.percentile(warm, [50, 95])
            print(
                json.dumps(
                    {
                        "readers": readers,
                        "page": kind,
                        "n": len(warm),
                        "p50 ms": round(low, 1),
                        "p95 ms": round(high, 1),
                        **(
                            {"cpu ms": round(cpu[kind], 1), "first ms": round(times[0], 1)}
                            if readers == 1
                            else {}
                        ),
                    }
                ),
                flush=True,
            )


def main() -> None:
    start = time.perf_counter()
    if not (FOLDER / "artefacts/index" / ("0" * 16) / "about.json").exists():
        make(FOLDER)
        print(
            json.dumps(
                {
                    "features": FEATURES,
                    "tokens": TOKENS,
                    "made in s": round(time.perf_counter() - start),
                }
            ),
            flush=True,
        )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(FOLDER), str(port)])
    try:
        origin = f"http://127.0.0.1:{port}"
        for _ in range(200):
            try:
                httpx.get(origin)
                break
            except httpx.ConnectError:
                time.sleep(0.1)
        asyncio.run(measure(origin, server.pid))
    finally:
        assert server.poll() is None, f"the server ended with {server.returncode}"
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
