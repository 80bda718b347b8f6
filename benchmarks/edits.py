"""Many prompts under many edits, in one pass against one by one; and what the proof costs that a
model is opened with.

Goal: twelve prompts × 24 steering vectors on SmolLM2 in at most 12 CPU seconds, the proof in at
most 5. Contenders alternate in one process, CPU seconds of one thread, up to the logits of the last
token. Prints one JSON line per contender, then the ratio.
Run: python benchmarks/edits.py [--model smollm2] [--vectors 24] [--site blocks.12.hook_resid_pre]
[--repeats 3]"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable

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
    prompts = [model.encode(text) for text in TEXTS] * 3
    width = model.width(Site.parse(a.site))
    steered = [edits.add(a.site, torch.randn(width, generator=draw)) for _ in range(a.vectors)]

    def together() -> None:
        for row in run_many(model, prompts, steered):
            for trace in row:
                assert trace.final is not None
                model.head(trace.final[0, -1])

    def alone() -> None:
        for prompt in prompts:
            for edit in steered:
                trace = model.run(torch.tensor([prompt]), edits=edit)
                assert trace.final is not None
                model.head(trace.final[0, -1])

    contenders: dict[str, Callable[[], None]] = {
        "one by one": alone,
        "in one pass": together,
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
    one, many, _ = times.values()
    print(
        f"{len(prompts)} prompts under {len(steered)} edits in one pass: "
        f"{statistics.median(x / y for x, y in zip(one, many, strict=True)):.2f} times as fast"
    )


if __name__ == "__main__":
    main()
