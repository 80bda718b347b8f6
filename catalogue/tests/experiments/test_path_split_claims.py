"""Every claim of path-split can hold, can fail, and can be made unspecific by each of its controls.

The numbers are planted, not trained: direct shares by block, ratios of halves and FVUs along the
prices, and by what factors taking firings out and the exact norm change effects; sums per document
follow by arithmetic, with documents of unequal length. Derived controls are made from them by the
experiment's own code.

`tests/claims/test_catalogue_bar.py` judges every claim in WORLD and CASES; only what is this
experiment's own is tested here."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import xarray as xr
from named_claims import Planted, claim_of, outcome_of
from scipy.stats import spearmanr

from assay.core import Runs, judge
from assay.core.intervals import interval
from assay.core.measures import measures
from assay.core.stats import mean
from assay.train.rng import permutation
from assay_catalogue.experiments.path_split import experiment
from assay_catalogue.experiments.path_split.values import (
    KIND,
    at_spent,
    by_seed,
    lead,
    lead_at_theirs,
    order,
    told_by_direct,
)

DOCUMENTS, BLOCKS = 24, 30
HALVES = ("trained", "sorted", "random")
INNER = np.arange(BLOCKS - 1)
RISING = 0.02 + 0.025 * np.floor(INNER / 2)
"""Shares of neighbours that only noise orders."""
MIXED = RISING[np.random.default_rng(3).permutation(BLOCKS - 1)]
"""Give the same shares in no order."""
ORDER = permutation(np.array([0]), "path-split.shuffled", 0, BLOCKS - 1)[0]
DIRECT = np.append(MIXED[:-1] + 0.6, 0.95)
COST = np.array([1.0, 1.03, 1.08, 1.3])
"""FVU at each price over that without one."""
PARTED = {
    "main": 2.2,
    "sorted": 0.4,
    "random": 0.0,
    "taken": 2.2,
    "taken_sorted": 0.4,
    "taken_turned": 0.1,
    "turned": 0.1,
    "frozen-decoder": 0.4,
    "soft-frozen": 0.5,
    "frozen-encoder": 0.3,
    "untrained": 0.4,
    "planted": 5.0,
}
"""Logarithm of the ratio of ratios of halves at 1.08 times FVU."""
FACTORS = {
    "removed": 1.03,
    "exact": 1.02,
    "tenfold": 1.17,
    "tenfold_exact": 1.17,
    "aside": 1.03,
    "aside_exact": 1.17,
}
"""By which indirect over direct effects differ: taken out against linear, the exact norm against a
held divisor; the same tenfold, and turned aside."""


@dataclass(frozen=True)
class World(Planted, of=experiment):
    """Planted truth, of the models and dictionaries that each seed trains and of SmolLM2."""

    shares: dict = field(
        default_factory=lambda: {
            "principal": RISING,
            "random": MIXED,
            "turned": MIXED,
            "slightly": MIXED,
            "untrained": DIRECT,
        }
    )
    moved: dict = field(
        default_factory=lambda: {
            "principal": 0.02,
            "random": 0.02,
            "turned": 0.3,
            "slightly": 0.16,
            "untrained": 0.02,
        }
    )
    parted: dict = field(default_factory=lambda: PARTED)
    factors: dict = field(default_factory=lambda: FACTORS)
    used: float = 0.5
    """Share of the features that are on in the direct half."""
    half: dict = field(default_factory=dict)
    """Entries of `parted` that differ after half the training."""

    def but(self, **changed) -> "World":
        """Give the same world with some of the numbers replaced."""
        return replace(
            self, **{name: {**getattr(self, name), **new} for name, new in changed.items()}
        )

    def measures(self, arm: str):
        runs = Runs(experiment.specs_of(arm, experiment.default))
        tokens = np.round(np.random.default_rng(0).lognormal(5.5, 0.6, DOCUMENTS))
        own = np.random.default_rng(100 + list(experiment.arms).index(arm))
        coords = {"document": [f"file-{i:02}" for i in range(DOCUMENTS)]}
        return (self.blocks if arm.startswith("smollm2") else self.dictionaries)(
            arm, runs, tokens, own, coords
        )

    def blocks(self, arm, runs, tokens, own, coords):
        """Effects of the parts of a language model; direct and indirect ones at right angles, so
        that R² is the share."""
        found = np.zeros((2, 1, len(KIND), 2, BLOCKS, DOCUMENTS))
        for k, kind in enumerate(KIND):
            of = "untrained" if arm.endswith("untrained") else kind
            noise = np.exp(own.normal(0, 0.05, (BLOCKS, DOCUMENTS)))
            for norm in range(2):
                share = np.append(self.shares[of], 1.0) * (
                    1 - norm * self.moved[of] * (np.arange(BLOCKS) < BLOCKS - 1)
                )
                found[0, 0, k, norm] = share[:, None] * tokens * noise
                found[1, 0, k, norm] = (1 - share)[:, None] * tokens / noise
        named = {
            name: ("run kind norm block document", x, "1")
            for name, x in zip(("direct", "indirect"), found, strict=True)
        }
        named["total"] = ("run kind norm block document", found.sum(0), "1")
        return measures(runs, coords={**coords, "block": list(range(BLOCKS))}, **named)

    def dictionaries(self, arm, runs, tokens, own, coords):
        """Errors along the prices, and effects of halves whose ratios differ more the more is
        paid."""
        of = {"half": "main", "one-half": "one-block", "soft-half": "soft-frozen"}.get(arm, arm)
        parted = {**self.parted, **(self.half if arm in ("half", "one-half", "soft-half") else {})}
        levels = sorted({s.alpha for s in runs.specs})
        at = np.array([levels.index(s.alpha) for s in runs.specs])
        n = len(runs)

        def luck(*shape, size=0.008):
            seed = {s.seed: own.normal(0, size) for s in runs.specs}
            return np.exp(
                np.array([seed[s.seed] for s in runs.specs]).reshape(-1, *[1] * len(shape))
                + own.normal(0, size, (n, *shape))
            )

        variance = np.broadcast_to(64.0 * tokens, (n, DOCUMENTS))
        seed = {s.seed: own.normal(0, 0.01) for s in runs.specs}
        fvu = 0.1 * COST[at] * np.exp([seed[s.seed] for s in runs.specs])
        growth = np.array([0.0, 0.5, 1.0, 1.4])[at]

        def effects(log_ratio, extra=1.0):
            each = 1.5 + np.array([0.5, -0.5]) * log_ratio[:, None, None]
            direct = np.broadcast_to(tokens[:, None], (n, DOCUMENTS, 2)) * luck(DOCUMENTS, 2)
            return direct, direct * np.exp(-each) * extra * luck(DOCUMENTS, 2)

        trained = parted["main"] if of == "main" else 0.0 if of == "one-block" else parted[of]
        after = parted["sorted"] * np.ones(n)
        by_half = [
            effects(trained * growth),
            effects(after if of in ("main", "one-block") else growth * 0),
            effects(parted["random"] * growth),
        ]
        named = {
            "error": (
                "run document",
                fvu[:, None] * variance * np.exp(own.normal(0, 0.002, (n, DOCUMENTS))),
                "1",
            ),
            "variance": ("run document", variance, "1"),
            "direct": ("run halves document half", np.stack([x for x, _ in by_half], 1), "1"),
            "indirect": ("run halves document half", np.stack([x for _, x in by_half], 1), "1"),
        }
        active = 8 * tokens[:, None] * np.array([self.used, 1 - self.used])
        named["active"] = (
            "run halves document half",
            np.broadcast_to(active, (n, len(HALVES), DOCUMENTS, 2)),
            "1",
        )
        if runs.shared.taken_out:
            f = self.factors
            log_ratio = (
                parted["taken_sorted"] * np.ones(n)
                if of == "one-block"
                else parted["taken" if of == "main" else "taken_turned"] * growth
            )
            for prefix, factor, exact in (
                ("", f["removed"], f["exact"]),
                ("tenfold_", f["tenfold"], f["tenfold_exact"]),
                ("aside_", f["aside"], f["aside_exact"]),
                ("hundredth_", 1.0, 1.0),
            ):
                for name, extra in (("taken_", factor), ("taken_exact_", factor * exact)):
                    for path, x in zip(
                        ("direct", "indirect"), effects(log_ratio, extra), strict=True
                    ):
                        named[f"{prefix}{name}{path}"] = ("run document half", x, "1")
        return measures(runs, coords={**coords, "halves": list(HALVES)}, **named)


WORLD = World()
TINY = np.full(BLOCKS - 1, 0.004)
BOTH = 0.02 + 0.3 * (INNER + np.argsort(ORDER)) / (2 * BLOCKS)
"""Shares that rise with the number of a block, and with its place among the shuffled ones."""
CONTROLS = {
    name: WORLD.but(parted={name: 2.4})
    for name in ("turned", "frozen-decoder", "soft-frozen", "frozen-encoder", "untrained")
}
CONTROLS["random-halves"] = WORLD.but(parted={"random": 2.4})

# claim → (the world without the effect, {control: a world in which it passes too})
CASES = {
    "In SmolLM2 the later": (
        WORLD.but(shares={"principal": MIXED}),
        {
            "smollm2-shuffled": WORLD.but(shares={"principal": BOTH}),
            "smollm2-random": WORLD.but(shares={"random": RISING}),
            "smollm2-untrained": WORLD.but(shares={"untrained": RISING}),
        },
    ),
    "SmolLM2's inner MLPs": (
        WORLD.but(shares={"principal": DIRECT}),
        {
            "smollm2-quiet": WORLD.but(shares={"principal": TINY}),
            "smollm2-untrained": WORLD.but(shares={"untrained": RISING}),
        },
    ),
    "Even in SmolLM2's": (
        WORLD.but(shares={"principal": DIRECT}),
        {
            "smollm2-quiet": WORLD.but(shares={"principal": TINY}),
            "smollm2-untrained": WORLD.but(shares={"untrained": RISING}),
        },
    ),
    "How the final norm is linearised": (
        WORLD.but(moved={"principal": 0.3}),
        {"smollm2-turned": WORLD.but(moved={"turned": 0.02})},
    ),
    "Small models: taking": (
        WORLD.but(factors={"removed": 1.6}),
        {"tenfold": WORLD.but(factors={"tenfold": 1.03})},
    ),
    "Small models: the final": (
        WORLD.but(factors={"exact": 1.6}),
        {
            "aside": WORLD.but(factors={"aside_exact": 1.02}),
            "tenfold": WORLD.but(factors={"tenfold_exact": 1.02}),
        },
    ),
    "Two blocks part": (
        WORLD.but(parted={"main": 0.3}),
        {**CONTROLS, "sorted-halves": WORLD.but(parted={"sorted": 2.4})},
    ),
    "That is more than sorting": (
        WORLD.but(parted={"main": 0.3}),
        {name: CONTROLS[name] for name in ("turned", "untrained", "random-halves")},
    ),
    "It is so for real": (
        WORLD.but(parted={"taken": 0.3}),
        {"turned": WORLD.but(parted={"taken_turned": 2.4})},
    ),
}


@pytest.mark.parametrize(
    "start", ["Two blocks part", "That is more than sorting", "It is so for real"]
)
def test_a_half_that_is_not_used_decides_nothing(start):
    assert (
        judge(claim_of(experiment, start), replace(WORLD, used=0.1).arms()).verdict.reason
        == "gate both halves in use"
    )


def test_numbers_that_still_move_decide_nothing():
    assert outcome_of(experiment, "Two blocks part", replace(WORLD, half={"main": 4.0}).arms()) == (
        "undecided",
        "gate converged",
    )


def test_what_was_planted_has_to_be_found():
    assert (
        judge(
            claim_of(experiment, "Two blocks part"), WORLD.but(parted={"planted": 0.3}).arms()
        ).verdict.reason
        == "planted planted not found"
    )


def test_a_sweep_is_read_where_its_fvu_is_a_tenth_larger_and_not_beyond_it():
    fvu = np.array([[0.2, 0.21, 0.23, 0.4], [0.2, 0.2, 0.205, 0.21]])
    y = np.array([[0.0, 1.0, 3.0, 9.0]] * 2)
    np.testing.assert_allclose(at_spent(fvu, y), [2.0, np.nan])


def test_two_dictionaries_are_compared_where_the_other_is_read():
    fvu = {"a": np.array([[0.1, 0.2, 0.4]]), "b": np.array([[0.2, 0.25, 0.3]])}
    log_ratio = {"a": np.array([[0.0, 1.0, 3.0]]), "b": np.array([[0.0, 0.5, 1.0]])}
    terms = {}
    for side in "ab":  # the direct half by so much more direct, the other as direct as indirect
        direct = np.stack([np.exp(log_ratio[side]), np.ones((1, 3))], -1)
        terms |= {
            f"{side}.error": fvu[side],
            f"{side}.variance": np.ones((1, 3)),
            f"{side}.direct": direct,
            f"{side}.indirect": np.ones((1, 3, 2)),
        }
    np.testing.assert_allclose(lead_at_theirs(terms), [1.2 - 0.2])  # both at 1.10 × .2 = .22
    np.testing.assert_allclose(lead(terms), [0.1 - 0.2])  # the other at 1.10 × .1 = .11
    assert np.isnan(
        lead_at_theirs({**terms, "a.error": fvu["a"] + 0.3})
    ).all()  # never extrapolated


def test_a_value_by_seed_is_what_each_seed_gives_by_itself_and_its_documents_are_the_jackknifes():
    own = np.random.default_rng(4)
    x, y = own.lognormal(size=(2, 3, 7))
    terms = {name: xr.DataArray(z, dims=("seed", "document")) for name, z in (("x", x), ("y", y))}
    value = by_seed(lambda arm, arms: terms, lambda m: np.log(m["x"] / m["y"]))(
        xr.Dataset(), {}
    ).values
    for s in range(3):
        log = np.log(x[s].sum() / y[s].sum())
        without = np.array(
            [np.log((x[s].sum() - x[s, d]) / (y[s].sum() - y[s, d])) for d in range(7)]
        )
        np.testing.assert_allclose(np.log(value[s]), 7 * log - 6 * without)
        error = np.sqrt(
            6 / 7 * np.sum((without - without.mean()) ** 2)
        )  # the jackknife's standard error of one seed's number
        np.testing.assert_allclose(np.log(value[s]).std(ddof=1) / np.sqrt(7), error)


def test_intervals_of_ratios_by_seed_cover_where_models_and_documents_differ():
    covered = []
    for world in range(200):
        own = np.random.default_rng(world)
        y = (
            own.lognormal(0, 1, (7, 1))
            * own.lognormal(0, 0.5, (1, 40))
            * own.lognormal(0, 0.3, (7, 40))
        )  # models' effects differ in size
        x = y * np.exp(
            own.normal(0.4, 0.15, (7, 1))
            + own.normal(0, 0.2, (1, 40))
            + own.normal(0, 0.2, (7, 40))
        )
        terms = {
            name: xr.DataArray(z, dims=("seed", "document")) for name, z in (("x", x), ("y", y))
        }
        value = by_seed(lambda arm, arms, terms=terms: terms, lambda m: np.log(m["x"] / m["y"]))(
            xr.Dataset(), {}
        )
        found = interval({"log": np.log(value.values)}, mean, factors=2, draws=1)
        covered.append(
            found.t_low <= 0.4 + 0.2**2 <= found.t_high
        )  # sums of log-normals: half the variance of each, twice
    assert np.mean(covered) > 0.9


def test_order_is_spearmans_correlation_and_r_squared_that_of_vectors():
    share = np.random.default_rng(0).uniform(size=(3, 12))
    expected = [spearmanr(np.arange(12), row).statistic for row in share]
    np.testing.assert_allclose(order({"direct": share, "indirect": 1 - share}), expected)
    direct, indirect = np.random.default_rng(1).normal(size=(2, 5, 7))
    terms = {
        "direct": (direct**2).sum(1),
        "indirect": (indirect**2).sum(1),
        "total": ((direct + indirect) ** 2).sum(1),
    }
    total = direct + indirect
    cosine = (direct * total).sum(1) / np.sqrt((direct**2).sum(1) * (total**2).sum(1))
    np.testing.assert_allclose(
        told_by_direct({name: x[:, None] for name, x in terms.items()}), cosine**2
    )
