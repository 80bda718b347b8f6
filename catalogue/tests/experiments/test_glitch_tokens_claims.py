"""Every claim of glitch-tokens can hold, can fail, and becomes unspecific where a control passes;
numbers are planted, not trained.

Planted is, for each arm, what its runs would have been measured to have: margins, rank
correlations, probabilities after copies, cosines. Derived controls are made by the experiment's own
code.

`tests/claims/test_catalogue_bar.py` judges every claim in WORLD and CASES; only what is this
experiment's own is tested here."""

from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import numpy as np
import pytest
from named_claims import Planted, outcome_of

from assay.core import ModelError, Runs
from assay.core.estimates import verify
from assay.core.measures import measures
from assay_catalogue.experiments.glitch_tokens import experiment
from assay_catalogue.experiments.glitch_tokens.method import NAMES, SEEN, GlitchTokens, law
from assay_catalogue.experiments.glitch_tokens.on_disk import rounding, special_tokens, unused

FOUND = {
    "margin": 1.5,
    "margin_lottery": -0.5,
    "margin_seen": -0.4,
    "auroc": 0.97,
    "auroc_lottery": 0.5,
    "auroc_seen": 0.6,
    "auroc_few": 0.9,
    "grows": 0.93,
    "grows_permuted": 0.0,
    "power": 0.5,
    "auroc_from": 0.9,
    "precision": 0.9,
    "precision_lowest": 0.9,
    "recall_lowest": 0.6,
    "silence": 3.0,
    "silence_seen": 0.2,
    "silence_quiet": 0.2,
    "told": 0.98,
    "told_seen": 0.6,
    "copied": 0.4,
    "unspeakable": 0.9,
    "off_law": 0.0,
    "alike": 0.97,
    "alike_seen": 0.3,
    "alike_ordinary": 0.1,
    "rms": 0.1,
    "level": 1.0,
    "spread": 0.1,
}
NOTHING = {**FOUND, "margin": -0.2, "auroc": 0.5, "grows": 0.0, "silence": 0.0, "alike": 0.0}
DIMS = {
    "margin": "indicator",
    "margin_lottery": "indicator",
    "margin_seen": "indicator exposure",
    "auroc": "indicator",
    "auroc_lottery": "indicator",
    "auroc_seen": "indicator exposure",
    "auroc_from": "indicator exposure",
    "precision_lowest": "indicator",
    "recall_lowest": "indicator",
    "auroc_few": "indicator",
    "grows": "indicator",
    "grows_permuted": "indicator",
    "power": "indicator",
    "precision": "indicator",
    "silence_seen": "exposure",
    "told_seen": "exposure",
    "copied": "repeated",
    "unspeakable": "repeated",
    "alike_seen": "exposure",
    "level": "indicator group",
    "spread": "indicator group",
}
GROUPS = ["never", *map(str, SEEN)]
COORDS = {
    "indicator": list(NAMES),
    "exposure": list(SEEN),
    "group": [*GROUPS, "ordinary"],
    "repeated": [*GROUPS, "quiet", "rare"],
}
STILL = ("off_law", "copied")
"""What has no noise here."""


@dataclass(frozen=True)
class World(Planted, of=experiment):
    """What was planted in each arm, where not as in FOUND, or in NOTHING for models as they were
    drawn."""

    arms_but: dict = field(default_factory=lambda: {"wide-start": {"auroc": 0.6}})

    def but(self, arm: str, **changed) -> "World":
        return replace(
            self, arms_but={**self.arms_but, arm: {**self.arms_but.get(arm, {}), **changed}}
        )

    def measures(self, arm: str):
        own = np.random.default_rng(100 + list(experiment.arms).index(arm))
        runs = Runs(experiment.specs_of(arm, experiment.default))
        if arm == "on-disk":
            p = own.random((1, 2, 24))
            named = {
                "probability": p,
                "unspeakable_here": (p < 0.5).astype(float),
                "distance_here": p,
            }
            counted = {name: ("run", [11.0], "1") for name in ("known_here", "same", "floor")}
            return measures(
                runs,
                coords={"kind": ["candidates", "by lot"], "token": list(range(24))},
                **{name: ("run kind token", x, "1") for name, x in named.items()},
                **counted,
            )
        level = {**(NOTHING if arm == "untrained" else FOUND), **self.arms_but.get(arm, {})}
        named = {}
        for name, value in level.items():
            dims = DIMS.get(name, "").split()
            shape = (len(runs), *(len(COORDS[d]) for d in dims))
            noise = 0.0 if name in STILL else 0.005
            named[name] = (
                " ".join(["run", *dims]),
                value + noise * own.standard_normal(shape),
                "1",
            )
        return measures(runs, coords=COORDS, **named)


WORLD = World()


def of(arm: str, found: str, seen: str, tied: str = "", **lot: str) -> tuple:
    """The cases of a claim about one measure of an arm: the arm without it, and each control with
    it."""
    yes = {found: FOUND[found]}
    passing = {
        f"{tied}{control}": WORLD.but(arm, **{name: FOUND[found]}) for control, name in lot.items()
    }
    passing |= {
        f"{tied}{control}": WORLD.but(arm, **{f"{found}_seen": FOUND[found]})
        for control in seen.split()
    }
    half = "tied-half" if arm == "tied" else "half"
    without = WORLD.but(arm, **{found: NOTHING[found]}).but(half, **{found: NOTHING[found]})
    return without, passing | {"untrained": WORLD.but("untrained", **yes)}


