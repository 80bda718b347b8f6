"""Every claim of dictionary-weights can hold, can fail, and can be made unspecific by each of its controls.

The numbers are planted, not trained: how many entries carry a feature's row and a neuron's column, with features, neurons and seeds of
unequal luck. `tests/claims/test_catalogue_bar.py` judges every claim in WORLD and CASES; what the matrices of the derived arms are,
and what the measures make of them, is tested here.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch

from assay.core.measures import measures
from assay.core.runs import Runs
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import ReLU
from assay.experiments.dictionary_weights import experiment
from assay.experiments.dictionary_weights.method import (
    CURVE,
    DictionaryWeights,
    curve,
    matrix_measures,
    other_rows,
    planted_rows,
    shuffled,
)

FEATURES, NEURONS, DOCUMENTS = 120, 80, 12
DENSE = {"row_k90": 90.0, "row_kurtosis": 0.0, "column_gini": 0.414, "column_gini_permuted": 0.414, "use_k90": 140.0}
LEVELS = {
    "main": DENSE | {"row_kurtosis": 2.0}, "half": DENSE | {"row_kurtosis": 1.95}, "wide": DENSE | {"row_kurtosis": 2.0},
    "shuffled": DENSE | {"row_k90": 7.0, "row_kurtosis": 150.0, "use_k90": 8.0},
    "identity": DENSE | {"row_k90": 1.0, "row_kurtosis": 250.0, "use_k90": 1.0},
    "planted": DENSE | {"row_kurtosis": 20.0, "column_gini": 0.998, "column_gini_permuted": 0.77, "use_k90": 1.0},
    "soft-frozen": DENSE | {"row_kurtosis": 0.2}, "untrained": DENSE | {"row_kurtosis": 0.2},
}  # fmt: skip


@dataclass(frozen=True)
class World:
    """Planted truth: for each arm the typical number of each measure; dense rows where nothing else is said."""

    levels: dict = field(default_factory=lambda: LEVELS)

    def but(self, *arms: str, **changed) -> "World":
        """The same world with some numbers of these arms replaced."""
        return replace(self, levels=self.levels | {a: self.levels.get(a, DENSE) | changed for a in arms})

    def arms(self) -> dict:
        """The measures that runs of the default preset would have."""
        return {name: self.measures(name) for name in experiment.arms}

    def measures(self, arm: str):
        g = np.random.default_rng(100 + list(experiment.arms).index(arm))
        runs = Runs(experiment.specs_of(arm, experiment.default))
        n, level = len(runs), self.levels.get(arm, DENSE)
        luck = np.random.default_rng(1).normal(0, 0.1, (n, 1))  # of the seed, whose model all arms share
        named = {"row_k90": np.round(level["row_k90"] * np.exp(luck + g.normal(0, 0.1, (n, FEATURES)))).clip(1)}
        named["row_kurtosis"] = level["row_kurtosis"] * np.exp(luck) + g.normal(0, 0.3, (n, FEATURES))
        named |= {name: np.full((n, FEATURES), 1.0) for name in ("row_gini", "row_large", "row_kurtosis_scaled")}
        for name in ("column_gini", "column_gini_permuted", "use_gini", "use_gini_permuted"):
            named[name] = level.get(name, 0.5) + luck / 30 + g.normal(0, 0.02, (n, NEURONS))
        named["use_k90"] = (level["use_k90"] * np.exp(luck + g.normal(0, 0.1, (n, NEURONS)))).clip(1)
        given = {name: (f"run {'feature' if name.startswith('row') else 'neuron'}", x, "1") for name, x in named.items()}
        given |= {name: ("run rank", np.broadcast_to(CURVE, (n, len(CURVE))), "1") for name in ("row_curve", "column_curve")}
        given |= {name: ("run document", 1 + g.random((n, DOCUMENTS)), "1") for name in ("error", "variance", "active", "tokens")}
        return measures(runs, coords={"document": [f"file-{i:02}" for i in range(DOCUMENTS)], "rank": CURVE.tolist()}, **given)


WORLD = World()


def without(**changed) -> World:
    """A world without an effect, after half the training neither."""
    return WORLD.but("main", "half", **changed)


# claim → (the world without the effect, {control: a world in which it passes too})
CASES = {
    "Features are dense": (without(row_k90=7.0), {name: WORLD.but(name, row_k90=60.0) for name in ("shuffled", "identity")}),
    "The neuron basis": (
        without(row_kurtosis=0.02),
        {name: WORLD.but(name, row_kurtosis=2.0) for name in ("rotated-again", "start", "frozen-decoder", "soft-frozen", "untrained")},
    ),
    "Learned rows": (
        without(row_kurtosis=0.5), {name: WORLD.but(name, row_kurtosis=2.0) for name in ("soft-frozen", "untrained", "start")},
    ),
    "Read by neuron": (without(column_gini=0.63), {"planted": WORLD.but("planted", column_gini_permuted=0.99)}),
    "One neuron needs": (
        without(use_k90=8.0), {name: WORLD.but(name, use_k90=90.0) for name in ("shuffled", "identity", "planted")},
    ),
}  # fmt: skip


# --- the matrices that stand in the place of main's ---------------------------------------------------------------------------

S = DictionaryWeights(seed=3, d=16, m=40, width=64)


def before(W):
    d = Dictionary(W.mT.contiguous(), torch.zeros(1, 64), W, torch.zeros(1, 40), ReLU())
    return d.to_trained()


def made(matrix, W, seed=3, replicate=0):
    return other_rows(Runs([S.replace(matrix=matrix, seed=seed, replicate=replicate)]), None, before(W)).tensors["W_dec"]


def test_turned_rows_keep_their_geometry_and_permuted_ones_their_entries():
    W = torch.nn.functional.normalize(torch.randn(1, 64, 40, generator=torch.Generator().manual_seed(0)) ** 3, dim=-1)
    turned, mixed, random = (made(name, W) for name in ("rotated", "permuted", "random"))
    assert torch.allclose(turned @ turned.mT, W @ W.mT, atol=1e-5) and not torch.allclose(turned, W, atol=0.1)
    assert torch.allclose(mixed.sort(-1).values, W.sort(-1).values, atol=1e-6) and not torch.allclose(mixed, W, atol=0.1)
    for rows in (turned, mixed, random):
        assert (rows.norm(dim=-1) - 1).abs().max() < 1e-5
    for name in ("rotated", "permuted", "random"):
        assert torch.equal(made(name, W), made(name, W)) and not torch.equal(made(name, W), made(name, W, seed=4)), "redrawn by each seed"
    assert not torch.equal(made("rotated", W), made("rotated", W, replicate=1))


def test_the_planted_matrix_is_found_by_column_and_not_in_a_random_one():
    """F=512, m=256, six neurons of ten private: θ = 0.998 − 0.770 = 0.228; of a Gaussian matrix 0.001."""
    planted, gaussian = planted_rows(1, 512, 256, np.arange(512)), np.random.default_rng(2).standard_normal((512, 256))
    for rows, theta, private in ((planted, 0.228, 0.6), (gaussian, 0.001, 0.0)):
        d = Dictionary(torch.zeros(1, 256, 512), torch.ones(1, 512), torch.from_numpy(rows).float()[None], torch.zeros(1, 256), ReLU())
        x = torch.randn(20, 256, generator=torch.Generator().manual_seed(1))
        found = {name: v[0] for name, (_, v, _) in matrix_measures(d, x, 1).items()}
        assert np.median(found["column_gini"]) - np.median(found["column_gini_permuted"]) == pytest.approx(theta, abs=0.005)
        assert (found["use_k90"] == 1).mean() == pytest.approx(private, abs=0.01)
        assert found["live"] == 512 and (found["row_k90"] > 10).all()
    W = planted_rows(1, 512, 256, np.arange(512))
    assert np.allclose(np.linalg.norm(W, axis=1), 1, atol=1e-6)
    own = (W != 0).sum(0) == 1
    assert not np.array_equal(W, planted_rows(2, 512, 256, np.arange(512))), "redrawn by each seed"
    few = planted_rows(1, 512, 256, np.arange(100))
    assert (((few != 0).sum(0) == 1).sum(), np.flatnonzero((np.abs(few) > 0.7).any(1)).max() < 100) == (100, True)
    assert own.sum() == 154 and np.allclose(np.abs(W[:, own]).max(0), 0.5**0.5, atol=1e-6), "as long as the rest of its row"


def test_every_neuron_a_feature_has_rows_and_columns_of_one_entry():
    one, zero = torch.eye(40)[None], torch.zeros(1, 40)
    found = matrix_measures(Dictionary(one, zero, one, zero, ReLU()), torch.rand(50, 40), 0)
    assert (found["row_k90"][1] == 1).all() and (found["use_k90"][1] == 1).all()
    assert found["row_kurtosis"][1][0] == pytest.approx(np.full(40, 40**2 / 39 - 6))


def test_dead_features_are_in_no_row_and_no_column():
    W = torch.nn.functional.normalize(torch.randn(1, 64, 40, generator=torch.Generator().manual_seed(0)), dim=-1)
    bias = torch.zeros(1, 64)
    bias[:, :24] = -100
    x = torch.randn(200, 40, generator=torch.Generator().manual_seed(1))
    found = {n: v[0] for n, (_, v, _) in matrix_measures(Dictionary(W.mT.contiguous(), bias, W, torch.zeros(1, 40), ReLU()), x, 0).items()}
    kept = Dictionary(W[:, 24:].mT.contiguous(), bias[:, 24:], W[:, 24:], torch.zeros(1, 40), ReLU())
    alone = {n: v[0] for n, (_, v, _) in matrix_measures(kept, x, 0).items()}
    assert found["live"] == 40 and np.isnan(found["row_k90"][:24]).all()
    assert np.array_equal(found["row_k90"][24:], alone["row_k90"]) and np.allclose(found["column_gini"], alone["column_gini"])
    assert np.array_equal(found["use_k90"], alone["use_k90"])


def test_shuffled_neurons_keep_their_values_and_lose_what_ties_them():
    x = torch.randn(500, 1, generator=torch.Generator().manual_seed(0)).expand(500, 6).contiguous()
    y = shuffled(x, 5, 0)
    assert torch.equal(y.sort(0).values, x.sort(0).values)
    assert torch.corrcoef(y.T).fill_diagonal_(0).abs().max() < 0.2 < torch.corrcoef(x.T).min()


def test_a_curve_tells_the_share_of_the_largest_entries():
    assert np.allclose(curve(np.ones((2, 32))), CURVE)
    assert np.allclose(curve(np.eye(32)), np.minimum(1, 32 * CURVE))
