"""A harvest against the bare forward pass that stops at its site, and several sites in one pass
against one pass each.

Goal: at least 90 % of the bare pass's tokens per second. The model is loaded before, and cutting
the text into windows is told apart: it is kept, and shared by all sites. Contenders alternate in
one process, CPU seconds of one thread, each harvest into a fresh store. Prints one JSON line per
contender, then the ratios.
Run: python benchmarks/harvest.py [--windows 100] [--sites blocks.9.hook_resid_pre …] [--dtype auto]
[--repeats 5] [--model smollm2] [--device cuda]"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from assay.core.spec import Spec
from assay.data import corpus as corpora
from assay.data.harvest import HarvestSpec, HarvestWindowsSpec, harvest, harvests
from assay.lab.store.store import Store
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site

SITES = (
    "blocks.9.hook_resid_pre",
    "blocks.9.hook_attn_out",
    "blocks.9.hook_resid_mid",
    "blocks.9.mlp.hook_post",
)
BATCH = 2048


class Bench:
    """A store, and how long it took to cut the text."""

    def __init__(self, root: Path, device: torch.device):
        self.device, self.root = device, root
        self.store, self.cutting = Store(root), 0.0

    def artefact(self, spec: Spec, build: Callable[[Path], None]) -> Path:
        began = now(self.device)
        path = self.store.artefact(spec, build)
        self.cutting += now(self.device) - began if isinstance(spec, HarvestWindowsSpec) else 0.0
        return path

    def artefacts(self, specs: list[Spec], build: Callable[[Spec, Path], None]) -> list[Path]:
        return self.store.artefacts(specs, build)

    def report(self, done: int, total: int, unit: str = "steps", **numbers: float) -> None:
        """Tell nobody."""


def now(device: torch.device) -> float:
    """Seconds of CPU, and on another device of time, once it is done."""
    if device.type == "cpu":
        return time.process_time()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def bare(model: Pretrained, tokens: np.ndarray, site: str) -> None:
    """The pass alone: what it gives is let go."""
    for part in torch.from_numpy(tokens.astype(np.int64)).split(BATCH // tokens.shape[1]):
        model.run(part, capture=[Site.parse(site)], logits=False)


def harvested(run: Callable[[Bench], object], device: torch.device) -> float:
    """CPU seconds that cutting the text took, which are not the harvest's."""
    with tempfile.TemporaryDirectory() as root:
        bench = Bench(Path(root) / "store", device)
        run(bench)
        return bench.cutting


def main() -> None:
    ask = argparse.ArgumentParser()
    ask.add_argument("--windows", type=int, default=100)
    ask.add_argument("--sites", nargs="+", default=SITES)
    ask.add_argument("--dtype", default="auto")
    ask.add_argument("--repeats", type=int, default=5)
    ask.add_argument("--model", default="smollm2")
    ask.add_argument("--device", type=torch.device, default="cpu")
    ask.add_argument("--text", default=corpora.STDLIB)
    a = ask.parse_args()
    specs = [
        HarvestSpec(subject=a.model, site=site, corpus=a.text, windows=a.windows, dtype=a.dtype)
        for site in a.sites
    ]
    with (
        tempfile.TemporaryDirectory() as root
    ):  # loads the model, which all harvests of this process share
        first = harvest(specs[0].replace(windows=2), Bench(Path(root) / "store", a.device))
        model = first.model(a.device)
    tokens = (
        corpora.load(a.text)
        .windows(model.encode, "train", context=specs[0].context, count=a.windows)
        .tokens
    )
    alone: Callable[[Bench], object] = lambda bench: [harvest(spec, bench) for spec in specs]  # noqa: E731
    contenders: dict[str, Callable[[], float | None]] = {
        "bare forward pass": lambda: bare(model, tokens, a.sites[0]),
        "harvest": lambda: harvested(lambda bench: harvest(specs[0], bench), a.device),
        f"{len(specs)} harvests, one pass each": lambda: harvested(alone, a.device),
        f"{len(specs)} harvests in one pass": lambda: harvested(
            lambda bench: harvests(specs, bench), a.device
        ),
    }
    times: dict[str, list[float]] = {name: [] for name in contenders}
    cut = []
    for repeat in range(a.repeats + 1):
        for name, run in contenders.items():
            began = now(a.device)
            apart = run() or 0.0
            if repeat:
                times[name].append(now(a.device) - began - apart)
                cut.append(apart)
    for name, t in times.items():
        per_second = round(tokens.size / statistics.median(t))
        print(
            json.dumps(
                {
                    "contender": name,
                    "dtype": first.dtype,
                    "device": str(a.device),
                    "tokens_per_second": per_second,
                    "seconds": [round(x, 2) for x in t],
                }
            )
        )
    passes, one, each, together = times.values()
    print(
        "a harvest has "
        f"{statistics.median(x / y for x, y in zip(passes, one, strict=True)):.1%} of the "
        "bare pass's tokens per second"
    )
    print(
        f"{len(specs)} sites in one pass: "
        f"{statistics.median(x / y for x, y in zip(each, together, strict=True)):.2f} times "
        "as fast as one by one"
    )
    print(
        f"cutting the text, apart: {statistics.median(x for x in cut if x):.2f} CPU-s for "
        f"{a.windows} windows"
    )


if __name__ == "__main__":
    main()