# claim → (the world without the effect, {control: a world in which it passes too})
CASES = {
    "Untied, with weight decay": of(
        "main", "margin", "seen-1 seen-16 seen-256", lottery="margin_lottery"
    ),
    "Tied: the median token never seen is less": of(
        "tied", "margin", "seen-1 seen-16 seen-256", "tied-", lottery="margin_lottery"
    ),
    "Untied: among tokens": of("main", "grows", "", permuted="grows_permuted"),
    "Tied: among tokens": of("tied", "grows", "", "tied-", permuted="grows_permuted"),
    "Untied: after 12": of("main", "silence", "seen-256", quiet="silence_quiet"),
    "Tied: after 12": of("tied", "silence", "seen-256", "tied-", quiet="silence_quiet"),
    "Untied without decay a short norm": (
        WORLD.but("again", auroc=0.92),  # of which a tenth is lost by luck
        WORLD.but("wide-start", auroc=0.97),
        {"again": WORLD.but("again", auroc=0.5), "main": WORLD.but("main", auroc=0.5)},
    ),
    "Output rows of tokens": (
        WORLD.but("untied-free", alike=0.3),
        {
            "free-seen-256": WORLD.but("untied-free", alike_seen=0.97),
            "free-ordinary": WORLD.but("untied-free", alike_ordinary=0.97),
        },
    ),
}


def test_models_that_did_not_learn_to_copy_are_not_asked_to():
    assert outcome_of(experiment, "Untied: after 12", WORLD.but("main", copied=0.01).arms()) == (
        "undecided",
        "gate copying was learned",
    )


def test_the_law_is_a_product_over_steps():
    spec = GlitchTokens(steps=100, lr=1e-2, decay=0.5)
    left = 1.0
    for t in range(100):
        up, down = min(1, (t + 1) / 50), 1 if t < 20 else (100 - t) / 80
        left *= 1 - 1e-2 * up * down * 0.5
    assert law(spec) == pytest.approx(left, rel=1e-12)


def test_the_arithmetic_of_schedules_is_exact():
    (vectors,) = (e for e in experiment.claims if e.text.startswith("What Π"))
    assert verify(vectors, WORLD.arms()).outcome == "exact"


@pytest.mark.parametrize(
    ("start", "arm"),
    [("Untied without weight decay", "untied-free"), ("With weight decay the row", "main")],
)
def test_laws_of_rows_can_be_violated(start, arm):
    (exact,) = (e for e in experiment.claims if e.text.startswith(start))
    told = [verify(exact, world.arms()).outcome for world in (WORLD, WORLD.but(arm, off_law=0.1))]
    assert told == ["exact", "violated"]


def test_reserved_tokens_that_share_a_row_are_the_unused_ones():
    rows = np.random.default_rng(0).standard_normal((20, 8))
    rows[[2, 5, 7]] = rows[2] + 1e-3 * rows[[2, 5, 7]]
    assert unused(rows, np.array([1, 2, 5, 7])).tolist() == [2, 5, 7]
    assert unused(rows, np.array([1, 3, 4])).tolist() == [
        1,
        3,
        4,
    ]  # no two alike: all that are reserved


def test_rounding_to_eight_bits_moves_a_row_by_a_step_over_the_root_of_twelve_for_each_number():
    assert rounding(np.full((3, 64), 127.0)) == pytest.approx(1 / 127 / 12**0.5)
    rows = np.random.default_rng(1).standard_normal((200, 96))
    blocks = rows.reshape(200, 3, 32)
    step = np.abs(blocks).max(2, keepdims=True) / 127
    moved = np.linalg.norm(
        (np.round(blocks / step) * step - blocks).reshape(200, 96), axis=1
    ) / np.linalg.norm(rows, axis=1)
    assert rounding(rows) == pytest.approx(np.median(moved), rel=0.02)


def test_a_model_that_reserves_no_tokens_is_refused():
    tokenizer = SimpleNamespace(inner=SimpleNamespace(get_added_tokens_decoder=dict))
    with pytest.raises(ModelError, match="reserves no tokens"):
        special_tokens(
            SimpleNamespace(name="bare", folder=SimpleNamespace(tokenizer=tokenizer)), 100
        )


def test_a_row_that_is_read_once_moves_by_about_ten_rates_however_small_its_gradient():
    import torch

    row, rate, seen = torch.zeros(5, dtype=torch.double, requires_grad=True), 1e-3, 400
    adam = torch.optim.Adam([row], lr=rate, betas=(0.9, 0.99), eps=1e-12)
    for t in range(seen + 200):
        row.grad = torch.tensor([3.0, -1e-3, 1e-5, -2.0, 1e-6]).double() * (t == seen)
        adam.step()
    due = rate * (1 - 0.9) / (1 - 0.99) ** 0.5 / (1 - 0.9 / 0.99**0.5)
    np.testing.assert_allclose(row.detach().numpy(), due * np.array([-1, 1, -1, 1, -1]), rtol=0.03)
    assert due == pytest.approx(10.5 * rate, rel=0.01)
