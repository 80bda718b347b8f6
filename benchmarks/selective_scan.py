"""Mamba's scan and its gradients, three ways: position by position by hand, the same by autograd,
and in parallel by doubling.

Goal: by hand at least as fast as either other way, at equal gradients.
Prints one JSON line per size: CPU-milliseconds forward and back, and the ratios to the first.
Run: python benchmarks/selective_scan.py [repeats]
"""

from __future__ import annotations

import json
import os
import sys
import time

os.environ["OMP_NUM_THREADS"] = "1"

import torch

from assay_catalogue.subjects.selective_scan import selective_scan, states, written

REPEATS = int(sys.argv[1]) if len(sys.argv) > 1 else 3
SIZES = (
    (1, 64, 32, 64, 8),
    (6, 32, 12, 64, 16),
    (8, 32, 32, 64, 8),
    (1, 8, 256, 64, 16),
    (1, 1, 128, 1536, 16),
)
"""Runs, batch, positions, channels, state; the second is that of mamba-induction, the last one text
through a block of mamba-130m."""


def by_autograd(u, delta, A, B, C):
    return (states(delta, A, written(u, delta, B)) * C.unsqueeze(-2)).sum(-1)


def doubled(u, delta, A, B, C):
    a, x, reach = torch.exp(delta.unsqueeze(-1) * A[:, None, None]), written(u, delta, B), 1
    while reach < u.shape[2]:
        x = torch.cat([x[:, :, :reach], x[:, :, reach:] + a[:, :, reach:] * x[:, :, :-reach]], 2)
        a = torch.cat([a[:, :, :reach], a[:, :, reach:] * a[:, :, :-reach]], 2)
        reach *= 2
    return (x * C.unsqueeze(-2)).sum(-1)


def inputs(r, b, s, c, n):
    draw = torch.Generator().manual_seed(0)
    u, B, C = (
        torch.randn(*shape, generator=draw) for shape in ((r, b, s, c), (r, b, s, n), (r, b, s, n))
    )
    delta, A = torch.rand(r, b, s, c, generator=draw) / 2, -8 * torch.rand(r, c, n, generator=draw)
    return [x.requires_grad_() for x in (u, delta, A, B, C)]


def main():
    for size in SIZES:
        best, grads, leaves = {}, {}, inputs(*size)
        for _ in range(REPEATS):
            for way in (selective_scan, by_autograd, doubled):
                began = time.process_time()
                grads[way] = torch.autograd.grad(way(*leaves).square().sum(), leaves)
                best[way] = min(best.get(way, 1e9), time.process_time() - began)
        for way in (by_autograd, doubled):
            for mine, theirs in zip(grads[selective_scan], grads[way], strict=True):
                torch.testing.assert_close(
                    mine, theirs, atol=1e-4 * float(theirs.abs().max()), rtol=1e-3
                )
        told = {way.__name__: round(1e3 * seconds, 1) for way, seconds in best.items()}
        ratios = {
            way.__name__: round(best[way] / best[selective_scan], 2)
            for way in (by_autograd, doubled)
        }
        print(json.dumps({"size": size, "milliseconds": told, "ratios": ratios}))


if __name__ == "__main__":
    main()
