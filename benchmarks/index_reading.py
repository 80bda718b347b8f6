"""What reading activations for an index costs beyond the model: encoding, decoding for the error,
first-order effects; random rows.

    OMP_NUM_THREADS=1 python benchmarks/index_reading.py

Prints CPU-seconds per million tokens of a TopK dictionary of 4,608 features, 32 of them on, in 576
dimensions. It repeats the steps of `firings.read` that follow the model's pass.
"""

from __future__ import annotations

import os
import time

import torch
from torch.nn.functional import normalize

from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.selection import TopK
from assay.features.index import firings

D, WIDTH, K, TOKENS, AT_ONCE = 576, 4608, 32, 8192, 2048


def seconds(
    dictionary: Dictionary, x: torch.Tensor, slope: torch.Tensor, *, effects: bool
) -> float:
    """CPU-seconds per token."""
    began = time.process_time()
    for rows, upstream in zip(x.split(AT_ONCE), slope.split(AT_ONCE), strict=True):
        for a, codes in firings._codes(dictionary, rows):
            at, feature = codes.nonzero(as_tuple=True)
            value, some = codes[at, feature], rows[a : a + len(codes)]
            float((some - dictionary.decode(codes, some)).double().square().sum())
            if effects:
                firings._effect(dictionary, feature, at + a, value, rows, upstream)
    return (time.process_time() - began) / len(x)


def main() -> None:
    """Measure with and without effects."""
    torch.manual_seed(0)
    rows = normalize(torch.randn(1, WIDTH, D), dim=-1)
    dictionary = Dictionary(
        rows.mT.contiguous(), torch.zeros(1, WIDTH), rows, torch.zeros(1, D), TopK(K)
    )
    x, slope = torch.randn(2, TOKENS, D)
    with torch.no_grad():
        seconds(dictionary, x[:AT_ONCE], slope[:AT_ONCE], effects=True)
        for effects in (False, True):
            spent = seconds(dictionary, x, slope, effects=effects) * 1e6
            print(
                f"effects {effects}: {spent:.0f} CPU-s per million tokens, load "
                f"{os.getloadavg()[0]:.0f}"
            )


if __name__ == "__main__":
    main()
