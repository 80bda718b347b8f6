"""Planted worlds for the claims of superposition-sae, and what it trains and measures, against what
must come out by hand.

`tests/claims/test_catalogue_bar.py` judges every claim in WORLD and CASES; only what is this
experiment's own is tested here."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch

from assay.core import Runs, SpecError
from assay.core.measures import measures
from assay.lab.judge.result import with_derived
from assay_catalogue.experiments.superposition_sae import experiment
from assay_catalogue.experiments.superposition_sae.claims import BLOCK, blocks, matched
from assay_catalogue.experiments.superposition_sae.method import (
    SuperpositionSAE,
    frequencies,
    importances,
)

KEPT = 12
"""Features of the twenty that a planted toy represents."""
TRAINED = [
    name
    for name, arm in experiment.arms.items()
    if arm.derive is None and not name.startswith("toy")
]


@dataclass(frozen=True)
class World:
    """Planted toys keep the most important features; cosines fall with their norm and crowding, and
    rise with importance by `direct`."""

    tied: dict = field(
        default_factory=lambda: (
            dict.fromkeys(TRAINED, True)
            | dict.fromkeys(("equal", "random", "pca", "shuffled"), False)
        )
    )
    """Per arm: whether what is kept follows importance."""
    pointed: dict = field(
        default_factory=lambda: (
            dict.fromkeys(TRAINED, 0.97) | dict.fromkeys(("random", "pca", "shuffled"), 0.3)
        )
    )
    """Per arm: share of represented features with a latent along them."""
    told: dict = field(
        default_factory=lambda: (
            dict.fromkeys(TRAINED, 0.95) | {"random": 0.2, "pca": 0.2, "shuffled": 0.2}
        )
    )
    """Per arm: share of represented features whose latent is on when they are."""
    direct: dict = field(default_factory=lambda: dict.fromkeys(TRAINED, 0.0) | {"favoured": 1.0})
    """Per arm: effect of importance on the cosine of features that are alike."""
    blurred: dict = field(default_factory=lambda: dict.fromkeys(TRAINED, 0.02))
    """Per arm: spread of F1 that nothing explains."""
    draw: int = 4
    """Seed of the planted numbers."""

    def arms(self):
        return with_derived(
            experiment,
            {
                name: self.measures(name, TRAINED.index("main") if name == "half" else i)
                for i, name in enumerate(TRAINED)
            },
        )

    def measures(self, arm, stream):
        runs = Runs(experiment.specs_of(arm, experiment.default))
        row = runs.seeds - experiment.default[0].seed
        shape = (len(experiment.default), 20)  # arms of fewer toys have the first ones
        toys, rng = np.random.default_rng(self.draw), np.random.default_rng([self.draw, stream])
        rank = np.argsort(np.argsort(toys.random(shape)))
        kept_by = rank if self.tied[arm] else np.argsort(np.argsort(toys.random(shape)))
        here = kept_by < KEPT
        norm = np.where(here, 1 + 0.2 * toys.random(shape), 0.02 * toys.random(shape))
        density = 0.025 * 4 ** toys.uniform(-1, 1, shape)
        crowding = np.where(here, 0.5 * toys.random(shape), 0)
        alike = (
            0.99
            - 0.25 * (norm - 1)
            - 0.02 * crowding
            + 0.004 * rng.normal(size=shape)
            - 0.004 * self.direct[arm] * (rank - KEPT / 2)
        )
        missed = rng.random(shape) > self.pointed[arm]
        cosine = np.where(
            here,
            np.where(missed, alike - 0.12, np.maximum(alike, 0.9)),
            0.7 + 0.15 * rng.random(shape),
        )
        f1 = np.where(here & (rng.random(shape) < self.told[arm]), 0.9, 0.5) + self.blurred[
            arm
        ] * rng.normal(size=shape)
        f1 -= np.where(here, 0.05 * self.direct[arm] * (rank - KEPT / 2), 0)
        return measures(
            runs,
            importance=("run feature", 0.8 ** rank[row], "1"),
            frequency=("run feature", density[row], "probability"),
            norm_squared=("run feature", norm[row], "1"),
            crowding=("run feature", crowding[row], "share of own energy"),
            cosine=("run feature", cosine[row], "cosine"),
            f1=("run feature", f1[row], "F1"),
        )


def of(world, name, **changed):
    """The world with one of its dicts changed for these arms."""
    return replace(
        world,
        **{
            name: getattr(world, name)
            | {arm.replace("_", "-"): value for arm, value in changed.items()}
        },
    )


WORLD = of(World(), "told", main=0.9, half=0.9)
FOUND = {
    arm: of(of(WORLD, "pointed", **{arm: 0.99}), "told", **{arm: 0.95})
    for arm in ("random", "pca", "shuffled")
}
FAINT = of(of(WORLD, "direct", favoured=0.15), "blurred", main=0.2, half=0.2)
"""Planted violations are small enough to show that as small ones are found."""
BYPASSED = of(WORLD, "direct", main=1.0, half=1.0)
UNBIASED = {"favoured": of(WORLD, "direct", favoured=0.0)}
UNTIED = of(WORLD, "tied", main=False, half=False)
UNLIKE = of(WORLD, "direct", main=1.0, half=1.0)
"""Importance counts for ReLU dictionaries, not for TopK."""

CASES = {
    "What mattered to the toy": (
        UNTIED,
        {name: of(WORLD, "tied", **{name: True}) for name in ("pca", "equal")},
    ),
    "At least 0.8 of the represented features have": (
        of(WORLD, "pointed", main=0.5, half=0.5),
        FOUND,
    ),
    "At least 0.8 of the represented features are": (of(WORLD, "told", main=0.4, half=0.4), FOUND),
    "Norm and density are all": (FAINT, BYPASSED, UNBIASED),
    "Norm, density and crowding are all": (
        FAINT,
        BYPASSED,
        {"bypassed": of(WORLD, "blurred", main=3.0, half=3.0)},
    ),
    "They are all there is to directions": (
        of(WORLD, "direct", favoured=0.35),  # of which half the toys have hardly more than allowed
        BYPASSED,
        UNBIASED,
    ),
    "With one latent at a time": (UNLIKE, of(UNLIKE, "direct", topk=1.0), {"main": WORLD}),
}


def test_every_other_toy_has_the_favoured_dictionary():
    arms = WORLD.arms()
    main, favoured, half = (arms[name] for name in ("main", "favoured", "half-favoured"))
    assert (half.seed.values == favoured.seed.values).all()
    for name in ("cosine", "f1"):
        assert (half[name][::2].values == favoured[name][::2].values).all()
        assert (half[name][1::2].values == main[name][1::2].values).all()


# --- what it trains and measures ------------------------------------------------------------------

SMALL = SuperpositionSAE(
    features=6, width=2, candidates=3, toy_steps=50, latents=6, steps=50, batch=32, rows=5000
)


def dictionaries_on(toys, bench, name, **fields):
    """(runs, trained) of an arm's dictionaries on toys that were trained already."""
    runs = Runs(
        [
            t.replace(
                **{
                    f: getattr(experiment.arms[name].specs((t,))[0], f)
                    for f in ("method", "favour")
                },
                **fields,
            )
            for t in toys[0]
        ]
    )
    return runs, experiment.arms[name].train(runs, bench, toys[1])


