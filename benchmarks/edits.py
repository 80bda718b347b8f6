"""Many prompts under many edits, in one pass against one by one; a prefix that they share, run once
against anew for each; and what the proof costs that a model is opened with.

Goal: twelve prompts × 24 steering vectors on SmolLM2 in at most 12 CPU seconds, the proof in at
most 5. Prefixes: 24 prompts of 100 common tokens and 8 of their own, and one prompt of 108 tokens
under 24 vectors at its last. Contenders alternate in one process, CPU seconds of one thread, up to
the logits of the last token. Prints one JSON line per contender, then the ratios.
Run: python benchmarks/edits.py [--model smollm2] [--vectors 24] [--site blocks.12.hook_resid_pre]
[--repeats 3]"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from functools import partial

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from assay.subjects import edits, load, pretrained, run_many
from assay.subjects.site import Site

TEXTS = ("The capital of France is", "def f(x):\n    return", "It is", "He said that she")


def main() -> None:
    ask = argparse.ArgumentParser()
    ask.add_argument("--model", default="smollm2")
    ask.add_argument("--vectors", type=int, default=24)
    ask.add_argument("--site", default="blocks.12.hook_resid_pre")
    ask.add_argument("--repeats", type=int, default=3)
    a = ask.parse_args()
    model, draw = load(a.model), torch.Generator().manual_seed(0)
    prompts, width = (
        [model.prompt(t)[0].tolist() for t in TEXTS] * 3,
        model.width(Site.parse(a.site)),
    )
    vectors = [torch.randn(width, generator=draw) for _ in range(a.vectors)]
    steered = [edits.add(a.site, vector) for vector in vectors]
    late = [edits.add(a.site, vector, positions=-1) for vector in vectors]
    header = model.prompt("def add(a, b):\n    return a + b\n\n" * 20)[0, :100].tolist()
    tails = torch.randint(model.model.config.vocab_size, (24, 8), generator=draw)
    shots = [header + tail.tolist() for tail in tails]

    def together(prompts: list[list[int]], some: list[edits.Edits]) -> None:
        for row in run_many(model, prompts, some):
            for trace in row:
                assert trace.final is not None
                model.head(trace.final[0, -1])

    def alone() -> None:
        for prompt in prompts:
            for edit in steered:
                trace = model.run(torch.tensor([prompt]), edits=edit)
                assert trace.final is not None
                model.head(trace.final[0, -1])

    def hidden(some: list[edits.Edits]) -> list[edits.Edits]:
        """Give the same edits as functions that hide where they act, which forbids to share."""
        return [{site: partial(lambda f, x: f(x), f) for site, f in m.items()} for m in some]

    first = edits.scale("hook_embed", 1.5, positions=-1)
    contenders: dict[str, Callable[[], None]] = {
        "one by one": alone,
        "in one pass": lambda: together(prompts, steered),
        "24 prompts, each whole": lambda: together(shots, hidden([first])),
        "24 prompts, their prefix once": lambda: together(shots, [first]),
        "one prompt under vectors at its last token, whole": lambda: together(
            shots[:1], hidden(late)
        ),
        "one prompt under vectors at its last token, its prefix once": lambda: together(
            shots[:1], late
        ),
        "proof on opening": lambda: pretrained.prove(model),
    }
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for repeat in range(a.repeats + 1):
        for name, run in contenders.items():
            began = time.process_time()
            run()
            if repeat:
                times[name].append(time.process_time() - began)
    for name, t in times.items():
        print(json.dumps({"contender": name, "cpu_seconds": [round(x, 2) for x in t]}))
    pairs = [*times.items()][:-1]
    for (_, slow), (name, quick) in zip(pairs[::2], pairs[1::2], strict=True):
        ratio = statistics.median(x / y for x, y in zip(slow, quick, strict=True))
        print(f"{name}: {ratio:.2f} times as fast")


if __name__ == "__main__":
    main()
