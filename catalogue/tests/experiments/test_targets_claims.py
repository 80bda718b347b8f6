"""Every claim of targets can hold, can fail, and can be made unspecific by each of its controls.

The numbers are planted, not trained: shares of unread variance, FVUs per dictionary and space,
medians of relative errors, agreements with their chance, and the spread of what neurons are worth;
sums per document follow by arithmetic, with documents of unequal length and difficulty and seeds of
unequal luck. Derived controls are made from them by the experiment's own code.

`tests/claims/test_catalogue_bar.py` judges every claim in WORLD and CASES; only what is this
experiment's own is tested here."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from named_claims import Planted, claim_of
from scipy.special import ndtr

from assay.core import Runs, judge
from assay.core.measures import measures
from assay_catalogue.dictionaries.cell_measures import EPS
from assay_catalogue.experiments.targets import experiment
from assay_catalogue.experiments.targets.method import OTHER

DOCUMENTS, NEURONS, BLOCKS = 24, 256, 30
STREAM = {
    "act": 0.105,
    "again": 0.105,
    "act-update": 0.085,
    "update": 0.090,
    "post": 0.135,
    "logit": np.nan,
    "act-logit": np.nan,
}
LOGIT = {
    "act": 0.064,
    "again": 0.064,
    "act-update": 0.075,
    "update": 0.080,
    "post": 0.076,
    "logit": 0.058,
    "act-logit": 0.062,
}
SIMILAR = {
    "again": (0.86, 0.69),
    "act-update": (0.84, 0.68),
    "update": (0.84, 0.68),
    "post": (0.76, 0.67),
    "logit": (0.82, 0.60),
    "act-logit": (0.80, 0.60),
    "random": (0.601, 0.60),
}
PLAIN = {
    "null": 0.55,
    "random_null": 0.75,
    "untrained_null": 0.74,
    "isotropic": 0.75,
    "readable_null": 0.0075,
    "raw_null": 0.6,
    "spent": 0.55,
    "random_spent": 0.75,
    "readable_spent": 0.008,
    "frozen": 0.05,
    "jacobian": 0.05,
    "tenfold_frozen": 0.05,
    "tenfold_jacobian": 0.17,
    "longer_frozen": 0.05,
    "longer_jacobian": 0.14,
    "turned_frozen": 1.0,
    "turned_jacobian": 0.05,
    "random_frozen": 0.2,
    "random_jacobian": 0.05,
    "spread": 0.36,
    "untrained_spread": 0.8,
    "uneven": 1.0,
    "gini": 0.2,
    "untrained_gini": 0.5,
}
"""In a world where every claim holds; `spread` and `uneven` are of the logarithm of what neurons
are worth."""


@dataclass(frozen=True)
class World(Planted, of=experiment):
    """Planted truth, of the models and dictionaries that each seed trains and of SmolLM2."""

    plain: dict = field(default_factory=lambda: PLAIN)
    smol: dict = field(default_factory=lambda: PLAIN)
    stream: dict = field(default_factory=lambda: STREAM)
    logit: dict = field(default_factory=lambda: LOGIT)
    similar: dict = field(default_factory=lambda: SIMILAR)
    half: dict = field(default_factory=dict)
    """What differs after half the training: {"stream": …, "logit": …, "similar": …}."""
    l0: dict = field(default_factory=dict)
    """Features on per token, where not 8."""

    def but(self, **changed) -> "World":
        """The same world with some of the numbers replaced."""
        return replace(
            self, **{name: {**getattr(self, name), **new} for name, new in changed.items()}
        )

    def measures(self, arm: str):
        shared = np.random.default_rng(0)
        own = np.random.default_rng(100 + list(experiment.arms).index(arm))
        tokens = np.round(shared.lognormal(5.5, 0.6, DOCUMENTS))
        hard = np.exp(shared.normal(0, 0.08, DOCUMENTS))
        runs = Runs(experiment.specs_of(arm, experiment.default))
        n, level = len(runs), self.smol if runs.shared.subject != "tiny" else self.plain
        bare = "untrained_" if "untrained" in arm else ""

        def luck(*shape, size=0.02):
            return np.exp(
                own.normal(0, size, (n, *shape[:-1], 1)) + own.normal(0, size, (n, *shape))
            )

        coords = {"document": [f"file-{i:02}" for i in range(DOCUMENTS)]}
        total = np.broadcast_to(250.0 * tokens, (n, DOCUMENTS))
        named = {}
        if runs.shared.subject == "tiny" and arm != "half":
            named = {f"{p}total": ("run document", total, "1") for p in ("", "readable_", "raw_")}
            named |= {
                f"{p}isotropic": ("run document", level["isotropic"] * total, "1")
                for p in ("", "readable_")
            }
            shares = {
                "null": level[f"{bare}null"],
                **{name: level[name] for name in ("random_null", "readable_null", "raw_null")},
            }
            named |= {
                name: ("run document", x * total * hard**0.1 * luck(DOCUMENTS), "1")
                for name, x in shares.items()
            }
            named["importance"] = (
                "run neuron",
                np.exp(level[f"{bare}spread"] * own.standard_normal((n, NEURONS))),
                "1",
            )
            named["uneven"] = (
                "run neuron",
                np.exp(level["uneven"] * own.standard_normal((n, NEURONS))),
                "1",
            )
        elif runs.shared.subject != "tiny":
            there = np.broadcast_to(250.0 * tokens, (n, BLOCKS, DOCUMENTS))
            named = {
                name: ("run block document", x * there, "1")
                for name, x in (("total", 1.0), ("isotropic", level["isotropic"]))
            }
            for name, x in (("null", level[f"{bare}null"]), ("random_null", level["random_null"])):
                named[name] = ("run block document", x * there * luck(BLOCKS, DOCUMENTS), "1")
            named["gini"] = ("run document", level[f"{bare}gini"] * luck(DOCUMENTS), "1")
            named["importance"] = ("run neuron", np.exp(own.standard_normal((n, NEURONS))), "1")
            coords["block"] = list(range(BLOCKS))
        if bare:
            return measures(runs, coords=coords, **named)
        if arm in ("main", "smollm2"):
            for kind in (
                f"{change}{kind}"
                for change in ("", "tenfold_", "longer_", "turned_", "random_")
                for kind in ("frozen", "jacobian")
            ):
                median = np.log(level[kind]) + np.log(luck(DOCUMENTS))
                below = ndtr((np.log(EPS)[None, None] - median[..., None]) / 0.7)
                below[..., 0], below[..., -1] = 0, 1
                named[kind] = ("run document bin", np.diff(below) * 8 * tokens[:, None], "1")
        if arm == "smollm2":
            return measures(runs, coords=coords, **named)
        if arm == "main":
            named |= {f"{p}written": ("run document", total, "1") for p in ("", "readable_")}
            spent = {
                "unread": "spent",
                "random_unread": "random_spent",
                "readable_unread": "readable_spent",
            }
            named |= {
                name: ("run document", level[of] * total * luck(DOCUMENTS), "1")
                for name, of in spent.items()
            }
        cells = runs.shared.cells
        changed = self.half if arm == "half" else {}
        named["tokens"] = ("run document", np.broadcast_to(tokens, total.shape), "1")
        active = np.array([self.l0.get(c, 8.0) for c in cells])[:, None] * tokens
        named["active"] = ("run cell document", np.broadcast_to(active, (n, *active.shape)), "1")
        for space in ("stream", "logit"):
            fvu = np.array([{**getattr(self, space), **changed.get(space, {})}[c] for c in cells])[
                :, None
            ]
            variance = 64.0 * tokens * np.ones((n, 1))
            at = "update" if space == "stream" else "logit"
            named[f"variance_{at}"] = ("run document", variance, "1")
            shared_luck = luck(DOCUMENTS)[:, None]
            error = (
                fvu
                * variance[:, None]
                * hard
                * shared_luck
                * luck(len(cells), DOCUMENTS, size=0.005)
            )
            named[f"error_{at}"] = ("run cell document", error, "1")
        others = [o for o in OTHER if o in cells] + ["random"]
        pairs = np.array([{**self.similar, **changed.get("similar", {})}[o] for o in others])
        named["found"] = ("run other", pairs[:, 0] + own.normal(0, 0.004, (n, len(others))), "1")
        named["chance"] = ("run other", pairs[:, 1] + own.normal(0, 0.002, (n, len(others))), "1")
        return measures(runs, coords={**coords, "cell": list(cells), "other": others}, **named)


WORLD = World()


def without(**changed) -> World:
    """A world without an effect, after half the training neither."""
    removed = WORLD.but(**changed)
    return replace(
        removed, half={name: getattr(removed, name) for name in ("stream", "logit", "similar")}
    )


# claim → (the world without the effect, {control: a world in which it passes too})
CASES = {
    "Training turns a model's": (
        without(plain={"null": 0.74}),
        {
            "untrained": WORLD.but(plain={"untrained_null": 0.5}),
            "isotropic": WORLD.but(plain={"random_null": 0.5}),
        },
    ),
    "In SmolLM2 too": (
        without(smol={"null": 0.74}),
        {
            "smollm2-untrained": WORLD.but(smol={"untrained_null": 0.5}),
            "smollm2-isotropic": WORLD.but(smol={"random_null": 0.5}),
        },
    ),
    "A dictionary of activations spends": (
        without(plain={"spent": 0.74}),
        {"isotropic-rows": WORLD.but(plain={"random_spent": 0.5})},
    ),
    "Reading the activations": (
        without(stream={"act-update": 0.107}),
        {"same-target": WORLD.but(stream={"again": 0.080})},
    ),
    "Training on activations costs little": (
        without(logit={"act": 0.090}),
        {"whole-stream": WORLD.but(logit={"post": 0.060})},
    ),
    "Features are similar": (
        without(similar={"logit": (0.70, 0.60)}),
        {
            "random-rows": WORLD.but(similar={"random": (0.83, 0.60)}),
            "stream-rows": WORLD.but(similar={"post": (0.86, 0.67)}),
        },
    ),
    **{
        f"{what} is off by at most 0.10: median relative error {of}": (
            without(**{world: {kind: 0.3}}),
            {
                f"{prefix}{c}": WORLD.but(**{world: {f"{change}_{kind}": 0.05}})
                for c, change in controls
            },
        )
        for world, prefix, of, random in (
            ("plain", "", "of a", "random-parts"),
            ("smol", "smollm2-", "over the 24", "random"),
        )
        for what, kind, controls in (
            (
                "Holding the final norm's divisor fixed",
                "frozen",
                ((random, "random"), ("turned", "turned")),
            ),
            ("The final norm's Jacobian", "jacobian", (("tenfold", "tenfold"),)),
        )
    },
    "Training makes neurons": (
        without(plain={"spread": 0.9}),
        {
            "untrained": WORLD.but(plain={"untrained_spread": 0.3}),
            "uneven": WORLD.but(plain={"uneven": 0.3}),
        },
    ),
    "The neurons of SmolLM2": (
        without(smol={"gini": 0.6}),
        {"smollm2-untrained": WORLD.but(smol={"untrained_gini": 0.2})},
    ),
}


@pytest.mark.parametrize(
    ("start", "half"),
    [
        ("Reading the activations", {"stream": {"act-update": 0.06}}),
        ("Training on activations costs little", {"logit": {"logit": 0.064, "act": 0.064}}),
        ("Features are similar", {"similar": {"logit": (0.90, 0.60)}}),
    ],
)
def test_numbers_that_still_move_decide_nothing(start, half):
    """Half the training gives another value; moved by that change the outcome would not stand."""
    verdict = judge(claim_of(experiment, start), WORLD.but(half=half).arms()).verdict
    assert (verdict.outcome, verdict.reason) == ("undecided", "gate converged")


@pytest.mark.parametrize(
    "start", ["Reading the activations", "Training on activations costs little"]
)
def test_dictionaries_of_unequal_l0_are_not_compared(start):
    assert (
        judge(claim_of(experiment, start), WORLD.but(l0={"act": 8.3}).arms()).verdict.reason
        == "gate equal L0"
    )