@pytest.fixture(scope="module")
def toys():
    from assay.core.bench import Unkept

    runs = Runs([SMALL.replace(seed=s) for s in (3, 4, 9)])
    return runs, experiment.arms["toy"].train(runs, Unkept())


@pytest.fixture
def bench():
    from assay.core.bench import Unkept

    return Unkept()


@pytest.mark.parametrize("name", ["main", "topk", "favoured", "shuffled", "random", "pca"])
def test_a_run_alone_is_the_run_in_a_group(toys, bench, name):
    runs, together = dictionaries_on(toys, bench, name)
    one = Runs([toys[0].specs[1]])
    alone_toy = experiment.arms["toy"].train(one, bench)
    assert alone_toy.tensors["W"][0].numpy() == pytest.approx(
        toys[1].tensors["W"][1].numpy(), abs=1e-5
    )
    _, alone = dictionaries_on((one, alone_toy), bench, name)
    for tensor, value in alone.tensors.items():
        assert value[0].numpy() == pytest.approx(together.tensors[tensor][1].numpy(), abs=1e-5), (
            tensor
        )
    assert set(experiment.measure(runs, together, bench).data_vars) >= {
        "cosine",
        "f1",
        "crowding",
        "importance",
        "l0",
        "fvu",
    }


def test_of_a_run_s_candidates_the_best_is_kept(toys, bench):
    """No candidate, started where the run's candidates start and trained on its inputs, does better
    on fresh ones."""
    from assay.core import descent, fit
    from assay.core.fit import warm_up_decay
    from assay.data import planted
    from assay_catalogue.worlds.bottleneck import toy

    runs = Runs([toys[0].specs[0]] * SMALL.candidates)
    weight, p = importances(runs), frequencies(runs)
    weight = weight / weight.mean(1, keepdim=True)
    start = toy.bottleneck(
        Runs([SMALL.replace(seed=SMALL.candidates * 3 + c) for c in range(SMALL.candidates)]), 6, 2
    )

    def loss(params, x):
        return toy.weighted_square(toy.reconstruct(params, x), x, weight)

    group = descent(
        runs, start, loss, lr=np.full(len(runs), SMALL.toy_lr), schedule=warm_up_decay(50, 0, 1 / 3)
    )
    by_hand = fit([group], planted.sparse_features(runs, 6, 32, density=p), steps=50, bench=bench)[
        0
    ].tensors
    score = loss(by_hand, planted.sparse_features(runs, 6, 100_000, stream="other", density=p)(0))
    assert toys[1].tensors["W"][0].numpy() == pytest.approx(
        by_hand["W"][int(score.argmin())].numpy(), abs=1e-4
    )


