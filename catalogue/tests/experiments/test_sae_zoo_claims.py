"""Every claim of sae-zoo can hold, can fail, and becomes unspecific where a control passes; numbers
are planted, not trained.

`tests/claims/test_catalogue_bar.py` judges every claim in WORLD and CASES; only what is this
experiment's own is tested here."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from named_claims import Planted, findings

from assay.core import Claim, Runs, judge
from assay.core.measures import measures
from assay_catalogue.dictionaries import on_text
from assay_catalogue.experiments.sae_zoo import TUNED, experiment
from assay_catalogue.experiments.sae_zoo import method as sae_zoo
from assay_catalogue.experiments.sae_zoo.method import method, shuffled

DOCUMENTS = 24
# arm → (L0, FVU); TopK's frontier is straight in log FVU over log L0, as 0.202 and 0.176 at 11 and
# 23 features were
LEVELS = {
    "main": (16.4, 0.179),
    "topk": (16.0, 0.1876),
    "topk-12": (12.0, 0.199),
    "topk-21": (21.0, 0.179),
    "matryoshka": (16.3, 0.198),
    "relu": (16.1, 0.203),
    "jumprelu": (16.6, 0.181),
    "frozen-decoder": (16.0, 0.330),
    "frozen-encoder": (16.0, 0.375),
    "half": (16.4, 0.190),
    "topk-half": (16.0, 0.1986),
    "topk-12-half": (12.0, 0.210),
    "topk-21-half": (21.0, 0.190),
    "broad": (16.4, 0.150),
    "topk-broad": (16.0, 0.1586),
    "topk-12-broad": (12.0, 0.170),
    "topk-21-broad": (21.0, 0.150),
    "shuffled": (16.0, 0.532),
    "untrained": (16.0, 0.494),
    "random": (16.0, 0.380),
    "pca": (16.0, 0.414),
}


@dataclass(frozen=True)
class World(Planted, of=experiment):
    """Planted truth: L0 and FVU of every arm."""

    levels: dict = field(default_factory=lambda: LEVELS)

    def but(self, **fvu: float) -> "World":
        """The same with other FVUs; an underscore in an arm's name stands for a hyphen."""
        new = {arm.replace("_", "-"): value for arm, value in fvu.items()}
        return World({arm: (l0, new.get(arm, old)) for arm, (l0, old) in self.levels.items()})

    def measures(self, arm: str):
        shared = np.random.default_rng(0)
        own = np.random.default_rng(100 + list(experiment.arms).index(arm))
        tokens = np.round(shared.lognormal(5.5, 0.6, DOCUMENTS))
        hard = np.exp(
            shared.normal(0, 0.08, DOCUMENTS)
        )  # the same documents, and much the same difficulty, for every arm
        runs = Runs(experiment.specs_of(arm, experiment.default))
        l0, fvu = self.levels[arm]
        luck = np.exp(own.normal(0, 0.003, (2, len(runs), 1 + DOCUMENTS)))
        luck = luck[..., :1] * luck[..., 1:]
        variance = np.broadcast_to(576.0 * tokens, luck[0].shape)
        named = {
            "tokens": np.broadcast_to(tokens, luck[0].shape),
            "active": l0 * tokens * luck[0],
            "variance": variance,
            "error": fvu * hard * luck[1] * variance,
        }
        coords = {"document": [f"file-{i:02}" for i in range(DOCUMENTS)]}
        return measures(
            runs,
            coords=coords,
            **{name: ("run document", values, "1") for name, values in named.items()},
        )


WORLD = World()


AS_TOPK = WORLD.but(main=0.187, half=0.198, broad=0.158)
# claim → (a world where it holds, if not WORLD; the same without the effect; {control: a world in
# which it passes too})
CASES = {
    "At equal L0 BatchTopK's": (
        AS_TOPK,
        {"topk-along": WORLD.but(topk=0.180, topk_half=0.190, topk_broad=0.150)},
    ),
    "Both halves": (
        WORLD.but(random=0.19),
        {
            "frozen-decoder": WORLD.but(frozen_decoder=0.20),
            "frozen-encoder": WORLD.but(frozen_encoder=0.20),
        },
    ),
    "Ties between": (
        WORLD.but(shuffled=0.25),
        {"random": WORLD.but(random=0.30), "frozen-encoder": WORLD.but(frozen_encoder=0.30)},
    ),
    "The model's training": (
        WORLD.but(untrained=0.25),
        {
            "random": WORLD.but(random=0.25),
            "frozen-encoder": WORLD.but(frozen_encoder=0.25),
            "pca": WORLD.but(pca=0.25),
        },
    ),
}


def claim(start: str) -> Claim:
    return next(c for c in experiment.claims if isinstance(c, Claim) and c.text.startswith(start))


@pytest.mark.parametrize("arm", ["main", "half", "broad"])
def test_a_lead_that_is_missing_at_one_width_or_length_is_no_lead(arm):
    without = WORLD.but(**{arm: {"main": 0.190, "half": 0.201, "broad": 0.161}[arm]})
    assert judge(claim("At equal L0 BatchTopK's"), without.arms()).verdict.outcome == "fails"


def test_findings_can_be_computed():
    assert np.isfinite(list(findings(experiment, WORLD.arms()).values())).all()


def test_every_seed_draws_a_model_with_random_weights_of_its_own(monkeypatch):
    drawn = []
    monkeypatch.setattr(
        on_text, "untrained", lambda subject, layer, bench, seed: drawn.append(seed) or "folder"
    )
    monkeypatch.setattr(on_text, "harvest", lambda spec, bench, like=None: spec)
    for one in Runs(experiment.specs_of("untrained", experiment.default)).split(1):
        sae_zoo.harvests(one, bench=None)
    assert drawn == [s.seed for s in experiment.default]


def test_shuffling_keeps_every_coordinate_and_breaks_what_ties_them():
    import torch

    x = torch.randn(512, 1, generator=torch.Generator().manual_seed(0)) @ torch.ones(1, 8)
    y = shuffled(x, seed=3, index=5)
    assert torch.equal(y.sort(0).values, x.sort(0).values) and torch.equal(y, shuffled(x, 3, 5))
    correlation = np.corrcoef(y.T.numpy())
    assert np.abs(correlation - np.eye(8)).max() < 0.2 and np.corrcoef(x.T.numpy()).min() > 0.999


@pytest.mark.parametrize("name", ["topk", "batch-topk", "matryoshka", "relu", "jumprelu"])
def test_every_architecture_has_its_method_with_the_tuned_rate(name):
    base = experiment.default[0]
    runs = Runs([base.replace(method=name, **TUNED.get(name, {}))])
    made = method(runs)
    assert made.width == base.width and made.lr[0] == TUNED.get(name, {}).get("lr", base.lr)


@pytest.mark.parametrize(
    ("frozen", "kept"), [("", ()), ("encoder", ("W_enc", "b_enc")), ("decoder", ("W_dec",))]
)
def test_what_is_frozen_stays_as_it_started(frozen, kept):
    assert (
        method(Runs([experiment.default[0].replace(method="topk", frozen=frozen)])).frozen == kept
    )
