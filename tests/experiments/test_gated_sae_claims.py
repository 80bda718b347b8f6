"""Every claim of gated-sae can hold, can fail, and can be made vacuous by each of its controls.

The numbers are planted, not trained: each arm gets an L0, an FVU and a γ per penalty, from which the sums per document follow
by arithmetic (with v1 = (1 − FVU)/(2 − γ): dot = v1 · variance, norm = γ · dot, error = variance − 2 dot + norm), with
documents of unequal length and difficulty, and seeds of unequal luck.

`tests/claims/test_catalogue_bar.py` judges every claim in WORLD and CASES; only what is this experiment's own is tested here.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from assay.core.claims import Claim
from assay.core.judging import judge
from assay.core.measures import measures
from assay.core.runs import Runs
from assay.experiments.gated_sae import experiment

DOCUMENTS, PASSAGES = 24, 24

# arm → penalty → (L0, FVU, γ): what the pilot saw, to three digits
LEVELS = {
    "main": {0.1: (31.6, 0.150, 0.998), 0.2: (10.8, 0.189, 0.998), 0.4: (4.1, 0.236, 0.997)},
    "relu": {0.05: (38.1, 0.160, 0.943), 0.1: (12.5, 0.204, 0.924), 0.2: (5.1, 0.261, 0.881)},
    "wide": {0.1: (12.3, 0.186, 0.925)},
    "topk": {0.0: (12.0, 0.191, 1.000)},
    "no-aux": {0.2: (1.6, 0.313, 0.967)},
    "relu-again": {0.1: (12.5, 0.204, 0.924)},
    "half": {0.1: (40.0, 0.158, 0.998), 0.2: (14.5, 0.1985, 0.998)},
    "relu-half": {0.05: (47.9, 0.1717, 0.937), 0.1: (16.0, 0.2191, 0.916), 0.2: (5.9, 0.2866, 0.874)},
    "wide-half": {0.1: (15.5, 0.198, 0.917)},
    "wide-half-rescaled": {0.1: (15.5, 0.185, 0.998)},
    "rescaled": {0.05: (38.1, 0.147, 0.998), 0.1: (12.5, 0.190, 0.996), 0.2: (5.1, 0.238, 0.997)},
    "refit": {0.1: (12.5, 0.181, 1.004), 0.2: (5.1, 0.229, 1.004)},
    "wide-rescaled": {0.1: (12.3, 0.173, 0.998)},
    "damped": {0.1: (31.6, 0.172, 0.850), 0.2: (10.8, 0.209, 0.850)},
    "damped-rescaled": {0.1: (31.6, 0.150, 1.000), 0.2: (10.8, 0.189, 1.000)},
    "pca": {0.0: (384.0, 0.031, 1.000)},
    "pca-32": {0.0: (32.0, 0.392, 1.000)},
    "showcase": {0.0: (32.0, 0.115, 0.998)},
}
CLEAN, MEAN, ZERO = 2.72, 9.18, 13.35
LOST = {"main": 0.336, "relu": 0.465, "relu-again": 0.465, "showcase": 0.097}
"""Nats that splicing adds."""


@dataclass(frozen=True)
class World:
    """Planted truth: levels per arm and penalty, and the nats lost by splicing."""

    levels: dict = field(default_factory=lambda: LEVELS)
    lost: dict = field(default_factory=lambda: LOST)

    def but(self, fvu=None, gamma=None, l0=None, lost=None) -> "World":
        """The same world with the FVU, γ or L0 of some arms replaced: by one number, or by one per penalty."""
        levels = {arm: dict(points) for arm, points in self.levels.items()}
        for at, changed in ((0, l0), (1, fvu), (2, gamma)):
            for arm, new in (changed or {}).items():
                for penalty, value in (new if isinstance(new, dict) else dict.fromkeys(levels[arm], new)).items():
                    point = list(levels[arm][penalty])
                    point[at] = value
                    levels[arm][penalty] = tuple(point)
        return replace(self, levels=levels, lost={**self.lost, **(lost or {})})

    def arms(self) -> dict:
        """The measures that runs of the default preset would have."""
        return {name: self.measures(name) for name in experiment.arms}

    def measures(self, arm: str):
        root = arm
        while experiment.arms[root].after:
            root = experiment.arms[root].after  # a repaired dictionary keeps the luck, and the L0, of the one it was made from
        shared, own = np.random.default_rng(0), np.random.default_rng(100 + list(experiment.arms).index(root))
        tokens = np.round(shared.lognormal(5.5, 0.6, DOCUMENTS))
        hard = np.exp(shared.normal(0, 0.08, DOCUMENTS))  # the same documents, and much the same difficulty, for every arm
        text = np.exp(shared.normal(0, 0.3, PASSAGES))
        runs = Runs(experiment.specs_of(arm, experiment.default))
        l0, fvu, gamma = np.array([self.levels[arm][s.penalty] for s in runs.specs]).T[:, :, None]
        penalties = np.unique(list(self.levels[root]))
        luck = own.normal(0, 0.004, (2, len(set(runs.seeds)), len(penalties), 1 + DOCUMENTS))
        at = np.searchsorted(np.unique(runs.seeds), runs.seeds), np.searchsorted(penalties, runs.each("penalty"))
        noise = [np.exp(part[at][:, :1] + part[at][:, 1:]) for part in luck]
        fvu, gamma = fvu * hard * noise[0], gamma + 0.2 * np.log(noise[1])
        variance = np.broadcast_to(576.0 * tokens, fvu.shape)
        dot = (1 - fvu) / (2 - gamma) * variance
        sums = {"tokens": np.broadcast_to(tokens, fvu.shape), "active": l0 * tokens * noise[1]}
        sums |= {"variance": variance, "dot": dot, "norm": gamma * dot, "error": variance - 2 * dot + gamma * dot}
        sums |= {"dot_raw": dot, "norm_raw": gamma * dot}
        named = {name: ("run document", values, "1") for name, values in sums.items()}
        coords = {"document": [f"file-{i:02}" for i in range(DOCUMENTS)]}
        if runs.shared.ce_at:
            coords["passage"] = [f"file-{i:02}" for i in range(PASSAGES)]
            spliced = CLEAN + self.lost[arm] * text * np.exp(own.normal(0, 0.02, (len(runs), PASSAGES)))
            spliced[~np.isin(runs.each("penalty"), runs.shared.ce_at)] = np.nan
            flat = {
                name: np.full((len(runs), PASSAGES), value) for name, value in (("clean", CLEAN), ("mean", MEAN), ("zero", ZERO))
            }
            named |= {f"ce_{name}": ("run passage", values, "nats") for name, values in {**flat, "spliced": spliced}.items()}
        return measures(runs, coords=coords, **named)


WORLD = World()
PUBLISHED = WORLD.but(fvu={"wide": 0.200, "wide-rescaled": 0.198, "wide-half": 0.212, "wide-half-rescaled": 0.210})
"""The published picture, in which the wider ReLU lies above Gated: the pilot did not see it."""


ON_RELU_CURVE = {"main": {0.2: 0.210}, "half": 0.2255}  # FVU that ReLU of equal width has at Gated's L0
REPAIRED_AS_GATED = {"rescaled": {0.05: 0.137, 0.1: 0.178, 0.2: 0.226}}

# claim → (a world where it holds, if not WORLD; the same without the effect; {control: a world in which it passes too})
CASES = {
    "Gated is unbiased": (
        WORLD.but(gamma={"main": 0.95, "half": 0.95}), {"relu": WORLD.but(gamma={"relu": 0.995, "relu-half": 0.995})}
    ),
    "ReLU + L1 shrinks": (
        WORLD.but(gamma={"relu": 0.99, "relu-half": 0.99}), {"main": WORLD.but(gamma={"main": 0.94, "half": 0.94})}
    ),
    "Shrinkage grows": (
        WORLD.but(gamma={"relu": 0.92, "relu-half": 0.92}),
        {"main": WORLD.but(gamma={"main": {0.1: 0.998, 0.2: 0.97, 0.4: 0.93}})},
    ),
    "The earlier form": (WORLD.but(fvu={"main": 0.03}), {"pca": WORLD.but(fvu={"pca": 0.15})}),
    "Reconstructions are shorter": (WORLD.but(fvu={"main": 0.03}), {"pca": WORLD.but(fvu={"pca": 0.15})}),
    "At its own L0 Gated": (WORLD.but(fvu=ON_RELU_CURVE), {"relu-again": WORLD.but(fvu={"relu-again": 0.185})}),
    "To reach Gated's FVU": (WORLD.but(fvu=ON_RELU_CURVE), {"relu-again": WORLD.but(fvu={"relu-again": 0.185})}),
    "At the L0 of the 1.5 times wider ReLU": (PUBLISHED, WORLD, {"relu": PUBLISHED.but(fvu={"relu": {0.1: 0.190}})}),
    "Rescale & shift repairs": (
        WORLD.but(gamma={"rescaled": 0.95}), {"relu": WORLD.but(gamma={"relu": 0.995, "relu-half": 0.995})}
    ),
    "Rescale & shift leaves a gap": (
        WORLD.but(fvu=REPAIRED_AS_GATED), {"damped-rescaled": WORLD.but(fvu={"damped-rescaled": {0.1: 0.160, 0.2: 0.199}})}
    ),
    "Refitting the decoder": (
        WORLD.but(fvu={"refit": {0.1: 0.190, 0.2: 0.238}}), {"rescaled": WORLD.but(fvu=REPAIRED_AS_GATED)}
    ),
    "At equal cost": (PUBLISHED, WORLD, {"relu": PUBLISHED.but(fvu={"relu": {0.1: 0.185}})}),
    "Without the auxiliary loss": (WORLD.but(l0={"no-aux": 9.0}), {"half": WORLD.but(l0={"half": 1.6})}),
    "Spliced in": (WORLD.but(lost={"main": 0.46}), {"relu-again": WORLD.but(lost={"relu-again": 0.33})}),
    "The showcase, one": (
        WORLD.but(fvu={"showcase": 0.16}), {"topk": WORLD.but(fvu={"topk": 0.12})}
    ),
    "The showcase loses": (
        WORLD.but(lost={"showcase": 0.30}), {"relu": WORLD.but(lost={"relu": 0.12})}
    ),
}
CLAIMS = [c for c in experiment.claims if isinstance(c, Claim)]


def claim_of(start: str) -> Claim:
    [found] = [c for c in CLAIMS if c.text.startswith(start)]
    return found


@pytest.mark.parametrize(
    ("start", "moved"),
    [
        ("Gated is unbiased", {"gamma": {"half": 0.96}}),
        ("ReLU + L1 shrinks", {"gamma": {"relu-half": 0.88}}),
        ("Shrinkage grows", {"gamma": {"relu-half": {0.05: 0.99, 0.1: 0.95, 0.2: 0.86}}}),
        ("At its own L0 Gated", {"fvu": {"half": 0.185}}),
        ("To reach Gated's FVU", {"fvu": {"half": 0.180}}),
        ("At the L0 of the 1.5", {"fvu": {"wide-half": 0.220}}),
        ("At equal cost", {"fvu": {"wide-half-rescaled": 0.230}}),
    ],
)
def test_numbers_that_still_move_decide_nothing(start, moved):
    """Half the training gives another value; moved by that change the outcome would not stand."""
    verdict = judge(claim_of(start), WORLD.but(**moved).arms()).verdict
    assert (verdict.outcome, verdict.reason) == ("undecided", "gate converged")