def test_importance_and_density_are_unrelated_and_what_they_are_said_to_be():
    runs = Runs([SuperpositionSAE(seed=s) for s in range(200)])
    weight, p = importances(runs).numpy(), frequencies(runs)
    assert np.sort(weight, 1)[:, ::-1] == pytest.approx(
        np.tile(0.8 ** np.arange(20), (200, 1)), rel=1e-5
    )
    assert np.sort(p, 1)[0] == pytest.approx(np.geomspace(0.025 / 4, 0.1, 20))
    r = [np.corrcoef(np.log(a), np.log(b))[0, 1] for a, b in zip(weight, p, strict=True)]
    assert abs(np.mean(r)) < 4 / (19 * 200) ** 0.5


def test_hidden_activations_are_scaled_to_their_width_and_apart_keeps_each_coordinate(toys):
    from assay_catalogue.experiments.superposition_sae.method import (
        hidden_activations,
        shuffle_coordinates,
    )

    h, x = hidden_activations(toys[0], toys[1].tensors, 50_000, "test")(0)
    assert h.square().sum(-1).mean(1).numpy() == pytest.approx([2.0] * 3, rel=0.05)
    plain = torch.bmm(x, toys[1].tensors["W"])
    factor = h.norm(dim=(1, 2), keepdim=True) / plain.norm(
        dim=(1, 2), keepdim=True
    )  # one for each toy
    assert h.numpy() == pytest.approx((factor * plain).numpy(), abs=1e-4)
    mixed = shuffle_coordinates(h)
    assert torch.equal(mixed.sort(1).values, h.sort(1).values)
    assert np.abs([np.corrcoef(m.T)[0, 1] for m in mixed.numpy()]).max() < 0.02


