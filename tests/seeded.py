"""Numbers for tests, the same every time."""

import torch


def drawn(*shape, seed=0):
    """Draw standard normal numbers from a generator of their own."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
