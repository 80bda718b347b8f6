"""A vocabulary of 262,144 is unembedded a few rows at a time: losses and divergences are those of
all logits at once, and no tensor is larger than is held."""

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from assay.dictionaries.measuring.ablation import compare
from assay.subjects.subject import Trace

VOCABULARY, WIDTH = 262_144, 3
HELD = 256 * VOCABULARY
"""Logits that may be there at once."""
WORKED_ON = 32 * 49_152
"""Numbers beside the logits themselves that are worked on at once."""


class Sizes(TorchDispatchMode):
    """How many numbers each operation gives, by whether it unembeds."""

    def __init__(self):
        super().__init__()
        self.logits, self.other = [0], [0]

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        unembeds = func._schema.name in ("aten::mm", "aten::split", "aten::slice", "aten::view")
        for x in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(x, torch.Tensor):
                (self.logits if unembeds else self.other).append(x.numel())
        return out


def traces(length, vocabulary=VOCABULARY, runs=2):
    draw = torch.Generator().manual_seed(0)
    head = torch.nn.Linear(WIDTH, vocabulary, bias=False).requires_grad_(False)
    head.weight.copy_(torch.randn(vocabulary, WIDTH, generator=draw))
    tokens = torch.randint(vocabulary, (1, length), generator=draw)
    finals = torch.randn(runs, 1, length, WIDTH, generator=draw)
    return [Trace(tokens, {}, final, head) for final in finals]


def naive(trace):
    """Log-probabilities of every next token, float64, all at once."""
    z = trace.final[0, :-1].double().numpy() @ trace.head.weight.double().numpy().T
    z -= z.max(1, keepdims=True)
    return z - np.log(np.exp(z).sum(1, keepdims=True))


def test_losses_and_divergences_are_those_of_all_logits_at_once():
    for length, vocabulary in ((40, 50_000), (9, VOCABULARY), (300, 1000), (2, VOCABULARY)):
        clean, other = traces(length, vocabulary)
        log_p, log_q = naive(clean), naive(other)
        at = np.arange(length - 1), clean.tokens[0, 1:].numpy()
        ce, kl = compare(clean, [other])
        np.testing.assert_allclose(clean.loss()[0], -log_p[at], rtol=1e-5)
        np.testing.assert_allclose(ce[:, 0], [-log_p[at], -log_q[at]], rtol=1e-5)
        wanted = (np.exp(log_p) * (log_p - log_q)).sum(1)
        np.testing.assert_allclose(kl[0, 0], wanted, rtol=1e-4, atol=1e-5)


def test_no_more_logits_are_made_at_once_than_are_held_and_few_are_worked_on():
    with Sizes() as sizes:
        traces(258)[0].loss()
    assert max(sizes.logits) <= HELD and max(sizes.other) <= WORKED_ON
    clean, other = traces(40)
    with Sizes() as sizes:
        compare(clean, [other])
    *small, largest = sorted(sizes.other)
    assert max(small) <= WORKED_ON and largest == 39 * VOCABULARY  # which holds logits
