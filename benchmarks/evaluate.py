"""The core evaluation of a dictionary over what it cannot do without, two forward passes of the
model; and of several over one.

Goals: one at most 1.3 times a clean pass that gives losses and a spliced one from the site on; 8
dictionaries at most 3 times one. Contenders alternate in one process, CPU seconds, after a warm-up;
an evaluation is of a fresh store each time. Prints one JSON line per contender, then the ratios,
the second beside what a count of the model's multiplications leaves possible: each further
dictionary needs a pass of its own from the site on.
Run: python benchmarks/evaluate.py [--tokens 100000] [--width 4608] [--site blocks.9.hook_resid_pre]
[--repeats 3] [--several 8] [--model smollm2]"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from assay.data import corpus as corpora
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.selection import TopK
from assay.evaluation import evaluate
from assay.evaluation.texts import BATCH
from assay.subjects import folder, pretrained
from assay.subjects.site import Site

CONTEXT = 128


def random_dictionary(d: int, width: int, site: str, seed: int = 0) -> Dictionary:
    """A TopK dictionary with random directions: how good it is costs nothing."""
    draw = torch.Generator().manual_seed(seed)
    W = torch.nn.functional.normalize(torch.randn(1, width, d, generator=draw), dim=-1)
    return Dictionary(
        W.mT.contiguous(), torch.zeros(1, width), W, torch.zeros(1, d), TopK(32), sites=(site,)
    )


def forward_passes(model, site: Site, tokens: torch.Tensor, dtype: str) -> None:
    """The two passes: losses and activations, then losses again from the site's block on."""
    layer = site.layer + (site.kind == "resid_post")
    for part in tokens.split(BATCH["cpu"] // CONTEXT):
        trace = model.run(part, capture=[site])
        trace.loss()
        model.losses(part, start=(layer, trace.acts[site]))


def possible(model, site: Site, width: int, several: int, ablated: float) -> float:
    """What several dictionaries cost over one if all that counts is multiplying by matrices."""
    sizes = {name: w.numel() for name, w in model.model.named_parameters() if w.ndim == 2}
    head = model.model.get_output_embeddings().weight.numel()
    block = (
        sum(n for name, n in sizes.items() if ".layers." in name or ".h." in name) / model.layers
    )
    after = block * (model.layers - site.layer - (site.kind == "resid_post")) + head
    shared, each = (
        block * model.layers + head + 3 * ablated * after,
        after + 2 * width * model.width(site),
    )
    return (shared + several * each) / (shared + each)


def main() -> None:
    ask = argparse.ArgumentParser()
    ask.add_argument("--tokens", type=int, default=100_000)
    ask.add_argument("--width", type=int, default=4608)
    ask.add_argument("--site", default="blocks.9.hook_resid_pre")
    ask.add_argument("--repeats", type=int, default=3)
    ask.add_argument("--several", type=int, default=8, help="0: one dictionary alone")
    ask.add_argument("--model", default="smollm2")
    ask.add_argument("--text", default=corpora.STDLIB)
    ask.add_argument("--dtype", default="float32")
    ask.add_argument(
        "--ablation-tokens",
        type=int,
        default=12_500,
        help="an eighth of --tokens for a short trial",
    )
    a = ask.parse_args()
    site = Site.parse(a.site)
    d = folder.find(a.model).width(site)
    dictionaries = [
        random_dictionary(d, a.width, a.site, seed) for seed in range(max(1, a.several))
    ]
    model = pretrained.load(a.model, dtype=a.dtype)
    windows = corpora.load(a.text).windows(
        model.encode, "all", context=CONTEXT, count=a.tokens // CONTEXT, fewer=True
    )
    tokens = torch.from_numpy(windows.tokens.astype(np.int64))

    def core(count: int) -> None:
        with tempfile.TemporaryDirectory() as root:
            evaluate(
                *dictionaries[:count],
                model=a.model,
                text=a.text,
                root=Path(root) / "s",
                tokens=a.tokens,
                context=CONTEXT,
                dtype=a.dtype,
                ablation_tokens=a.ablation_tokens,
            )

    contenders = {
        "two forward passes": lambda: forward_passes(model, site, tokens, a.dtype),
        "assay evaluate": lambda: core(1),
    }
    if a.several > 1:
        contenders[f"assay evaluate, {a.several} dictionaries"] = lambda: core(a.several)
    times: dict[str, list[float]] = {name: [] for name in contenders}
    forward_passes(model, site, tokens[:32], a.dtype)
    for _ in range(a.repeats):
        for name, run in contenders.items():
            began = time.process_time()
            run()
            times[name].append(time.process_time() - began)
    for name, t in times.items():
        print(
            json.dumps(
                {
                    "contender": name,
                    "tokens": int(tokens.numel()),
                    "cpu_seconds": [round(x, 1) for x in t],
                }
            )
        )
    two, one, *more = times.values()
    print(
        f"{statistics.median(y / x for x, y in zip(two, one, strict=True)):.2f} times two "
        "forward passes"
    )
    for each in more:
        floor = possible(model, site, a.width, a.several, min(1.0, a.ablation_tokens / a.tokens))
        print(
            f"{a.several} at once: "
            f"{statistics.median(y / x for x, y in zip(one, each, strict=True)):.2f} times "
            f"one; by the count {floor:.2f}"
        )
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


if __name__ == "__main__":
    main()
