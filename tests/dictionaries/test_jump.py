"""JumpReLU's straight-through gradient where algebra says what it must be, and the Gated
dictionaries that are jumps."""

import pytest
import torch

from assay.dictionaries.jump import JumpReLU
from assay.dictionaries.training import losses


def column(*values):
    return torch.tensor(values, dtype=torch.float64).view(1, -1, 1)


def threshold(value):
    return {"threshold": torch.full((1, 1), value, dtype=torch.float64, requires_grad=True)}


ZERO = torch.zeros(1, 1, dtype=torch.float64)


def test_both_halves_of_the_window_count():
    """θ = 1, bandwidth 1, pre = (.6, .9, 1.1, 1.4): all lie in the window, so the gradient of mean
    L0 in θ is −1."""
    own = threshold(1.0)
    JumpReLU(bandwidth=1.0).opened(column(0.6, 0.9, 1.1, 1.4), ZERO, own).mean().backward()
    assert own["threshold"].grad.item() == pytest.approx(-1.0, abs=1e-12)


def test_on_uniform_inputs_the_estimate_is_the_true_derivative():
    """π ~ U(0, 1), θ = .5: E λ 1[π > θ] = λ(1 − θ), whose derivative is −λ."""
    own, penalty = threshold(0.5), 0.3
    pre = ((torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000).view(1, -1, 1)
    (penalty * JumpReLU(bandwidth=0.05).opened(pre, ZERO, own)).mean().backward()
    assert own["threshold"].grad.item() == pytest.approx(-penalty, rel=1e-6)


def test_on_uniform_inputs_the_features_gradient_is_true_too():
    """E f = ∫_θ^1 π dπ = (1 − θ²)/2, whose derivative is −θ."""
    own = threshold(0.5)
    pre = ((torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000).view(1, -1, 1)
    JumpReLU(bandwidth=0.05)(pre, ZERO, own).mean().backward()
    assert own["threshold"].grad.item() == pytest.approx(-0.5, rel=1e-6)


def test_the_gradient_in_the_pre_activation_is_exact():
    z = column(0.4, 0.49, 0.51, 2.0).requires_grad_()
    own = threshold(0.5)
    jump = JumpReLU(bandwidth=0.05)
    assert torch.autograd.grad(jump(z, ZERO, own).sum(), z)[0].flatten().tolist() == [0, 0, 1, 1]
    assert torch.autograd.grad(jump.opened(z, ZERO, own).sum() + 0 * z.sum(), z)[
        0
    ].flatten().tolist() == [0, 0, 0, 0]


def test_the_trick_that_carries_the_gradient_changes_no_value():
    torch.manual_seed(0)
    z, own = torch.randn(2, 9, 5), {"threshold": torch.rand(2, 5)}
    with_gradient = {"threshold": own["threshold"].clone().requires_grad_()}
    zero = torch.zeros(2, 5)
    for bandwidth in (0.01, 3.0):
        jump = JumpReLU(bandwidth)
        assert torch.equal(jump(z, zero, own), jump(z, zero, with_gradient).detach())
        assert torch.equal(jump.opened(z, zero, own), jump.opened(z, zero, with_gradient).detach())


def test_the_whole_loss_moves_a_threshold_as_its_two_terms_say():
    """One latent, one dimension, decoder 1: d/dθ of mean (x − f)² + λ·1[π > θ] is the sum over the
    window of −2 (x − f)·(−θ/ε) − λ/ε, by the estimates; written out number by number."""
    x = torch.linspace(0, 1, 41, dtype=torch.float64)[:, None]
    one = torch.ones(1, 1, 1, dtype=torch.float64)
    params = {"W_enc": one, "b_enc": ZERO, "W_dec": one, "b_dec": ZERO, **threshold(0.5)}
    penalty, width, theta = 0.2, 0.1, 0.5
    losses.jumprelu(
        params, x, JumpReLU(width), torch.tensor([penalty], dtype=torch.float64)
    ).sum().backward()
    expected = 0.0
    for value in x.flatten().tolist():
        if abs(value - theta) <= width / 2:
            f = value if value > theta else 0.0
            expected += (-2 * (value - f) * (-theta / width) - penalty / width) / 41
    assert params["threshold"].grad.item() == pytest.approx(expected, rel=1e-9)


def test_thresholds_are_confined_to_at_least_zero():
    own = {"threshold": torch.tensor([[-0.1, 0.2]])}
    JumpReLU().confine(own)
    assert own["threshold"][0].tolist() == pytest.approx([0.0, 0.2])


def test_a_threshold_moves_as_far_as_its_rate_says(bench):
    """Adam at 3e-4, 1,000 steps, a gradient of constant sign: .3. Trained as a logarithm, a
    threshold of .03 would stay near .03."""
    import numpy as np

    from assay.core.runs import Runs
    from assay.core.spec import Spec
    from assay.dictionaries.training.train import Method, fit_dictionaries

    def rise(params, x, nonlinearity, penalty):
        return -params["threshold"].sum(-1)

    one = Method(JumpReLU(), rise, 3, np.array([3e-4]), np.zeros(1), rate=lambda step: 1.0)
    x = torch.zeros(2, 2)
    trained = fit_dictionaries(
        [(Runs([Spec(seed=1)]), one)], lambda step: x, d=2, steps=1000, bench=bench
    )[0]
    torch.testing.assert_close(
        trained.tensors["threshold"], torch.full((1, 3), 0.33), rtol=1e-3, atol=0
    )
