"""A probe that looks for the right token finds it wherever it stands, which the mean over many
tokens drowns."""

import torch

from assay.features import kernel_probe as probe
from assay.features.attention_probe import attention_scores, components
from assay.features.kernel_probe import Questions, best

Q, ROWS, S, D = 3, 200, 16, 12


def test_it_finds_an_answer_that_stands_at_any_place():
    own = torch.Generator().manual_seed(0)
    x = torch.randn(Q, ROWS, S, D, generator=own)
    label = torch.rand(Q, ROWS, generator=own) < 0.5
    place = torch.randint(0, 8, (Q, ROWS), generator=own)
    at = torch.nn.functional.one_hot(place, S).bool()
    x[..., 0] = torch.where(at, 6.0, x[..., 0])  # here it stands,
    x[..., 1] = torch.where(
        at, torch.where(label, 1.5, -1.5)[..., None], 2 * x[..., 1]
    )  # and this is what it says
    there = torch.ones(Q, ROWS, S, dtype=torch.bool)
    there[:, ::3, 12:] = False
    part = lambda a, b: torch.arange(a, b).expand(Q, -1)  # noqa: E731
    q = Questions(label, label, part(0, 80), part(80, 120), (part(120, 200),))
    found = best(
        attention_scores(components(x, there, q.train, 12), there, q, steps=300), q
    ).tests.min()
    mean = (x * there[..., None]).sum(2) / there.sum(-1, keepdim=True)
    averaged = best(
        probe.regression_scores(probe.products(probe.prepared(mean, q), q), q), q
    ).tests.max()
    assert found > 0.95 > averaged


def test_what_stands_behind_the_end_of_a_text_is_not_read():
    own = torch.Generator().manual_seed(1)
    x, label = torch.randn(2, 40, 6, 5, generator=own), torch.rand(2, 40, generator=own) < 0.5
    there = torch.ones(2, 40, 6, dtype=torch.bool)
    there[:, :, 4:] = False
    part = lambda a, b: torch.arange(a, b).expand(2, -1)  # noqa: E731
    q = Questions(label, label, part(0, 20), part(20, 30), (part(30, 40),))
    first = attention_scores(components(x, there, q.train, 4), there, q, steps=20)
    x[:, :, 4:] = 1e3
    torch.testing.assert_close(
        attention_scores(components(x, there, q.train, 4), there, q, steps=20), first
    )
