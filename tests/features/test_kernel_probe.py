"""Regressions fitted from inner products, at the maximum of their objective."""

import numpy as np
import torch

from assay.features.kernel_probe import CONSTANT, logistic


def test_it_is_at_the_maximum_of_its_objective():
    own = torch.Generator().manual_seed(0)
    x = torch.randn(6, 40, 40, generator=own)
    yes = x[:, :, 3] + 0.5 * torch.randn(6, 40, generator=own) > 0
    k = x @ x.mT
    a = logistic(k, yes, (1.0,))[:, 0]
    f = ((k.double() + CONSTANT**2) @ a[..., None])[..., 0]
    t = 2.0 * yes - 1
    # where the gradient of the objective vanishes
    np.testing.assert_allclose(a, t * torch.sigmoid(-t * f), atol=1e-4)
