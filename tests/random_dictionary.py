"""A dictionary of random directions for each run, with a mean and a scale of its own."""

import torch

from assay.dictionaries.dictionary import Dictionary


def random_dictionary(nonlinearity, runs=2, d=6, f=9, spread=0.1, shift=0.0, sites=()):
    """The nonlinearity's own parameters lie about their start, and the encoder's biases about
    `shift`."""
    g = torch.Generator().manual_seed(0)
    W = torch.nn.functional.normalize(torch.randn(runs, f, d, generator=g), dim=-1)
    own = {
        name: value + spread * torch.randn(runs, f, generator=g)
        for name, value in nonlinearity.init(runs, f).items()
    }
    b_enc = 0.2 * torch.randn(runs, f, generator=g) + shift
    b_dec = 0.1 * torch.randn(runs, d, generator=g)
    mean, scale = torch.randn(runs, d, generator=g), torch.tensor([0.5, 2.0])[:runs]
    return Dictionary(W.mT, b_enc, W, b_dec, nonlinearity, own, mean, scale, sites)
