"""Importance of features: the vector worked by hand, and sums against naive float64 forwards
of tiny models."""

import numpy as np
import pytest
import torch
from live_texts import dictionary

import tiny_models
from assay.core.errors import DataError
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.measuring.ablation import capture
from assay.dictionaries.nonlinearity import ReLU
from assay.features.importance import finish, importance_sums, token_sums
from assay.subjects.pretrained import load
from assay.subjects.site import Site

WINDOWS, S, D, WIDTH = 5, 9, 24, 12
DOCUMENT = np.array([0, 0, 2, 1, 2])
SITE = "blocks.1.hook_resid_pre"


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def folder(request, tmp_path_factory):
    return tiny_models.make(tmp_path_factory.mktemp("importance") / request.param, request.param)


@pytest.fixture(scope="module")
def model(folder):
    return load(str(folder))


def tokens():
    return np.random.default_rng(0).integers(0, 250, (WINDOWS, S))


def keep():
    kept = np.random.default_rng(1).random((WINDOWS, S)) < 0.9
    kept[:, 0] = False
    return kept


def codes(model, one, site=SITE):
    """Activations of the dictionary at kept positions, [w, s, f], and what one unit of each adds,
    from differences of `decode`."""
    passage, _ = capture(model, Site.parse(site), torch.from_numpy(tokens()))
    x = passage.acts.flatten(0, 1)
    a = one.encode(x).unflatten(0, (WINDOWS, S)).double().numpy() * keep()[..., None]
    base = one.decode(torch.zeros(1, len(x), WIDTH), x)
    unit = [
        (one.decode(torch.eye(WIDTH)[k].expand(1, len(x), -1), x) - base)[0].double().numpy()
        for k in range(WIDTH)
    ]
    return a, [u.reshape(WINDOWS, S, -1) for u in unit]


def losses(folder, edits=None):
    return tiny_models.naive_loss(tiny_models.naive(folder, tokens(), edits)[0], tokens())


def naive_delta(folder, a, unit, group, site=SITE):
    out = sum(a[..., k, None] * unit[k] for k in group)
    return losses(folder, {site: lambda x: x - out}) - losses(folder)


def measured(model, features, one=None, site=SITE, **options):
    one = dictionary() if one is None else one
    options = {"keep": torch.from_numpy(keep()), "batch": 3} | options
    return importance_sums(
        model, Site.parse(site), one, features, torch.from_numpy(tokens()), DOCUMENT, 3, **options
    )


def test_the_worked_vector():
    delta = np.array([0, 0.8, 0, -0.2, 1.5, 0, 0, 0.1])
    done = finish(
        {name: value[None] for name, value in token_sums(delta[None], (delta != 0)[None]).items()}
    )
    wanted = {
        "density": 0.5,
        "conditional": 0.55,
        "total": 0.275,
        "hit_share": 0.75,
        "spill": 0,
        "text": 0.275,
    }
    assert {name: done[name].item() for name in wanted} == pytest.approx(wanted)


@pytest.mark.parametrize("per_token", ["", "layer-norm"])
def test_sums_are_those_of_naive_forwards(folder, model, per_token):
    one = dictionary(per_token=per_token)
    a, unit = codes(model, one)
    features = [1, 3, [2, 5, 7]]
    got = measured(model, features, one)
    for i, group in enumerate(([1], [3], [2, 5, 7])):
        active = (a[..., group] > 0).any(2)[:, :-1]
        assert 0 < active.sum() < active.size
        delta = naive_delta(folder, a, unit, group)
        for d in range(3):
            mine = d == DOCUMENT
            wanted = {
                "tokens": mine.sum() * (S - 1),
                "active": active[mine].sum(),
                "delta_active": delta[mine][active[mine]].sum(),
                "delta_silent": delta[mine][~active[mine]].sum(),
            }
            assert {name: got[name][i, d] for name in wanted} == pytest.approx(wanted, abs=3e-4)
        assert got["helps"][i].sum() == (delta[active] > 0).sum()


@pytest.mark.parametrize(
    "site", ["blocks.0.hook_mlp_out", "blocks.2.hook_resid_post", "blocks.1.hook_resid_mid"]
)
def test_at_other_sites(folder, model, site):
    a, unit = codes(model, dictionary(), site)
    got = measured(model, [4], site=site)
    active, delta = a[..., 4][:, :-1] > 0, naive_delta(folder, a, unit, [4], site)
    assert got["delta_active"].sum() == pytest.approx(delta[active].sum(), abs=3e-4)


def test_a_silent_feature_is_exactly_zero_and_so_is_the_past(model):
    got = measured(model, [0])
    assert all(
        (got[name] == 0).all() for name in ("active", "helps", "delta_active", "delta_silent")
    )
    done = finish(got)
    assert done["total"] == 0
    assert done["spill"] == 0
    assert np.isnan(done["conditional"])
    assert np.isnan(done["hit_share"])


def test_taking_out_nothing_changes_nothing_to_the_last_bit(model):
    """The noise floor: an active feature whose decoder row is 0 goes through all of the
    computation, and comes out as 0."""
    from dataclasses import replace

    one = dictionary()
    got = measured(model, [1, 3], replace(one, W_dec=0 * one.W_dec))
    assert got["active"].sum() > 0
    assert (got["delta_active"] == 0).all()
    assert (got["delta_silent"] == 0).all()


def test_total_is_conditional_times_density_and_batches_do_not_matter(model):
    features = [1, 2, 3, 4]
    got = measured(model, features)
    done = finish(got)
    np.testing.assert_allclose(done["total"], done["conditional"] * done["density"], rtol=1e-12)
    for batch in (1, 5):
        for name, value in measured(model, features, batch=batch).items():
            np.testing.assert_allclose(value, got[name], atol=2e-5)


def test_a_helpful_feature_is_above_zero(model, folder):
    """The sign: take out what raises the right token's logit along the direct path, and the loss
    goes up."""
    place = Site.parse("blocks.2.hook_resid_post")
    passage, _ = capture(model, place, torch.from_numpy(tokens()))
    right = model.unembed().T[torch.from_numpy(tokens()[:, 1:]).reshape(-1)]
    row = torch.nn.functional.normalize(right.mean(0) - model.unembed().T.mean(0), dim=0)
    x = passage.acts.flatten(0, 1)
    one = Dictionary(
        row.view(1, D, 1),
        torch.full((1, 1), 50.0),
        0.2 * row.view(1, 1, D),
        torch.zeros(1, D),
        ReLU(),
    )
    assert (one.encode(x) > 0).all()
    assert finish(measured(model, [0], one, site=str(place)))["conditional"] > 0


def test_what_does_not_fit_is_refused(model):
    with pytest.raises(DataError, match="numbered 0 to 11, got 12"):
        measured(model, [12])
    with pytest.raises(DataError, match="name at least one"):
        measured(model, [])
    with pytest.raises(DataError, match="got an empty set"):
        measured(model, [[]])
    with pytest.raises(DataError, match="got 2 runs"):
        measured(model, [1], Dictionary.join([dictionary()] * 2))
