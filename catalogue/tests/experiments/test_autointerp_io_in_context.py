"""Token-in-context features of a model: claims on planted measures, which features they are, and
what taking one out does, by whole passes."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from assay.core import Claim, Runs
from assay.core.measures import measures
from assay.dictionaries import Dictionary, ReLU
from assay.lab.judge.result import judge_statements, with_derived
from assay.subjects.pretrained import load
from assay.subjects.site import Site
from assay_catalogue.experiments.autointerp_io.gemma import GEMMA
from assay_catalogue.experiments.autointerp_io.in_context import (
    AGREE,
    FOLLOW,
    GIVEN,
    Acted,
    Acting,
    Explained,
    Fired,
    agreement,
    cast,
    in_context,
    score_features,
)
from assay_catalogue.explaining.rule import Positions
from assay_catalogue.explaining.token_context import Given
from tiny_models import make

CLAIMS = [c for c in GEMMA.claims if isinstance(c, Claim)]
LEVELS = dict.fromkeys((*GIVEN, *FOLLOW), 0.5) | dict.fromkeys(AGREE, 0.1)
LEVELS |= {"given_before": 0.6, "given_total": 0.45}
TELLING = LEVELS | {
    "given_before": 0.5,
    "given_direct": 0.6,
    "given_total": 0.7,
    "given_hindsight": 0.8,
    "follow_direct": 0.8,
    "follow_total": 0.9,
    "agree": 0.7,
}
HALF_RANDOM = ("soft-frozen",)


def outcomes(main, frozen=LEVELS):
    def arm(name, levels, draw):
        runs = Runs(GEMMA.specs_of(name, GEMMA.default))
        shape = (1, runs.shared.features)
        token = np.arange(shape[1])[None] // 3 * 7
        token[0, -2:] = -1
        return measures(
            runs,
            token=("run feature", token, "1"),
            strict=("run", np.array([100.0]), "1"),
            of_tokens=("run", np.array([18.0]), "1"),
            **{n: ("run feature", draw.normal(x, 0.02, shape), "1") for n, x in levels.items()},
        )

    made = {"main": main, "half": main} | dict.fromkeys(HALF_RANDOM, frozen)
    arms = {n: arm(n, x, np.random.default_rng(i)) for i, (n, x) in enumerate(made.items())}
    judged = judge_statements(GEMMA.claims, with_derived(GEMMA, arms), scope="here").judged
    return [j.outcome for j in judged]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, ["holds"] * 5),
        (LEVELS, ["fails"] * 5),
        ({"given_before": 0.9}, ["fails", "fails", "holds", "holds", "holds"]),
        ({"given_other": 0.6}, ["unspecific", *["holds"] * 4]),
        ({"given_other_total": 0.7}, ["holds", *["unspecific"] * 2, *["holds"] * 2]),
        ({"given_common": 0.7}, [*["unspecific"] * 2, *["holds"] * 3]),
        ({"given_random": 0.7}, ["holds"] * 2 + ["unspecific"] + ["holds"] * 2),
        ({"agree_another": 0.7}, ["holds"] * 3 + ["unspecific", "holds"]),
        ({"agree_random": 0.7}, ["holds"] * 3 + ["unspecific", "holds"]),
        ({"follow_another": 0.9}, ["holds"] * 4 + ["unspecific"]),
        ({"follow_random": 0.9}, ["holds"] * 4 + ["unspecific"]),
    ],
)
def test_each_claim_is_judged_by_what_was_planted(changed, expected):
    assert outcomes(TELLING | changed) == expected


def test_what_a_half_random_dictionary_does_as_well_is_unspecific():
    assert outcomes(TELLING, TELLING) == ["unspecific"] * 5


def test_what_is_taken_out_at_one_place_is_taken_out_in_a_whole_pass(tmp_path):
    model = load(str(make(tmp_path / "model", "gemma3_text")))
    tokens = np.random.default_rng(0).integers(0, 200, (3, 9))
    site = Site("resid_pre", 1)
    ids = torch.from_numpy(tokens)
    plain = model.run(ids, capture=[site])
    data = SimpleNamespace(tokens=tokens, raw=lambda windows: plain.acts[site][windows])
    parts = torch.randn(
        2, 2, plain.acts[site].shape[-1], generator=torch.Generator().manual_seed(1)
    )
    places = np.array([1 * 9 + 4, 2 * 9 + 8])
    total = Acting(model, 1, data).total(places, parts)
    naive = []
    for k in range(2):
        falls = []
        for place, part in zip(places, parts[:, k], strict=True):
            window, position = divmod(int(place), 9)

            def edit(x, position=position, part=part):
                y = x.clone()
                y[:, position] -= part
                return y

            without = model.run(ids[[window]], edits={site: edit}).logits[0, position]
            falls.append((plain.logits[window, position] - without).numpy())
        mean = np.mean(falls, 0)
        naive.append(mean - mean.mean())
    np.testing.assert_allclose(total, naive, atol=2e-5)


def planted_text(draw, windows):
    """Text of 30 tokens; feature 0 fires on token 7 behind token 3, feature 1 on every 7, feature 2
    on any token behind 3, feature 3 on 7 behind 4."""
    tokens = draw.integers(0, 30, (windows, 24))
    tokens[draw.random(tokens.shape) < 0.2] = 7
    keep = np.ones(tokens.shape, bool)
    keep[:, 0] = False
    before = np.roll(tokens, 1, 1)
    at_7 = tokens == 7
    fires = np.stack([at_7 & (before == 3), at_7, before == 3, at_7 & (before == 4)], -1)
    return tokens, keep, fires[keep].astype(np.float32)


def fired(draw, windows):
    tokens, keep, x = planted_text(draw, windows)
    kept = np.flatnonzero(keep)
    row_of = np.full(keep.size, -1)
    row_of[kept] = np.arange(len(kept))
    data = SimpleNamespace(
        tokens=tokens, keep=keep, kept=kept, rows=lambda rows: torch.from_numpy(x[row_of[rows]])
    )
    eye, zero = torch.eye(4)[None], torch.zeros(1, 4)
    return Fired.of(Dictionary(eye, zero, eye, zero, ReLU()), data), x


def test_features_that_fire_on_a_token_in_a_context_are_those_that_were_planted():
    draw = np.random.default_rng(5)
    (seen, x), (fresh, _) = fired(draw, 900), fired(draw, 500)
    for feature in range(4):
        np.testing.assert_array_equal(seen.values(feature), x[:, feature])
    assert in_context(seen, 10) == {0: 7, 3: 7}
    assert in_context(seen, 10_000) == {}
    s = GEMMA.default[0].replace(firings=10)
    explained = cast(s, seen, fresh, {0: 7, 3: 7})
    assert sorted(e.own for e in explained) == [(0, 7), (3, 7)]
    for e in explained:
        beside = {0, 1, 3} - {e.own[0]}  # feature 2 fires on any token, on 7 as well
        assert {f for f, _ in e.pairs[1:]} < beside | {2} and len(set(e.pairs)) == 3
        assert all(token == 7 for _, token in e.pairs)
    assert len(cast(s.replace(per_token=2), seen, fresh, {0: 7, 1: 7, 3: 7})) == 2
    assert cast(s.replace(firings=4000), seen, fresh, {0: 7}) == []


def test_each_explanation_is_scored_on_the_other_text_and_another_is_of_the_same_token():
    draw = np.random.default_rng(6)
    (seen, _), (fresh, _) = fired(draw, 900), fired(draw, 500)
    held = np.arange(len(seen.text)) % 4 == 0
    s = GEMMA.default[0].replace(names=2)
    pairs = [(0, 7), (3, 7)]
    effects = {pair: Acted(*draw.normal(size=(4, 40))) for pair in pairs}
    explained = [Explained(pairs[i], pairs[1 - i], None) for i in range(2)]
    numbers = list(score_features(s, seen, fresh, held, explained, effects))
    assert [n["given_before"] for n in numbers] == [1.0, 1.0]
    for i, (feature, token) in enumerate(pairs):
        values = (seen.values(feature), fresh.values(feature))
        given = Given.at(token, seen.text, fresh.text, held, values)
        own, other = effects[pairs[i]], effects[pairs[1 - i]]
        assert numbers[i]["given_direct"] == given.next(np.argsort(-own.direct)[:2])
        assert numbers[i]["given_other"] == given.next(np.argsort(-other.direct)[:2])
        assert numbers[i]["given_other_total"] == given.next(np.argsort(-other.total)[:2])
        centred = [x - x.mean() for x in (own.direct, other.total)]
        assert agreement(*centred) == pytest.approx(np.corrcoef(*centred)[0, 1])
        assert numbers[i]["agree_other"] == agreement(own.direct, other.total)
        assert "agree_another" not in numbers[i]


def test_positions_of_firings_are_those_of_the_text():
    seen, _ = fired(np.random.default_rng(7), 50)
    assert isinstance(seen.text, Positions)
    places = seen.text.row[np.flatnonzero(seen.values(1) > 0)]
    assert (seen.text.tokens.ravel()[places] == 7).all()
