"""Every claim of sae-zoo can hold, can fail, and can be made vacuous by its control; numbers are planted, not trained.

`tests/claims/test_catalogue_bar.py` judges every claim in WORLD and CASES; only what is this experiment's own is tested here.
"""

from dataclasses import dataclass, field

import numpy as np
import pytest

from assay.core.claims import Claim
from assay.core.judging import judge
from assay.core.measures import measures
from assay.core.runs import Runs
from assay.experiments.sae_zoo import TUNED, experiment, method, shuffled

DOCUMENTS = 24
# arm → (L0, FVU): what the pilot saw, to three digits
LEVELS = {
    "main": (16.4, 0.179), "topk": (16.0, 0.187), "topk-11": (11.0, 0.202), "topk-23": (23.0, 0.176), "matryoshka": (16.3, 0.198),
    "relu": (16.1, 0.203), "p-anneal": (16.6, 0.206), "gated": (16.0, 0.181), "jumprelu": (16.6, 0.181), "topk-again": (16.0, 0.187),
    "relu-again": (16.1, 0.203), "batch-again": (16.4, 0.179), "shuffled": (16.0, 0.532), "untrained": (16.0, 0.594),
    "random": (16.0, 0.380), "pca": (16.0, 0.494), "k-means": (1.0, 0.327), "half": (16.4, 0.190), "topk-half": (16.0, 0.198),
    "topk-11-half": (11.0, 0.214), "topk-32-half": (32.0, 0.177), "matryoshka-half": (16.3, 0.210), "relu-half": (17.5, 0.214),
    "p-anneal-half": (18.0, 0.218), "gated-half": (18.0, 0.190), "jumprelu-half": (18.0, 0.190),
}  # fmt: skip


@dataclass(frozen=True)
class World:
    """Planted truth: L0 and FVU of every arm."""

    levels: dict = field(default_factory=lambda: LEVELS)

    def but(self, **fvu: float) -> "World":
        """The same with other FVUs; an underscore in an arm's name stands for a hyphen."""
        new = {arm.replace("_", "-"): value for arm, value in fvu.items()}
        return World({arm: (l0, new.get(arm, old)) for arm, (l0, old) in self.levels.items()})

    def arms(self) -> dict:
        """The measures that runs of the default preset would have."""
        return {name: self.measures(name) for name in experiment.arms}

    def measures(self, arm: str):
        shared, own = np.random.default_rng(0), np.random.default_rng(100 + list(experiment.arms).index(arm))
        tokens = np.round(shared.lognormal(5.5, 0.6, DOCUMENTS))
        hard = np.exp(shared.normal(0, 0.08, DOCUMENTS))  # the same documents, and much the same difficulty, for every arm
        runs = Runs(experiment.specs_of(arm, experiment.default))
        l0, fvu = self.levels[arm]
        luck = np.exp(own.normal(0, 0.003, (2, len(runs), 1 + DOCUMENTS)))
        luck = luck[..., :1] * luck[..., 1:]
        variance = np.broadcast_to(576.0 * tokens, luck[0].shape)
        named = {
            "tokens": np.broadcast_to(tokens, luck[0].shape), "active": l0 * tokens * luck[0], "variance": variance,
            "error": fvu * hard * luck[1] * variance,
        }  # fmt: skip
        coords = {"document": [f"file-{i:02}" for i in range(DOCUMENTS)]}
        return measures(runs, coords=coords, **{name: ("run document", values, "1") for name, values in named.items()})


WORLD = World()


ANNEALED = WORLD.but(p_anneal=0.190, p_anneal_half=0.200)
# claim → (a world where it holds, if not WORLD; the same without the effect; {control: a world in which it passes too})
CASES = {
    "At equal L0 BatchTopK's": (WORLD.but(main=0.187, half=0.198), {"topk-again": WORLD.but(topk_again=0.179)}),
    "At equal L0 TopK's": (WORLD.but(relu=0.187, relu_half=0.197), {"topk-again": WORLD.but(topk_again=0.203)}),
    "At equal L0 JumpReLU's FVU lies": (WORLD.but(jumprelu=0.187, jumprelu_half=0.198), {"topk-again": WORLD.but(topk_again=0.179)}),
    "At equal L0 JumpReLU's FVU is": (WORLD.but(jumprelu=0.197, jumprelu_half=0.208), {"relu": WORLD.but(relu=0.180, relu_half=0.190)}),
    "BatchTopK and JumpReLU": (WORLD.but(jumprelu=0.196, jumprelu_half=0.208), {"relu": WORLD.but(relu=0.181, relu_half=0.191)}),
    "At equal L0 p-annealing": (ANNEALED, WORLD, {"relu-again": ANNEALED.but(relu_again=0.190)}),
    "Nesting costs": (WORLD.but(matryoshka=0.179, matryoshka_half=0.190), {"batch-again": WORLD.but(batch_again=0.198)}),
    "Training is worth it": (WORLD.but(random=0.19), {"topk-again": WORLD.but(topk_again=0.38)}),
    "Sparse beats dense": (WORLD.but(pca=0.20), {"topk-again": WORLD.but(topk_again=0.49)}),
    "What is learned": (WORLD.but(shuffled=0.20), {"topk-again": WORLD.but(topk_again=0.53)}),
    "The model's training": (WORLD.but(untrained=0.25), {"topk-again": WORLD.but(topk_again=0.59)}),
}


def claim(start: str) -> Claim:
    return next(c for c in experiment.claims if isinstance(c, Claim) and c.text.startswith(start))


def test_a_lead_that_half_the_training_takes_away_is_undecided():
    judged = judge(claim("At equal L0 BatchTopK's"), WORLD.but(half=0.199).arms())
    assert judged.verdict.outcome == "undecided" and judged.verdict.reason == "gate converged"


def test_shuffling_keeps_every_coordinate_and_breaks_what_ties_them():
    import torch

    x = torch.randn(512, 1, generator=torch.Generator().manual_seed(0)) @ torch.ones(1, 8)
    y = shuffled(x, seed=3, index=5)
    assert torch.equal(y.sort(0).values, x.sort(0).values) and torch.equal(y, shuffled(x, 3, 5))
    correlation = np.corrcoef(y.T.numpy())
    assert np.abs(correlation - np.eye(8)).max() < 0.2 and np.corrcoef(x.T.numpy()).min() > 0.999


@pytest.mark.parametrize("name", ["topk", "batch-topk", "matryoshka", "relu", "p-anneal", "gated", "jumprelu"])
def test_every_architecture_has_its_method_with_the_tuned_rate(name):
    base = experiment.default[0]
    runs = Runs([base.replace(method=name, **TUNED.get(name, {}))])
    made = method(runs)
    assert made.width == base.width and made.lr[0] == TUNED.get(name, {}).get("lr", base.lr)
