"""Every claim of dictionary-weights can hold, can fail, and can be made unspecific by each of its
controls.

The numbers are planted, not trained: how many entries carry a feature's row and a neuron's column
and how well rules tell them, with seeds of unequal luck. `tests/claims/test_catalogue_bar.py`
judges every claim in WORLD and CASES; what the matrices of the derived arms are, and what the
measures make of them, is tested here."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch

from assay.core.measures import measures
from assay.core.runs import Runs
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import ReLU
from assay_catalogue.experiments.dictionary_weights import experiment
from assay_catalogue.experiments.dictionary_weights.method import (
    CURVE,
    EDGES,
    DictionaryWeights,
    concentrations,
    curve,
    geometric,
    in_use,
    matrix_measures,
    other_rows,
    planted_rows,
    shuffled,
    spread_rows,
)
from assay_catalogue.experiments.dictionary_weights.rules import Texts, as_often, planted
from assay_catalogue.explaining.rule import Positions

DOCUMENTS = 12
DENSE = {
    "row_k90": 90.0,
    "row_k90_spread": 90.0,
    "row_kurtosis": 0.0,
    "row_kurtosis_scaled": 0.0,
    "column_gini": 0.414,
    "column_gini_permuted": 0.414,
    "use_k90": 140.0,
    "use_k90_spread": 140.0,
}
DENSE |= {"told": 0.7, "told_neurons": 0.7}
LEARNED = DENSE | {
    "row_k90": 120.0,
    "use_k90": 190.0,
    "row_kurtosis": 2.0,
    "row_kurtosis_scaled": 1.8,
    "told": 0.85,
}
LEVELS = {
    "main": LEARNED,
    "half": LEARNED | {"row_kurtosis": 1.95, "row_kurtosis_scaled": 1.75, "told": 0.845},
    "wide": LEARNED,
    "planted-features": DENSE | {"told": 0.98},
    "shuffled": DENSE | {"row_k90": 7.0, "row_kurtosis": 150.0, "use_k90": 8.0},
    "identity": DENSE | {"row_k90": 1.0, "row_kurtosis": 250.0, "use_k90": 1.0},
    "planted": DENSE
    | {
        "row_kurtosis": 20.0,
        "row_kurtosis_scaled": 20.0,
        "column_gini": 0.998,
        "column_gini_permuted": 0.77,
        "use_k90": 1.0,
    },
    "planted-few": DENSE | {"column_gini": 0.42, "column_gini_permuted": 0.504},
    "frozen-decoder": DENSE | {"row_kurtosis": 0.3},
    "soft-frozen": DENSE | {"row_kurtosis": 0.2, "row_kurtosis_scaled": 0.2},
    "untrained": DENSE | {"row_kurtosis": 0.2, "row_kurtosis_scaled": 0.2},
    "random": DENSE | {"row_k90": 94.0},
    "start": DENSE | {"row_k90": 94.0},
}


@dataclass(frozen=True)
class World:
    """Planted truth: for each arm the typical number of each measure; dense rows where nothing else
    is said."""

    levels: dict = field(default_factory=lambda: LEVELS)

    def but(self, *arms: str, **changed) -> "World":
        """Give the same world with some numbers of these arms replaced."""
        return replace(
            self, levels=self.levels | {a: self.levels.get(a, DENSE) | changed for a in arms}
        )

    def arms(self) -> dict:
        """The measures that runs of the default preset would have."""
        return {name: self.measures(name) for name in experiment.arms}

    def measures(self, arm: str):
        g = np.random.default_rng(100 + list(experiment.arms).index(arm))
        runs = Runs(experiment.specs_of(arm, experiment.default))
        n, level = len(runs), self.levels.get(arm, DENSE)
        luck = np.random.default_rng(1).normal(0, 0.1, n)  # of the seed, whose model all arms share
        only = ("told", "told_neurons") if arm == "planted-features" else ()
        numbers = {
            name: level[name] * np.exp(luck + g.normal(0, 0.01, n))
            for name in ("row_k90", "row_k90_spread", "use_k90", "use_k90_spread")
        }
        numbers = {name: x.clip(1) for name, x in numbers.items()}
        for name in ("row_kurtosis", "row_kurtosis_scaled"):
            numbers[name] = level[name] * np.exp(luck) + g.normal(0, 0.03, n)
        for name in (
            "column_gini",
            "column_gini_permuted",
            "use_gini",
            "use_gini_permuted",
            "told",
            "told_neurons",
        ):
            numbers[name] = level.get(name, 0.5) + luck / 30 + g.normal(0, 0.002, n)
        for name in (
            "row_gini",
            "row_large",
            "row_k90_median",
            "use_k90_median",
            "row_over_ten",
            "told_planted",
            "live",
        ):
            numbers[name] = np.full(n, 1.0)
        given = {name: ("run", x, "1") for name, x in numbers.items() if name in only or not only}
        if only:
            return measures(runs, **given)
        given["row_counts"] = ("run bin", np.ones((n, len(EDGES) - 1)), "1")
        given |= {
            name: ("run rank", np.broadcast_to(CURVE, (n, len(CURVE))), "1")
            for name in ("row_curve", "column_curve")
        }
        given |= {
            name: ("run document", 1 + g.random((n, DOCUMENTS)), "1")
            for name in ("error", "variance", "active", "tokens")
        }
        coords = {
            "document": [f"file-{i:02}" for i in range(DOCUMENTS)],
            "rank": CURVE.tolist(),
            "bin": EDGES[:-1].tolist(),
        }
        return measures(runs, coords=coords, **given)


WORLD = World()


def without(**changed) -> World:
    """A world without an effect, after half the training neither."""
    return WORLD.but("main", "half", **changed)


# claim → (the world without the effect, {control: a world in which it passes too})
CASES = {
    "Features are denser": (
        without(row_k90=94.0),
        {
            name: WORLD.but(name, row_k90=120.0)
            for name in ("frozen-decoder", "soft-frozen", "random", "shuffled", "identity")
        },
    ),
    "The neuron basis": (
        without(row_kurtosis_scaled=0.02),
        {
            name: WORLD.but(name, row_kurtosis_scaled=1.8)
            for name in ("rotated-again", "start", "frozen-decoder", "soft-frozen", "untrained")
        },
    ),
    "Learned rows": (
        without(row_kurtosis=0.5),
        {name: WORLD.but(name, row_kurtosis=2.0) for name in ("soft-frozen", "untrained", "start")},
    ),
    "Read by neuron": (
        without(column_gini=0.63),
        {
            name: WORLD.but(name, column_gini=0.6, column_gini_permuted=0.59)
            for name in ("planted", "planted-few")
        },
    ),
    "A neuron needs": (
        without(use_k90=142.0),
        {
            name: WORLD.but(name, use_k90=190.0)
            for name in (
                "frozen-decoder",
                "soft-frozen",
                "random",
                "shuffled",
                "identity",
                "planted",
            )
        },
    ),
    "Learned directions": (
        without(told=0.71),
        {
            name: WORLD.but(name, told=0.85)
            for name in ("frozen-decoder", "frozen-encoder", "untrained", "start")
        },
    ),
}


# --- the matrices that stand in the place of main's -----------------------------------------------

S = DictionaryWeights(seed=3, d=16, m=40, width=64)


def before(W, firings=100.0):
    f = W.shape[1]
    d = Dictionary(W.mT.contiguous(), torch.zeros(1, f), W, torch.zeros(1, W.shape[2]), ReLU())
    t = d.to_trained()
    beside = {
        "firings": torch.full((1, f), firings),
        "use": torch.ones(1, f),
        "covariance": torch.eye(W.shape[2])[None],
    }
    return replace(t, tensors={**t.tensors, **beside}, header={**t.header, "beside": list(beside)})


def made(matrix, W, seed=3, replicate=0):
    return other_rows(
        Runs([S.replace(matrix=matrix, seed=seed, replicate=replicate)]), None, before(W)
    ).tensors["W_dec"]


def rows_of(W):
    return concentrations(np.asarray(W, dtype=np.float64), np.ones(len(W)), np.eye(W.shape[1]), 1)


def test_turned_rows_keep_their_geometry_and_permuted_ones_their_entries():
    W = torch.nn.functional.normalize(
        torch.randn(1, 64, 40, generator=torch.Generator().manual_seed(0)) ** 3, dim=-1
    )
    turned, mixed, random = (made(name, W) for name in ("rotated", "permuted", "random"))
    assert torch.allclose(turned @ turned.mT, W @ W.mT, atol=1e-5) and not torch.allclose(
        turned, W, atol=0.1
    )
    assert torch.allclose(
        mixed.sort(-1).values, W.sort(-1).values, atol=1e-6
    ) and not torch.allclose(mixed, W, atol=0.1)
    for rows in (turned, mixed, random):
        assert (rows.norm(dim=-1) - 1).abs().max() < 1e-5
    for name in ("rotated", "permuted", "random"):
        assert torch.equal(made(name, W), made(name, W)) and not torch.equal(
            made(name, W), made(name, W, seed=4)
        ), "redrawn by each seed"
    assert not torch.equal(made("rotated", W), made("rotated", W, replicate=1))


def test_the_planted_matrix_is_found_by_column_and_not_in_a_random_one():
    """F=512, m=256, six neurons of ten private: θ = 0.998 − 0.770 = 0.228; three of twenty, so that
    the median neuron is shared: 0.414 − (1 − 0.85 · 0.586) = −0.088; of a Gaussian matrix 0.001."""
    everybody = np.arange(512)
    cases = (
        (planted_rows(1, 512, 256, everybody, 0.6), 0.228, 0.6),
        (planted_rows(1, 512, 256, everybody, 0.15), -0.088, 0.15),
        (np.random.default_rng(2).standard_normal((512, 256)), 0.001, 0.0),
    )
    for W, theta, private in cases:
        found = rows_of(W)
        assert np.median(found["column_gini"]) - np.median(
            found["column_gini_permuted"]
        ) == pytest.approx(theta, abs=0.005)
        assert (found["use_k90"] == 1).mean() == pytest.approx(private, abs=0.01)
        assert len(found["row_k90"]) == 512 and (found["row_k90"] > 10).all()
    W = planted_rows(1, 512, 256, everybody, 0.6)
    assert np.allclose(np.linalg.norm(W, axis=1), 1, atol=1e-6)
    own = (W != 0).sum(0) == 1
    assert not np.array_equal(W, planted_rows(2, 512, 256, everybody, 0.6)), "redrawn by each seed"
    few = planted_rows(1, 512, 256, np.arange(100), 0.6)
    assert (
        ((few != 0).sum(0) == 1).sum(),
        np.flatnonzero((np.abs(few) > 0.7).any(1)).max() < 100,
    ) == (100, True)
    assert own.sum() == 154 and np.allclose(np.abs(W[:, own]).max(0), 0.5**0.5, atol=1e-6), (
        "as long as the rest of its row"
    )


def test_random_rows_are_spread_as_the_covariance_says():
    """Deviations of 2 and 1 along two directions: a unit row has a/(a + b) = 2/3 of its squared
    length along the first; where nothing varies there is nothing."""
    lengths = np.linspace(1, 2, 40_000)
    axes = np.array([[0.6, 0.8, 0.0], [-0.8, 0.6, 0.0]])
    rows = spread_rows(1, lengths, axes.T @ np.diag([4.0, 1.0]) @ axes)
    assert np.allclose(np.linalg.norm(rows, axis=1), lengths)
    parts = ((rows / lengths[:, None]) @ axes.T) ** 2
    assert parts.mean(0) == pytest.approx([2 / 3, 1 / 3], abs=0.01)
    assert np.abs(rows[:, 2]).max() < 1e-6


def test_every_neuron_a_feature_has_rows_and_columns_of_one_entry():
    found = rows_of(np.eye(40))
    assert (found["row_k90"] == 1).all() and (found["use_k90"] == 1).all()
    assert found["row_kurtosis"] == pytest.approx(np.full(40, 40**2 / 39 - 6))


def test_dead_features_are_in_no_row_and_no_column():
    W = torch.nn.functional.normalize(
        torch.randn(1, 64, 40, generator=torch.Generator().manual_seed(0)), dim=-1
    )
    whole = before(W)
    whole.tensors["firings"][:, :24] = 9  # one short of being counted
    found, alone = (matrix_measures(t, 0) for t in (whole, before(W[:, 24:])))
    assert found["live"][1] == alone["live"][1] == 40
    for name in alone:
        assert np.array_equal(found[name][1], alone[name][1]), name
    assert found["row_k90"][1] == pytest.approx(geometric(rows_of(W[0, 24:])["row_k90"]))


def test_what_features_do_on_test_text_is_counted(monkeypatch):
    """Of ReLU features that are the neurons: firings, mean squares and deviations, by one naive
    line each; independent neurons keep them all."""
    x = torch.rand(3000, 40, generator=torch.Generator().manual_seed(1)) - 0.8

    class Test:
        kept = np.arange(3000)

        def rows(self, kept):
            return x

    monkeypatch.setattr(
        "assay_catalogue.experiments.dictionary_weights.method.activations",
        lambda s, bench: (None, Test()),
    )
    eye, zero = torch.eye(40)[None], torch.zeros(1, 40)
    for acts in ("model", "shuffled"):
        t = in_use(
            Dictionary(eye, zero, eye, zero, ReLU()).to_trained(), S.replace(acts=acts), None
        )
        assert t.tensors["firings"][0].tolist() == [(x[:, j] > 0).sum().item() for j in range(40)]
        assert torch.allclose(
            t.tensors["use"][0],
            torch.stack([x[:, j].clamp(0).double().pow(2).mean() for j in range(40)]),
        )
        variances = t.tensors["covariance"][0].diagonal()
        assert torch.allclose(variances, x.var(0), atol=1e-6)
        assert (
            set(t.header["beside"]) == {"firings", "use", "covariance"}
            and Dictionary.of(t).own == {}
        )


def test_shuffled_neurons_keep_their_values_and_lose_what_ties_them():
    x = torch.randn(500, 1, generator=torch.Generator().manual_seed(0)).expand(500, 6).contiguous()
    y = shuffled(x, 5, 0)
    assert torch.equal(y.sort(0).values, x.sort(0).values)
    assert torch.corrcoef(y.T).fill_diagonal_(0).abs().max() < 0.2 < torch.corrcoef(x.T).min()


def test_a_curve_tells_the_share_of_the_largest_entries():
    assert np.allclose(curve(np.ones((2, 32))), CURVE)
    assert np.allclose(curve(np.eye(32)), np.minimum(1, 32 * CURVE))


# --- rules ----------------------------------------------------------------------------------------


def texts():
    """Random tokens of a vocabulary of 200, twenty windows a file; a quarter of the files says when
    a rule stops."""
    g = np.random.default_rng(0)
    seen, fresh = (Positions(t, np.ones(t.shape, bool)) for t in g.integers(0, 200, (2, 400, 64)))
    return Texts(seen, fresh, seen.row // 64 // 20 % 4 == 0)


def test_a_feature_of_three_tokens_is_told_and_noise_is_not():
    """Fresh contexts of 32 tokens: one that fires is told by its rule with certainty, a silent one
    is silent but for a tenth of its tokens."""
    both = texts()
    chosen = np.array([3, 70, 150])
    of_tokens = [
        planted(p.shifted(0), chosen, 5, 0, i) for i, p in enumerate((both.seen, both.fresh))
    ]
    for p, value in zip((both.seen, both.fresh), of_tokens, strict=True):
        assert set(p.shifted(0)[value > 0]) == set(chosen) and (value > 0).sum() / np.isin(
            p.shifted(0), chosen
        ).sum() == pytest.approx(0.9, abs=0.04)
    assert both.told(*of_tokens) > 0.94
    g = np.random.default_rng(1)
    noise = [(g.random(len(p)) < 0.015).astype(float) for p in (both.seen, both.fresh)]
    assert both.told(*noise) == pytest.approx(0.5, abs=0.05)


def test_a_neuron_fires_as_often_as_the_feature_beside_it():
    g = np.random.default_rng(2)
    seen, fresh = g.standard_normal(4000), g.standard_normal(900)
    a, b = as_often(seen, fresh, 60)
    assert (a > 0).sum() == 60 and set(np.flatnonzero(a)) == set(np.argsort(-seen)[:60])
    edge = np.sort(seen)[-61]
    assert np.array_equal(b, np.maximum(fresh - edge, 0))
