"""Measures against loops in float64, hand-worked vectors, and their stated ranges."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from acceptance.test_metrics import rows
from assay.core.errors import DataError
from assay.dictionaries.gates import Gated
from assay.dictionaries.measuring import metrics
from assay.dictionaries.selection import AbsTopK
from random_dictionary import random_dictionary


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(DataError, match=r"same rows and dimensions, got \[9, 4\] and \[9, 3\]"):
        metrics.fvu(rows()[0], rows()[0][:, :3])


def dictionary():
    return random_dictionary(Gated(), f=8, spread=0.2)


def test_document_sums_are_the_loops_and_finish_is_the_functions():
    g = torch.Generator().manual_seed(1)
    x = 2 * torch.randn(40, 6, generator=g) + 1
    document = np.arange(40) % 3
    both = dictionary()
    mean = x.mean(0)
    sums = metrics.document_sums(both, x, document, 4, mean, chunk=7)
    x_hat, features = both.reconstruct(x), both.encode(x)
    for r in range(2):
        for doc in range(4):
            mine = document == doc
            part, guess = x[mine].double().numpy(), x_hat[r][mine].double().numpy()
            middle = mean.double().numpy()
            wanted = {
                "tokens": mine.sum(),
                "active": (features[r][mine] > 0).sum().item(),
                "error": ((part - guess) ** 2).sum(),
                "variance": ((part - middle) ** 2).sum(),
                "dot": ((guess - middle) * (part - middle)).sum(),
                "norm": ((guess - middle) ** 2).sum(),
                "dot_raw": (guess * part).sum(),
                "norm_raw": (guess**2).sum(),
                "square_raw": (part**2).sum(),
            }
            assert {name: sums[name][r, doc] for name in wanted} == pytest.approx(wanted, rel=1e-5)
    assert sums["firings"].tolist() == (features > 0).sum(1).tolist()
    done = metrics.finish(sums)
    assert done["fvu"].tolist() == pytest.approx(metrics.fvu(x, x_hat).tolist(), rel=1e-5)
    assert done["gamma"].tolist() == pytest.approx(
        metrics.shrinkage(x, x_hat, mean).tolist(), rel=1e-5
    )
    assert done["gamma_raw"].tolist() == pytest.approx(
        metrics.shrinkage(x, x_hat).tolist(), rel=1e-5
    )
    assert done["norm_ratio"].tolist() == pytest.approx(
        metrics.norm_ratio(x, x_hat, mean).tolist(), rel=1e-5
    )
    assert done["l0"].tolist() == metrics.l0(features).tolist()
    assert done["dead"].tolist() == metrics.dead(features).tolist()


def test_signed_features_are_on_where_they_are_not_zero():
    x = torch.randn(20, 6, generator=torch.Generator().manual_seed(5))
    signed = replace(dictionary()[0], nonlinearity=AbsTopK(3), own={})
    assert (
        metrics.finish(metrics.document_sums(signed, x, np.zeros(20, int), 1, x.mean(0)))["l0"] == 3
    )
    assert (signed.encode(x) < 0).any() and metrics.l0(signed.encode(x).abs()) == 3


@pytest.mark.parametrize(
    ("mean", "given"),
    [(None, "none"), (torch.zeros(1, 6), "an array of [1, 6]"), (0.0, "an array of []")],
)
def test_sums_about_no_common_mean_are_refused(mean, given):
    with pytest.raises(
        DataError,
        match=re.escape(
            f"the common mean of all rows, 6 numbers, got {given}: sums about each batch's own"
        ),
    ):
        metrics.document_sums(dictionary(), torch.zeros(5, 6), np.zeros(5, int), 1, mean)


def test_raw_sums_of_normalised_rows_are_taken_about_raw_zero():
    """γ raw has no unit: the same from raw rows, and from normalised ones with the origin where raw
    activations are 0."""
    one = dictionary()[0]
    x = 2 * torch.randn(30, 6, generator=torch.Generator().manual_seed(3)) + 1
    document = np.zeros(30, int)
    raw, z = metrics.document_sums(one, x, document, 1, x.mean(0)), one.normalise(x)[0]
    normal = metrics.document_sums(
        one.normalised, z, document, 1, z.mean(0), origin=-one.mean[0] * one.scale[0]
    )
    for name in ("gamma_raw", "gamma", "fvu", "l0"):
        np.testing.assert_allclose(
            metrics.finish(normal)[name], metrics.finish(raw)[name], rtol=1e-5
        )


def test_documents_must_fit_the_rows():
    with pytest.raises(
        DataError, match=r"each of the 5 rows, one of 0 … 2, got \[5\] numbers from 0 to 4"
    ):
        metrics.document_sums(dictionary(), torch.zeros(5, 6), np.arange(5), 3, torch.zeros(6))
