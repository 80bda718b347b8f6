"""Splitting on families that were planted, and on controls where there is none."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from assay.core.errors import DataError
from assay.dictionaries.measuring import splitting
from assay.dictionaries.measuring.splitting import (
    candidates,
    cofiring_sums,
    families,
    random_like,
    shuffled,
)

D, B = 24, 500


def world(seed=0):
    """Narrow: 3 orthogonal features. Wide: two children of feature 0, one of feature 2, a new one,
    and one that never fires."""
    own = np.random.default_rng(seed)
    basis = np.linalg.qr(own.normal(size=(D, D)))[0]
    near = 0.9 * basis[[0, 0, 2]] + np.sqrt(1 - 0.81) * basis[[4, 5, 6]]
    wide = np.concatenate([3 * near, basis[[7]], 0.95 * basis[[1]]])
    on = own.random((B, 3)) < 0.3
    first = own.random(B) < 0.5  # which of the two children of feature 0 takes it
    children = np.stack(
        [on[:, 0] & first, on[:, 0] & ~first, on[:, 2], own.random(B) < 0.2, np.zeros(B, bool)], 1
    )
    as_floats = (torch.from_numpy(a).float() for a in (basis[:3], wide, on, children))
    return tuple(as_floats)


def measured(narrow, wide, features, wide_features):
    candidate, cosine = candidates(narrow, wide)
    return families(
        candidate, cosine, cofiring_sums(candidate, features, wide_features), len(narrow)
    )


@pytest.mark.parametrize("entries", [4, 1 << 24])
def test_planted_families_are_found(entries, monkeypatch):
    monkeypatch.setattr(splitting, "_ENTRIES", entries)
    found = measured(*world())
    assert found.parent.tolist() == [0, 0, 2, -1, -1] and found.children.tolist() == [2, 0, 1]
    assert found.cosine[:3] == pytest.approx([0.9] * 3, abs=1e-6) and found.cosine[
        4
    ] == pytest.approx(1)
    assert found.together[:3].tolist() == [1, 1, 1] and math.isnan(found.together[4])
    assert found.novel == 0.25  # one of the four that fire


def test_both_parts_are_needed():
    narrow, wide, features, wide_features = world()
    apart = measured(
        narrow, wide, shuffled(features), wide_features
    )  # the right directions, firing at other times
    assert apart.novel == 1 and apart.children.sum() == 0
    assert np.nanmean(apart.together[:4]) == pytest.approx(0.3, abs=0.1)  # the parents' density
    elsewhere = measured(
        random_like(narrow), wide, features, wide_features
    )  # the right times, other directions
    assert elsewhere.novel == 1


def test_a_dictionary_is_its_own_family():
    _, wide, _, wide_features = world()
    found = measured(wide, wide, wide_features, wide_features)
    assert found.parent.tolist() == [0, 1, 2, 3, -1] and found.novel == 0


def test_sums_add_up_and_lengths_do_not_count():
    narrow, wide, features, wide_features = world()
    candidate, cosine = candidates(narrow, wide)
    longer, same = candidates(5 * narrow, wide * torch.tensor([[0.1], [3], [0.7], [2], [9]]))
    near = (
        cosine > 0.1
    )  # the new feature is at right angles to all: which is nearest to it is rounding
    assert (
        near.sum() == 4
        and (longer == candidate)[near].all()
        and same == pytest.approx(cosine, abs=1e-6)
    )
    whole = cofiring_sums(candidate, features, wide_features)
    parts = [
        cofiring_sums(candidate, 7 * features[i], wide_features[i])
        for i in (slice(0, 99), slice(99, B))
    ]
    for name in whole:
        assert (parts[0][name] + parts[1][name] == whole[name]).all()


def test_controls_keep_what_they_should():
    narrow, _, features, _ = world()
    drawn = random_like(2 * narrow)
    assert torch.linalg.vector_norm(drawn, dim=1).tolist() == pytest.approx([2, 2, 2])
    assert torch.equal(drawn, random_like(2 * narrow)) and not torch.equal(
        drawn, random_like(2 * narrow, seed=1)
    )
    assert torch.equal(shuffled(features).sum(0), features.sum(0)) and not torch.equal(
        shuffled(features), features
    )


def test_what_does_not_fit_is_refused():
    with pytest.raises(DataError, match="equally wide"):
        candidates(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(DataError, match="same rows, got 2 and 3"):
        cofiring_sums(np.zeros(1, int), torch.zeros(2, 3), torch.zeros(3, 1))
