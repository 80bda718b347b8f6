"""How long an index takes to build from firings on disk, and how much memory: simulated firings, so
no model is run.

    python benchmarks/index_build.py [--features 4608] [--tokens 1000000] [--on 32]

Prints CPU-seconds and peak memory of writing the shards and of building the tables, and what share
of a forward pass of SmolLM2 over as many tokens that would be, where --forward gives the pass's
tokens a CPU-second."""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from assay.features.index import build, firings
from assay.features.index.about import About

VOCABULARY, D = 49_152, 576


def shards(
    folder: Path, features: int, tokens: int, on: int, context: int = 128, size: int = 65_536
) -> list[Path]:
    """Firings of features whose rates fall as a power law, written shard by shard."""
    rng = np.random.default_rng(0)
    rate = 1 / np.arange(1, features + 1) ** 0.7
    edges = np.cumsum(rate / rate.sum())
    paths = []
    for i, start in enumerate(range(0, tokens, size)):
        windows = min(size, tokens - start) // context
        count = windows * context * on
        row = np.repeat(np.arange(windows * context), on)
        pair = np.sort(
            np.minimum(np.searchsorted(edges, rng.random(count)), features - 1) + row * features
        )
        pair = pair[np.diff(pair, prepend=-1) > 0]
        kept = np.ones((windows, context), bool)
        kept[:, 0] = False
        row, feature = np.divmod(pair, features)
        there = kept.ravel()[row]
        path = folder / f"{i:05}"
        path.mkdir(parents=True)
        value = rng.exponential(1, there.sum()).astype(np.float32)
        firings.write(
            path,
            feature=feature[there],
            row=row[there],
            value=value,
            effect=value * 1e-3,
            keep=kept,
            tokens=np.minimum(rng.zipf(1.3, (windows, context)), VOCABULARY - 1),
            document=np.arange(windows) // 8 + start // context // 8,
        )
        paths.append(path)
    return paths


def main() -> None:
    """Measure one size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--features", type=int, default=4608)
    parser.add_argument("--tokens", type=int, default=1_000_000)
    parser.add_argument("--on", type=int, default=32)
    parser.add_argument(
        "--logits", action="store_true", help="promoted tokens too, with a vocabulary of 49,152"
    )
    parser.add_argument(
        "--forward", type=float, default=0, help="tokens that a forward pass reads in a CPU-second"
    )
    asked = parser.parse_args()
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        began = time.process_time()
        paths = shards(folder / "shards", asked.features, asked.tokens, asked.on)
        print(f"simulated in {time.process_time() - began:.1f} CPU-s")
        decoder = rng.normal(size=(asked.features, D)).astype(np.float32)
        about = About(
            name="simulated",
            dictionary="",
            model="simulated",
            model_words="",
            model_sha256="",
            corpus="",
            corpus_sha256="",
            site="",
            site_out="",
            kind="",
            d_in=D,
            d_sae=asked.features,
            tokens=0,
            windows=0,
            context=0,
            documents=0,
            bos=False,
            skip_first=1,
        )
        unembedding = rng.normal(size=(D, VOCABULARY)).astype(np.float32) if asked.logits else None
        documents = [f"document {i}" for i in range(asked.tokens // 1024 + 1)]
        cpu, wall = time.process_time(), time.monotonic()
        build.build(
            folder,
            paths,
            build.Directions(decoder, unembedding),
            about,
            words=lambda ids: [str(i) for i in ids],
            vocabulary=VOCABULARY,
            documents=documents,
        )
        cpu, wall = time.process_time() - cpu, time.monotonic() - wall
        size = sum(p.stat().st_size for p in folder.glob("*.*"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    line = (
        f"{asked.features:,} features × {asked.tokens:,} tokens: built in {cpu:.1f} CPU-s "
        f"({wall:.1f} s), peak {peak:.2f} GiB, {size / 1e6:.0f} MB"
    )
    print(
        line
        + (
            f", {cpu * asked.forward / asked.tokens:.2f} of the forward pass"
            if asked.forward
            else ""
        )
    )


if __name__ == "__main__":
    main()