def test_an_antipodal_pair_is_recovered_by_a_dictionary_of_its_directions(bench):
    """Two features each way along two axes, four latents along them: cosine 1, and F1 by a naive
    count."""
    from assay.dictionaries.dictionary import Dictionary
    from assay.dictionaries.nonlinearity import ReLU
    from assay_catalogue.experiments.superposition_sae.method import hidden_activations

    runs = Runs([SMALL.replace(features=4, latents=4, method="relu", seed=5)])
    W = torch.tensor([[[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]])
    made = Dictionary(
        W.mT.contiguous(), torch.zeros(1, 4), W, torch.zeros(1, 2), ReLU()
    ).to_trained()
    trained = type(made)(
        {**made.tensors, "W": W}, {**made.header, "beside": ["W"]}, {}, made.steps, made.diverged
    )
    told = experiment.measure(runs, trained, bench).isel(run=0)
    assert told.cosine.values == pytest.approx([1.0] * 4)
    assert told.crowding.values == pytest.approx([0.0] * 4)
    assert told.capacity.values == pytest.approx([0.5] * 4)
    h, x = (value[0].numpy() for value in hidden_activations(runs, {"W": W}, 5000, "test")(0))
    for i in range(4):
        fires, on = h @ W[0, i].numpy() > 0, x[:, i] > 0
        assert float(told.f1[i]) == pytest.approx(2 * (fires & on).sum() / (fires.sum() + on.sum()))


def test_a_donated_recovery_is_another_toy_s_of_the_same_block():
    arms = WORLD.arms()
    main, given = arms["main"], arms["donated"]
    for r in (0, 1, BLOCK):
        for f in range(20):
            value, kept = float(given.cosine[r, f]), float(main.norm_squared[r, f]) > 0.5
            at = np.argwhere(main.cosine.values == value)
            assert [r, f] not in at.tolist() if kept else [r, f] in at.tolist()
            assert (at[:, 0] // BLOCK == r // BLOCK).any()


def test_a_block_knows_nothing_of_other_blocks():
    main, value = WORLD.arms()["main"], matched(("norm_squared", "frequency"), "f1")
    whole, alone = value(main, {}), value(main.isel(run=range(BLOCK, 2 * BLOCK)), {})
    assert whole.dims == ("block",) and whole.sizes["block"] == main.sizes["run"] // BLOCK
    assert whole.values[1] == alone.values[0]
    assert [b.tolist() for b in blocks(main.isel(run=[2, 0, 1]))] == [[1, 2, 0]], (
        "fewer toys than a block are one, by seed"
    )
    assert len(blocks(main.isel(run=range(2 * BLOCK + 3)))) == 2, (
        "an incomplete last block is left out"
    )


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"density": 0.0}, "density must be above 0 and at most 1, got 0"),
        ({"density": 0.5}, "product is a probability"),
        ({"spread": 0.5}, "spread must be at least 1, got 0.5"),
        ({"ratio": 0.0}, "ratio must be above 0 and at most 1, got 0"),
        ({"ratio": 1.1}, "ratio must be above 0 and at most 1, got 1.1"),
        ({"width": 21}, "bottleneck of at most the 20 features"),
        ({"latents": 0}, "latents must be at least 1"),
        ({"candidates": 0}, "candidates must be at least 1"),
        ({"lr": 0.0}, "SuperpositionSAE.lr must be positive, got 0"),
        ({"penalty": -1.0}, "penalty must be at least 0, got -1"),
    ],
)
def test_an_impossible_spec_is_one_clear_line(fields, line):
    with pytest.raises(SpecError, match=line) as error:
        SuperpositionSAE(**fields)
    assert "\n" not in str(error.value)


def test_what_arms_set_is_refused_before_anything_is_trained():
    for name, value in {"method": "relu", "penalty": 0.4, "equal": True, "favour": 1.0}.items():
        for arm in ("toy", "toy-equal", "main"):
            with pytest.raises(SpecError, match=f"SuperpositionSAE.{name} is for arms to set"):
                experiment.specs_of(
                    arm, tuple(s.replace(**{name: value}) for s in experiment.smoke)
                )
