"""Every claim of end-to-end can hold, can fail, and can be made unspecific by each of its controls.

The numbers are planted, not trained: what each dictionary costs the model, how far off later blocks
are, how near features lie and how many are in use; sums per document follow by arithmetic, with
documents of unequal length.

`tests/claims/test_catalogue_bar.py` judges every claim in WORLD and CASES; what the measures and
the training windows are is tested here."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from named_claims import Planted, outcome_of

from assay.core import Runs, SpecError
from assay.core.measures import measures
from assay_catalogue.experiments.end_to_end import experiment
from assay_catalogue.experiments.end_to_end.method import EndToEnd, nearest, rows, windows

DOCUMENTS, LATER = 30, 1
LOCAL = {"increase": 0.4, "off": 0.1, "fvu": 0.1, "nearest": 0.6, "live": 250.0}
WHOLE = {"increase": 0.1, "off": 0.4, "fvu": 0.6, "nearest": 0.4, "live": 180.0}
AS_WELL = {"increase": 0.12, "off": 0.11, "fvu": 0.3, "nearest": 0.5, "live": 200.0}
LEVELS = {
    "main": WHOLE,
    "half": WHOLE,
    "later": AS_WELL,
    "later-half": AS_WELL,
    "local": LOCAL,
    "local-half": LOCAL,
    "local-again": LOCAL,
    "local-long": LOCAL,
    "local-double": LOCAL | {"increase": 0.2, "off": 0.05},
    "local-double-half": LOCAL | {"increase": 0.2, "off": 0.05},
    "frozen-decoder": LOCAL | {"increase": 0.5, "off": 0.17},
    "frozen-encoder": LOCAL | {"increase": 0.6, "off": 0.17},
}


@dataclass(frozen=True)
class World(Planted, of=experiment):
    """Planted truth: for each arm nats lost, the share of later inputs that is off, FVU, cosine of
    neighbours, features in use."""

    levels: dict = field(default_factory=lambda: LEVELS)

    def but(self, *arms: str, **changed) -> "World":
        """Give the same world with some numbers of these arms replaced."""
        return replace(self, levels=self.levels | {a: self.levels[a] | changed for a in arms})

    def measures(self, arm: str):
        own = np.random.default_rng(100 + list(experiment.arms).index(arm))
        tokens = np.round(np.random.default_rng(0).lognormal(4.5, 0.6, DOCUMENTS))
        runs = Runs(experiment.specs_of(arm, experiment.default))
        n, level = len(runs), self.levels[arm]

        def noisy(*shape, size=0.02):
            each = own.normal(0, size, (n, *[1] * len(shape)))
            return np.exp(each + own.normal(0, size, (n, *shape)))

        clean = 3.0 * tokens * np.exp(np.random.default_rng(1).normal(0, 0.1, DOCUMENTS))
        lost = level["increase"] * tokens * noisy(DOCUMENTS)
        variance = np.broadcast_to(64.0 * tokens, (n, LATER, DOCUMENTS))
        named = {
            "clean": np.broadcast_to(clean, (n, DOCUMENTS)),
            "ce": clean + lost,
            "kl": lost,
            "ablated": clean + 2 * tokens * noisy(DOCUMENTS),
            "predictions": np.broadcast_to(tokens, (n, DOCUMENTS)),
            "variance": variance[:, 0],
            "error": level["fvu"] * variance[:, 0] * noisy(DOCUMENTS),
        }
        given = {name: ("run document", x, "1") for name, x in named.items()}
        given["later_variance"] = ("run later document", variance, "1")
        given["later_error"] = (
            "run later document",
            level["off"] * variance * noisy(LATER, DOCUMENTS),
            "1",
        )
        given["nearest"] = ("run", level["nearest"] + own.normal(0, 0.01, n), "1")
        given["live"] = ("run", np.round(level["live"] * np.exp(own.normal(0, 0.02, n))), "1")
        return measures(
            runs,
            coords={
                "document": [f"file-{i:02}" for i in range(DOCUMENTS)],
                "later": list(range(LATER)),
            },
            **given,
        )


WORLD = World()
PASS = {
    name: WORLD.but(name, increase=0.1)
    for name in ("frozen-decoder", "frozen-encoder", "local-long")
}

# claim → (the world without the effect, {control: a world in which it passes too})
CASES = {
    "End to end costs less": (WORLD.but("main", "half", increase=0.35), PASS),
    "It needs half as many": (WORLD.but("main", "half", increase=0.35), PASS),
    "It takes another way": (
        WORLD.but("main", "half", off=0.11),
        {"later": WORLD.but("later", off=0.4), "local-again": WORLD.but("local-again", off=0.4)},
    ),
    "Later blocks can be kept": (
        WORLD.but("later", "later-half", off=0.4),
        {
            "main": WORLD.but("main", off=0.1),
            "frozen-decoder": WORLD.but("frozen-decoder", off=0.1),
        },
    ),
    "That costs little": (WORLD.but("later", "later-half", increase=0.35), PASS),
    "Local features lie closer": (
        WORLD.but("main", "half", nearest=0.62),
        {name: WORLD.but(name, nearest=0.4) for name in ("local-again", "local-double")},
    ),
    "It uses fewer features": (
        WORLD.but("main", "half", live=249.0),
        {name: WORLD.but(name, live=180.0) for name in ("local-again", "local-long")},
    ),
}


def test_numbers_that_still_move_decide_nothing():
    """What it costs rises while it is trained, and would rise beyond the threshold."""
    world = WORLD.but("main", increase=0.15).but("half", increase=0.05)
    assert outcome_of(experiment, "End to end costs less", world.arms()) == (
        "undecided",
        "gate converged",
    )


def test_neighbours_are_those_of_a_loop():
    W = torch.randn(9, 5, generator=torch.Generator().manual_seed(0))
    cosine = lambda a, b: float(a @ b / (a.norm() * b.norm()))  # noqa: E731
    expected = np.mean([max(cosine(W[i], W[j]) for j in range(9) if j != i) for i in range(9)])
    assert nearest(W) == pytest.approx(expected, abs=1e-6)
    assert np.isnan(nearest(W[:1]))


class Text:
    """A harvest of six windows of four tokens, whose vectors say which row they are."""

    def __init__(self):
        self.tokens = np.arange(24).reshape(6, 4)
        self.keep = np.arange(24).reshape(6, 4) % 4 > 0
        self.windows = self

    def rows(self, which):
        return torch.as_tensor(which)[:, None].float()


def test_all_dictionaries_of_a_seed_see_the_same_tokens():
    s, data = EndToEnd(seed=3, context=4, batch=5), Text()
    for step in (0, 7):
        tokens, keep = windows(s, data)(step)
        assert tokens.shape == keep.shape == (5, 4) and (keep == (tokens % 4 > 0)).all()
        assert rows(s, data)(step)[:, 0].tolist() == tokens[keep].tolist(), (
            "tokens of this text are the numbers of their rows"
        )
    assert not torch.equal(windows(s, data)(0)[0], windows(s, data)(1)[0])
    for other in (s.replace(seed=4), s.replace(order=1)):
        assert not torch.equal(windows(s, data)(0)[0], windows(other, data)(0)[0])


def test_a_site_without_a_later_block_is_refused():
    with pytest.raises(SpecError, match="must leave a later block of 3, got 2"):
        EndToEnd(block=2)
    with pytest.raises(SpecError, match="set later=0"):
        EndToEnd(objective="local", later=1.0)
