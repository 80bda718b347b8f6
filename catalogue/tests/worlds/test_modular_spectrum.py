"""Spectra of modular-addition networks against naive loops over all pairs, answers and frequencies.
Pairs of residues: counted by hand, nested, the same alone and in a group."""

import cmath
import math
from collections import Counter

import numpy as np
import pytest
import torch

from assay.core.errors import SpecError
from assay_catalogue.worlds.modular import addition, spectrum

P, WIDTH, HIDDEN, RUNS = 11, 6, 7, 2


@pytest.fixture(scope="module")
def network():
    rng = np.random.default_rng(0)
    shapes = {"E": (RUNS, P, WIDTH), "W1": (RUNS, WIDTH, HIDDEN), "W2": (RUNS, HIDDEN, P)}
    return {name: torch.from_numpy(rng.normal(size=shape)) for name, shape in shapes.items()}


def mean_profile(E, W1, W2):
    """[off by]: mean logit over all pairs, one pair and one answer at a time."""
    out = np.zeros(P)
    for a in range(P):
        for b in range(P):
            logits = np.maximum((E[a] + E[b]) @ W1, 0) @ W2
            for d in range(P):
                out[d] += logits[(a + b + d) % P] / P**2
    return out


def test_amplitudes_are_those_of_the_mean_profile(network):
    found = spectrum.amplitudes(network)
    for r in range(RUNS):
        profile = mean_profile(*(network[n][r].numpy() for n in ("E", "W1", "W2")))
        for k in range(1, P // 2 + 1):
            expected = 2 / P * sum(profile[d] * math.cos(2 * math.pi * k * d / P) for d in range(P))
            assert found[r, k - 1].item() == pytest.approx(expected, rel=1e-10)


def test_amplitudes_of_a_planted_table_are_found():
    p, planted = 53, {3: 1.5, 10: 0.5}
    off = (
        torch.arange(p).view(1, p) - torch.arange(p).view(p, 1)
    ).double()  # [sum, answer] → off by
    table = sum(A * torch.cos(2 * torch.pi * k * off / p) for k, A in planted.items())
    found = spectrum.cosines(table[None] / p)[0]
    expected = torch.zeros(26, dtype=torch.float64)
    for k, A in planted.items():
        expected[k - 1] = A
    assert torch.allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_logits_and_so_amplitudes_are_cubic_in_the_weights(network, scale):
    larger = {name: scale * x for name, x in network.items()}
    assert torch.allclose(spectrum.amplitudes(larger), scale**3 * spectrum.amplitudes(network))


def test_a_network_alone_and_among_others(network):
    alone = spectrum.amplitudes({n: x[1:] for n, x in network.items()})
    assert torch.allclose(alone[0], spectrum.amplitudes(network)[1], rtol=1e-12)


def test_power_of_all_frequencies_is_the_length_without_the_mean(network):
    E = network["E"]
    assert torch.allclose(
        spectrum.power(E).sum(1), (E - E.mean(1, keepdim=True)).square().sum((1, 2))
    )


def test_power_is_that_of_a_discrete_fourier_transform(network):
    E = network["E"][0].numpy()
    expected = [
        2 / P * (abs(np.exp(-2j * np.pi * k * np.arange(P) / P) @ E) ** 2).sum()
        for k in range(1, P // 2 + 1)
    ]
    assert spectrum.power(network["E"])[0].tolist() == pytest.approx(expected)


def test_best_neuron_by_a_loop(network):
    E, W1, W2 = (network[n][0].numpy() for n in ("E", "W1", "W2"))
    found = spectrum.best_neuron(network)[0]
    for k in range(1, P // 2 + 1):
        turn = np.exp(2j * np.pi * k * np.arange(P) / P) * (2 / P) ** 0.5
        strengths = []
        for n in range(HIDDEN):
            u, v = turn @ (E @ W1)[:, n], turn @ W2[n]
            strengths.append(abs(u) * abs(v) * math.cos(2 * cmath.phase(u) - cmath.phase(v)))
        assert found[k - 1].item() == pytest.approx(max(strengths), rel=1e-9)


def test_scaling_multiplies_power_and_leaves_the_rest(network):
    factor = torch.ones(RUNS, P // 2, dtype=torch.float64)
    factor[0, 2], factor[1, 4] = 2.0, 0.5
    made = spectrum.scaled(network["E"], factor)
    assert torch.allclose(spectrum.power(made), spectrum.power(network["E"]) * factor**2)
    assert torch.allclose(made.mean(1), network["E"].mean(1))


def test_turning_keeps_power_everywhere_and_is_a_shift_of_tokens(network):
    E, k = network["E"], torch.arange(1, P // 2 + 1, dtype=torch.float64)
    shifted = spectrum.rotated(E, (2 * torch.pi * k * 3 / P).expand(RUNS, -1))
    assert torch.allclose(
        shifted, E.roll(3, 1)
    )  # all frequencies turned in step: every token takes the place of another
    turned = spectrum.rotated(E, torch.rand(RUNS, P // 2, dtype=torch.float64))
    assert torch.allclose(spectrum.power(turned), spectrum.power(E))
    assert torch.allclose(spectrum.power(turned @ network["W1"]), spectrum.power(E @ network["W1"]))
    assert not torch.allclose(turned, E)


def test_projection_keeps_the_set_and_nothing_else(network):
    mask = torch.zeros(RUNS, P // 2, dtype=torch.float64)
    mask[0, [0, 3]], mask[1, 1] = 1, 1
    onto = spectrum.projector(mask, P)
    kept = torch.bmm(onto, network["E"])
    assert torch.allclose(spectrum.power(kept), spectrum.power(network["E"]) * mask)
    assert torch.allclose(torch.bmm(onto, kept), kept)
    assert torch.allclose(kept.mean(1), torch.zeros(RUNS, WIDTH, dtype=torch.float64), atol=1e-12)
    assert onto.diagonal(dim1=1, dim2=2).sum(1).tolist() == pytest.approx([4, 2])


def test_unordered_pairs_and_their_sums():
    assert addition.pairs(3).tolist() == [[0, 0], [0, 1], [0, 2], [1, 1], [1, 2], [2, 2]]
    assert addition.sums(3).tolist() == [0, 1, 2, 2, 0, 1]
    assert len(addition.pairs(53)) == 1431
    assert set(Counter(addition.sums(53).tolist()).values()) == {
        27
    }  # p odd: every sum equally often


@pytest.mark.parametrize(
    ("p", "message"),
    [
        (54, "p must be an odd prime, got 54; nearest 53 and 59"),
        (2, "p must be an odd prime, got 2; the smallest is 3"),
        (0, "p must be an odd prime, got 0; the smallest is 3"),
        (-7, "p must be an odd prime, got -7; the smallest is 3"),
        (49, "p must be an odd prime, got 49; nearest 47 and 53"),
    ],
)
def test_composite_moduli_are_refused(p, message):
    with pytest.raises(SpecError) as e:
        addition.pairs(p)
    assert str(e.value) == message


def test_orders_are_permutations_of_their_seed_alone():
    both = addition.order(np.array([5, 6]), 7)
    assert sorted(both[0].tolist()) == list(range(28))
    assert both[1].tolist() == addition.order(np.array([6]), 7)[0].tolist() != both[0].tolist()
    assert addition.order(np.array([5]), 7, draw=1)[0].tolist() != both[0].tolist()


def test_random_labels_are_uniform_and_their_seeds():
    labels = addition.random_labels(np.arange(40), 53)
    assert labels.shape == (40, 1431) and labels.min() == 0 and labels.max() == 52
    counts = np.bincount(labels.numpy().ravel(), minlength=53)
    assert abs(counts - 40 * 27).max() < 5 * (40 * 27) ** 0.5
    assert labels[7].tolist() == addition.random_labels(np.array([7]), 53)[0].tolist()
    hits = (labels == addition.sums(53)).double().mean().item()
    assert (
        abs(hits - 1 / 53) < 4 * (1 / 53 / labels.numel()) ** 0.5
    )  # they know nothing of the sums
